/* The parts that a level's vector files put into the tables of kernels: each fills the slots that it has a function
 * for. Templates (simd/) name their functions with MX_AT_LEVEL; the build compiles them once per level. */
#ifndef MX_KERNELS_LEVELS_H
#define MX_KERNELS_LEVELS_H

#include "kernels/product.h"

/* name_level for the level that a file is compiled for. */
#define MX_AT_LEVEL_JOINED(name, level) name##_##level
#define MX_AT_LEVEL_EXPANDED(name, level) MX_AT_LEVEL_JOINED(name, level)
#define MX_AT_LEVEL(name) MX_AT_LEVEL_EXPANDED(name, MX_LEVEL)

#define MX_LEVEL_PARTS(level)                                                                                          \
    void mx_affine_fill_##level(struct mx_product_kernels products[MX_WEIGHT_KINDS]);                                  \
    void mx_plain_fill_##level(struct mx_product_kernels products[MX_WEIGHT_KINDS]);
MX_LEVEL_PARTS(avx2)
MX_LEVEL_PARTS(avx512)
#undef MX_LEVEL_PARTS

#endif
