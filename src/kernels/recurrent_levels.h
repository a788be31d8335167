/* What each level's compilation of recurrent_tmpl.c provides. */
#ifndef MX_KERNELS_RECURRENT_LEVELS_H
#define MX_KERNELS_RECURRENT_LEVELS_H

#include "kernels/recurrent.h"

#define MX_RECURRENT_JOIN(level) mx_recurrent_fill_##level
#define MX_RECURRENT_FILL(level) MX_RECURRENT_JOIN(level)

void mx_recurrent_fill_scalar(struct mx_recurrent_kernels *table);
void mx_recurrent_fill_avx2(struct mx_recurrent_kernels *table);
void mx_recurrent_fill_avx512(struct mx_recurrent_kernels *table);

#endif
