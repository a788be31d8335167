/* kv_portable.inc for the level avx512. */
#define MX_KV_LEVEL mx_kv_portable_avx512
#include "kernels/kv_portable.inc"
