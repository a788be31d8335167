/* What is advised while nothing was measured for a model: one table of rules that follow from what was measured on
 * ours, and one that is more careful. docs/advisor.md has both.
 */
#ifndef MX_ADVISOR_KV_RULES_H
#define MX_ADVISOR_KV_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/mode.h"
#include "config/arch.h"

enum mx_range { MX_RANGE_SHORT, MX_RANGE_MEDIUM, MX_RANGE_LONG, MX_RANGE_COUNT };

enum mx_rules {
    MX_RULES_MEASURED,     /* never a mode that another one that runs beats in bytes, speed and measured loss */
    MX_RULES_CONSERVATIVE, /* fp16, int8, fp16+turbo4, turbo4 and fp16+turbo3 alone; no turbo codes for heads whose
                              dimension is no power of two */
};

enum { MX_MAX_ALTERNATIVES = 3 };

struct mx_kv_rule {
    enum mx_mode suggested, alternatives[MX_MAX_ALTERNATIVES];
    int alternative_count;
    const char *reason;
};

/* The rule for a model and a range of contexts. Static. */
const struct mx_kv_rule *mx_kv_rule_of(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range);

/* True for the modes that a set of rules knows. */
bool mx_kv_rules_know(enum mx_rules rules, enum mx_mode mode);

/* What was measured of each mode: mean divergence from fp16 in nats (bench/results/quality-llama.txt, -qwen3.txt,
 * -phi.txt: the worst, under the default protections) and decode speed over fp16's at 16,384 tokens
 * (bench/results/speed-qwen3-0.6b.txt). Small models; the order is what counts. */
struct mx_mode_figures {
    double loss, speed;
};
struct mx_mode_figures mx_mode_figures(enum mx_mode mode);

#endif
