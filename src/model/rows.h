/* Work on the rows of a chunk, spread over the pool: pieces of a few tokens, whose boundaries depend on n alone. One
 * token runs in the caller's thread, without waking anybody. Internal to src/model.
 */
#ifndef MX_MODEL_ROWS_H
#define MX_MODEL_ROWS_H

#include "model/block.h"

/* Calls work(context, first, last) for pieces of [0, n). */
typedef void mx_rows_work(void *context, size_t first, size_t last);
void mx_rows(struct mx_pool *pool, size_t n, mx_rows_work *work, void *context);

/* out [n, width] = the model's norm of x [n, width]. A norm without a weight that the description does not ask to be
 * plain is absent: out = x. `out` may be x. */
void mx_norm_rows(const struct mx_run *run, const struct mx_norm_weights *norm, size_t n, float *out, const float *x,
                  size_t width);

/* out [n, width] = act(gate) * up, or act(up) where gate is NULL. `out` may be gate; it may be up only
 * where gate is NULL. Where `bound` isn't 0, min(act(gate), bound) * up within +-bound. */
void mx_activate_rows(const struct mx_run *run, float *out, const float *gate, const float *up, float bound, size_t n,
                      size_t width);

/* The same with a norm of a block's own make: RMS, whatever the model's kind; a weight of NULL is all ones. */
void mx_rms_rows(const struct mx_run *run, const float *weight, size_t n, float *x, size_t width);

/* x [n, width] through xIELU (arXiv 2411.13010, equation 5): alpha_p x^2 + beta x where x > 0, else
 * alpha_n (exp(min(x, eps)) - 1 - x) + beta x. `parameters`: the stored alpha_p and alpha_n, of which softplus is taken
 * (and beta added to alpha_n's), beta, eps. */
void mx_xielu_rows(const struct mx_run *run, const float *const parameters[4], float *x, size_t n, size_t width);

/* x [n, width] *= factor; nothing where that is 1 */
void mx_scale_rows(const struct mx_run *run, float *x, float factor, size_t n, size_t width);

/* x [n, width] += scale * y */
void mx_add_rows(const struct mx_run *run, float *x, const float *y, float scale, size_t width);

#endif
