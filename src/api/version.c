/* Which library this is. */
#include <mlxcel/mlxcel.h>

int mx_abi_version(void)
{
    return MX_ABI_VERSION;
}

const char *mx_version(void)
{
    return MLXCEL_VERSION;
}
