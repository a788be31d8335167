/* Orthonormal Hadamard matrices for the head dimensions that models use, as Sylvester (2^k) x Paley.
 *
 * A Hadamard matrix of order d has entries +1 and -1 and orthogonal rows. 2^k exists by doubling (Sylvester); a Paley
 * matrix of order m adds the dimensions that are no power of two: order q + 1 for a prime q = 3 mod 4 (12, 20, 44, 60,
 * 104) and order 2 (q + 1) for a prime q = 1 mod 4 (28, 36); R. Paley, "On Orthogonal Matrices", 1933. Together: 32 to
 * 256 in all the sizes of released models (40 = 2 x 20, 48 = 4 x 12, 80 = 4 x 20, 96 = 8 x 12, 120 = 2 x 60, ...).
 */
#ifndef MX_CACHE_HADAMARD_H
#define MX_CACHE_HADAMARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { MX_HADAMARD_MAX = 1024 };

/* d = 2^k * m: `base` is m, the Paley part's order (1 where d is a power of two). */
struct mx_hadamard {
    uint32_t dim, base;
    float *matrix;     /* [base][base] of +1 and -1; NULL where base is 1; owned */
    float *transposed; /* the same, transposed: the inverse uses it */
};

/* Whether such a matrix is known for this dimension. */
bool mx_hadamard_exists(uint32_t dim);

mx_status mx_hadamard_open(struct mx_hadamard *hadamard, uint32_t dim, struct mx_error *err);
void mx_hadamard_close(struct mx_hadamard *hadamard); /* also fine on a zeroed one */

#endif
