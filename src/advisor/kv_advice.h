/* Which KV-cache mode to try, for each range of context lengths: by the rules while nothing was measured for the
 * family, by evidence of the model, its family or its kin. Advice never applies itself and never touches weights; fp16
 * stays the default. A mode that no layer of this model can hold is never suggested; symmetric turbo4 only where
 * evidence passed it: no rule does. docs/advisor.md has the rules.
 */
#ifndef MX_ADVISOR_KV_ADVICE_H
#define MX_ADVISOR_KV_ADVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "advisor/evidence.h"
#include "advisor/kv_rules.h"
#include "base/error.h"
#include "cache/mode.h"
#include "config/arch.h"

struct mx_range_info {
    const char *name;  /* "short" */
    uint64_t from, to; /* tokens; the last range ends where the model does, and `to` is used if it doesn't say */
};
const struct mx_range_info *mx_range_info(enum mx_range range);
enum mx_range mx_range_of(uint64_t context);

/* Where savings in a range are counted: its last token, or the model's own limit if that lies in the range. */
uint64_t mx_range_end(enum mx_range range, const struct mx_arch *arch);

struct mx_kv_advice_line {
    enum mx_mode suggested;
    enum mx_mode alternatives[MX_MAX_ALTERNATIVES]; /* to benchmark beside it */
    int alternative_count;
    char reason[400];
    uint64_t end;                         /* mx_range_end */
    uint64_t bytes_saved;                 /* against fp16, at `end`, for one sequence */
    bool reachable;                       /* the model was made for contexts of this range */
    bool shown;                           /* to be told: reachable, or asked for (advise.c) */
    bool from_evidence;                   /* otherwise by the rules */
    const struct mx_evidence *evidence;   /* if from_evidence; lives as long as the set */
    enum mx_kin kin;                      /* of the model that was measured */
    const struct mx_evidence_cell *cell;  /* quality of the suggested mode; NULL for fp16, and where not measured */
    const struct mx_evidence_cell *speed; /* its speed; NULL where not measured */
};

struct mx_kv_advice {
    struct mx_kv_advice_line lines[MX_RANGE_COUNT];
};

struct mx_kv_advice_request {
    const struct mx_evidence_set *evidence; /* NULL: the rules alone */
    const char *machine;                    /* this machine's processor: its own measurements come first; may be NULL */
    const char *name;                       /* of the model; may be NULL */
    uint64_t parameters;                    /* of the model: of several relatives the nearest in size speaks */
    const char *weights; /* how it is stored (mx_subject_storage): like ones come first; may be NULL */
    enum mx_rules rules;
    enum mx_grade bar;  /* the least grade that passes, MX_GRADE_NEAR_LOSSLESS to MX_GRADE_ACCEPTABLE */
    bool prefer_memory; /* of what passed, the smallest instead of the fastest */
};

mx_status mx_kv_advise(struct mx_kv_advice *advice, const struct mx_arch *arch,
                       const struct mx_kv_advice_request *request, struct mx_error *err);

/* The best evidence on a mode in the range of `context`, or NULL: a cell with quality and one with speed, from the same
 * file if there is one (they may be the same cell). */
struct mx_mode_evidence {
    const struct mx_evidence *evidence;
    enum mx_kin kin;
    const struct mx_evidence_cell *quality, *speed; /* NULL where not measured */
};
struct mx_mode_evidence mx_mode_evidence(enum mx_mode mode, uint64_t context, const struct mx_arch *arch,
                                         const struct mx_kv_advice_request *request);

/* Whether 4-bit keys are good enough for symmetric turbo4 with the protections of `options`: what the nearest evidence
 * says that graded the mode in the range of `context`, protected no better. *found is that evidence. */
enum mx_proof mx_turbo4_proof(const struct mx_kv_options *options, uint64_t context, const struct mx_arch *arch,
                              const struct mx_kv_advice_request *request, struct mx_mode_evidence *found);

/* The best that was measured of plans (calibrate) for this very model: of those that reach the bar the one with the
 * fewest bytes per token; NULL where there is none. */
const struct mx_evidence_cell *mx_plan_evidence(const struct mx_arch *arch, const struct mx_kv_advice_request *request,
                                                const struct mx_evidence **evidence);

#endif
