/* The parts of which the tables of kernels are made: each fills the slots that it has a function for. Plain C fills
 * all, then each level up to the one that is asked for overwrites what it does better. Templates (*_tmpl.c) name their
 * function with MX_AT_LEVEL; the build compiles them once per level. */
#ifndef MX_KERNELS_LEVELS_H
#define MX_KERNELS_LEVELS_H

#include "kernels/product.h"

struct mx_dense_kernels;
struct mx_kv_kernels;

/* name_level for the level that a file is compiled for. */
#define MX_AT_LEVEL_JOINED(name, level) name##_##level
#define MX_AT_LEVEL_EXPANDED(name, level) MX_AT_LEVEL_JOINED(name, level)
#define MX_AT_LEVEL(name) MX_AT_LEVEL_EXPANDED(name, MX_LEVEL)

void mx_dense_fill_scalar(struct mx_dense_kernels *table);
void mx_products_fill_scalar(struct mx_product_kernels products[MX_WEIGHT_KINDS]);
void mx_kv_codes_fill_scalar(struct mx_kv_kernels *kernels);
void mx_kv_attend_fill_scalar(struct mx_kv_kernels *kernels);
void mx_kv_turn_fill_scalar(struct mx_kv_kernels *kernels);

#define MX_LEVEL_PARTS(level)                                                                                          \
    void mx_dense_fill_##level(struct mx_dense_kernels *table);                                                        \
    void mx_code_fill_##level(struct mx_product_kernels products[MX_WEIGHT_KINDS]);                                    \
    void mx_plain_fill_##level(struct mx_product_kernels products[MX_WEIGHT_KINDS]);                                   \
    void mx_kv_codes_fill_##level(struct mx_kv_kernels *table);                                                        \
    void mx_kv_fp16_fill_##level(struct mx_kv_kernels *table);                                                         \
    void mx_kv_coded_fill_##level(struct mx_kv_kernels *table);                                                        \
    void mx_kv_softmax_fill_##level(struct mx_kv_kernels *table);                                                      \
    void mx_kv_waves_fill_##level(struct mx_kv_kernels *table);                                                        \
    void mx_kv_turn_fill_##level(struct mx_kv_kernels *table);
MX_LEVEL_PARTS(avx2)
MX_LEVEL_PARTS(avx512)
#undef MX_LEVEL_PARTS

#endif
