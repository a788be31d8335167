/* Calibration: which form each layer's keys and values should take. Every layer's K and V alone is given every coded
 * form, the rest left in fp16, and its divergence from fp16 measured; small divergences of different places add up, to
 * second order, so the plan with the least sum under a bound of bytes is searched for (plan_search.h). Where they do
 * not add up (an expert that flips counts once, whatever flips it) the plan, measured whole, says by how much, and what
 * was measured whole is the prediction. The check is on text that had no part in any of this. */
#ifndef MX_EVIDENCE_CALIBRATE_H
#define MX_EVIDENCE_CALIBRATE_H

#include "evidence/compare.h"
#include "evidence/work_file.h"

struct mx_calibrate_options {
    struct mx_windows windows; /* of these, spread over the text: */
    size_t probes;             /* forms are measured on so many, at most; at least 1 */
    size_t refine;             /* plans are measured whole on so many, the probes' among them; at least `probes` */
    size_t checks;             /* the plan that was found is measured on so many others, between those; at least 1 */
    enum mx_mode like;         /* the plan takes at most this mode's bytes, or where `most_loss` is set none is asked */
    double most_bytes;         /* per token, over all layers, at MX_CALIBRATE_CONTEXT; 0: those of `like` */
    double most_loss;          /* nats: the fewest bytes of at most this predicted divergence; negative: no bound */
    const enum mx_mode *modes; /* [mode_count]: uniform modes to measure beside the plan, `like` first */
    size_t mode_count;
    struct mx_work_file *work; /* where divergences are kept and found, of mx_calibrate_key; borrowed; NULL: none */
};

/* Bytes are counted at this context: those of layers with a window too, which take no more from some length on. */
enum { MX_CALIBRATE_CONTEXT = 32768, MX_CALIBRATE_MODES = 8 };

struct mx_calibration {
    double (*loss)[2][MX_REPR_COUNT];     /* [layer_count][K, V]: mean divergence of this form alone, nats; NaN: not
                                             measured */
    struct mx_kv_layers layers;           /* the plan */
    double sum_kl;                        /* of its losses */
    double predicted_kl, predicted_kl_se; /* mean of the plan, whole, on the windows of `refine` */
    double bytes;                         /* per token, as bounded */
    struct mx_comparison plan, uniform[MX_CALIBRATE_MODES]; /* measured on the checks */
    size_t probed;                                          /* forms */
    size_t found;                                           /* of their windows: in the work file, not measured again */
};

/* How many forms there are to measure, each on every window of `probes` at most: what it will cost. */
size_t mx_calibrate_probes(const struct mx_arch *arch);

/* Which of `total` windows serve what: probes [options->probes], in the order in which they are measured, refine
 * [options->refine], checks [options->checks]. total is at least refine + checks. */
void mx_calibrate_choose(const struct mx_calibrate_options *options, size_t total, size_t *probes, size_t *refine,
                         size_t *checks);

/* What a work file's divergences belong to: the model, the text and the length of its windows, this program. */
uint64_t mx_calibrate_key(const struct mx_session *session, const struct mx_windows *windows);

/* Whether the text is long enough, and the model has anything to plan: what mx_calibrate_run refuses beforehand. */
mx_status mx_calibrate_check(const struct mx_calibrate_options *options, const struct mx_arch *arch,
                             struct mx_error *err);

/* *result is to be freed by mx_calibration_free, after a failure too. */
mx_status mx_calibrate_run(struct mx_session *session, const struct mx_calibrate_options *options,
                           const struct mx_progress *progress, struct mx_calibration *result, struct mx_error *err);
void mx_calibration_free(struct mx_calibration *result);

#endif
