/* The parts of which kv_kernels.c makes its tables: each fills the slots that it has a function for. The portable ones
 * begin a table, the others then add attention on fp16 blocks and on codes, softmax and waves. */
#ifndef MX_KERNELS_KV_LEVELS_H
#define MX_KERNELS_KV_LEVELS_H

struct mx_kv_kernels;

void mx_kv_portable_scalar(struct mx_kv_kernels *kernels);
void mx_kv_portable_avx2(struct mx_kv_kernels *kernels);
void mx_kv_portable_avx512(struct mx_kv_kernels *kernels);

void mx_kv_attend_scalar(struct mx_kv_kernels *kernels);
void mx_kv_fp16_avx2(struct mx_kv_kernels *kernels);
void mx_kv_coded_avx2(struct mx_kv_kernels *kernels);
void mx_kv_softmax_avx2(struct mx_kv_kernels *kernels);
void mx_kv_waves_avx2(struct mx_kv_kernels *kernels);
void mx_kv_fp16_avx512(struct mx_kv_kernels *kernels);
void mx_kv_coded_avx512(struct mx_kv_kernels *kernels);
void mx_kv_softmax_avx512(struct mx_kv_kernels *kernels);
void mx_kv_waves_avx512(struct mx_kv_kernels *kernels);

#endif
