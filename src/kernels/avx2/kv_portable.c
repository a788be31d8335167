/* kv_portable.inc for the level avx2. */
#define MX_KV_LEVEL mx_kv_portable_avx2
#include "kernels/kv_portable.inc"
