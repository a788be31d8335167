/* The figure that benchmarks report: half of the repetitions took longer. */
#ifndef MX_EVIDENCE_MEDIAN_H
#define MX_EVIDENCE_MEDIAN_H

#include <stddef.h>

/* Sorts values[count], count > 0; of an even count, the mean of the middle two. */
double mx_median(double *values, size_t count);

#endif
