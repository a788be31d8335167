/* Evidence: what was measured about KV-cache modes, and which models it speaks for. A file is one model on one machine;
 * its format is docs/evidence-format.md. Files are read whole and checked whole: a bad one is an error that names it.
 */
#ifndef MX_ADVISOR_EVIDENCE_H
#define MX_ADVISOR_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/mode.h"
#include "config/arch.h"

/* A figure that was not measured. */
#define MX_NOT_MEASURED (-1.0)

/* One mode at one context. Figures are MX_NOT_MEASURED where the cell lacks them. */
struct mx_evidence_cell {
    enum mx_mode mode;
    uint64_t context;
    double decode_ratio;      /* decode speed over fp16's in the same run */
    double kl;                /* mean KL divergence from the fp16 cache, nats */
    double top1;              /* share of positions with the same first choice, 0 to 1 */
    double perplexity_change; /* relative: 0.01 is one per cent; may be negative */
    double passkey;           /* share of right answers, 0 to 1 */
};

/* What a cell must reach to count as passed. A figure that the cell lacks is not asked for, but `kl` and
 * `perplexity_change` can't both be missing. */
struct mx_evidence_gate {
    double kl, top1, perplexity_change, passkey;
};

struct mx_evidence {
    char file[64], model[64], machine[96], date[12];
    char model_type[64];
    uint64_t parameters;                        /* of the model that was measured */
    uint64_t least_parameters, most_parameters; /* it speaks for models from .. to; 0, UINT64_MAX: for all */
    uint32_t head_dim;                          /* it speaks for this head dimension; 0: for all */
    struct mx_evidence_gate gate;
    struct mx_evidence_cell *cells;
    size_t cell_count;
};

struct mx_evidence_set {
    struct mx_evidence *items; /* sorted by file name */
    size_t count;
};

/* Reads one file's text; `name` starts every message, and `file` stays empty. On success evidence->cells is the
 * caller's to free. */
mx_status mx_evidence_parse(struct mx_evidence *evidence, const char *text, size_t length, const char *name,
                            struct mx_error *err);

/* Reads every *.json of a folder; one that does not exist is an error, an empty one is not. */
mx_status mx_evidence_open(struct mx_evidence_set *set, const char *directory, struct mx_error *err);
void mx_evidence_close(struct mx_evidence_set *set); /* fine on a zeroed one */

/* True if the file speaks for this model: its type, head dimension and number of parameters. */
bool mx_evidence_covers(const struct mx_evidence *evidence, const struct mx_arch *arch, uint64_t parameters);

/* A cell's verdict. */
enum mx_verdict {
    MX_VERDICT_NONE, /* no quality was measured */
    MX_VERDICT_FAILED,
    MX_VERDICT_PASSED,
};
enum mx_verdict mx_evidence_verdict(const struct mx_evidence *evidence, const struct mx_evidence_cell *cell);

#endif
