/* kv_portable.inc for the level scalar. */
#define MX_KV_LEVEL mx_kv_portable_scalar
#include "kernels/kv_portable.inc"
