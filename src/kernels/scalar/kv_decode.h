/* Blocks as float32: the `decode` of struct mx_k_kernels (a panel [dim][MX_BLOCK]) and mx_v_kernels ([MX_BLOCK][dim]).
 */
#ifndef MX_KERNELS_SCALAR_KV_DECODE_H
#define MX_KERNELS_SCALAR_KV_DECODE_H

#include <stdint.h>

/* Either half: an fp16 block of K is [dim][MX_BLOCK] and one of V [MX_BLOCK][dim], both as they are. No scales. */
void mx_kv_decode_fp16(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_k_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_k_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_k_turbo3(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_v_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_v_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);
void mx_kv_decode_v_turbo3(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);

#endif
