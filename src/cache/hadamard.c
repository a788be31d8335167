/* Building Paley matrices from the quadratic residues of a prime field. hadamard.h says what they are for; the fast
 * transform that applies them is a kernel (kernels/kv_kernels.h, rotate). */
#include "cache/hadamard.h"

#include <stdlib.h>

/* Paley orders in use, with their primes: kind 1 has order q + 1, kind 2 has 2 (q + 1). */
static const struct paley {
    uint8_t order, prime, kind;
} paleys[] = {{12, 11, 1}, {20, 19, 1}, {28, 13, 2}, {36, 17, 2}, {44, 43, 1}, {60, 59, 1}, {104, 103, 1}};

/* The Paley row and the power of two that make `dim`; base 1 (and NULL) for a plain power of two. */
static bool split(uint32_t dim, const struct paley **paley)
{
    *paley = NULL;
    if (dim == 0 || dim > MX_HADAMARD_MAX) return false;
    if ((dim & (dim - 1)) == 0) return true;
    for (size_t i = 0; i < sizeof paleys / sizeof *paleys; i++) {
        const uint32_t rest = dim / paleys[i].order;
        if (dim % paleys[i].order == 0 && (rest & (rest - 1)) == 0) {
            *paley = &paleys[i];
            return true;
        }
    }
    return false;
}

bool mx_hadamard_exists(uint32_t dim)
{
    const struct paley *paley;
    return split(dim, &paley);
}

/* The Legendre symbol: 0 for multiples of q, 1 for squares mod q, -1 for the rest. */
static int legendre(int value, int q)
{
    value = (value % q + q) % q;
    if (value == 0) return 0;
    for (int root = 1; root <= q / 2; root++) {
        if (root * root % q == value) return 1;
    }
    return -1;
}

/* The conference matrix of order q + 1: zero diagonal, a border of ones (the column's sign follows from q mod 4),
 * Q[i][j] = legendre(i - j) inside. */
static int conference(int i, int j, int q)
{
    if (i == 0 && j == 0) return 0;
    if (i == 0) return 1;
    if (j == 0) return q % 4 == 3 ? -1 : 1;
    return legendre(i - j, q);
}

/* Kind 1: I + C with C skew. Kind 2: each entry c of the symmetric C becomes c * [1 1; 1 -1], and each zero of the
 * diagonal [1 -1; -1 -1]. */
static int entry(const struct paley *paley, int i, int j)
{
    if (paley->kind == 1) return i == j ? 1 : conference(i, j, paley->prime);
    static const int off[2][2] = {{1, 1}, {1, -1}}, diagonal[2][2] = {{1, -1}, {-1, -1}};
    if (i / 2 == j / 2) return diagonal[i % 2][j % 2];
    return conference(i / 2, j / 2, paley->prime) * off[i % 2][j % 2];
}

mx_status mx_hadamard_open(struct mx_hadamard *hadamard, uint32_t dim, struct mx_error *err)
{
    *hadamard = (struct mx_hadamard){0};
    const struct paley *paley;
    if (!split(dim, &paley)) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "no Hadamard matrix is known here for head dimension %u", dim);
    }
    hadamard->dim = dim;
    hadamard->base = paley ? paley->order : 1;
    if (!paley) return MX_OK;
    const size_t order = paley->order, bytes = order * order * sizeof(float);
    hadamard->matrix = malloc(bytes);
    hadamard->transposed = malloc(bytes);
    if (!hadamard->matrix || !hadamard->transposed) {
        mx_hadamard_close(hadamard);
        return mx_fail_memory(err, "a Hadamard matrix", 2 * bytes);
    }
    for (size_t i = 0; i < order; i++) {
        for (size_t j = 0; j < order; j++) {
            const float value = (float)entry(paley, (int)i, (int)j);
            hadamard->matrix[i * order + j] = value;
            hadamard->transposed[j * order + i] = value;
        }
    }
    return MX_OK;
}

void mx_hadamard_close(struct mx_hadamard *hadamard)
{
    free(hadamard->matrix);
    free(hadamard->transposed);
    *hadamard = (struct mx_hadamard){0};
}
