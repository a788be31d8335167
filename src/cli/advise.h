/* What `recommend`, `inspect` and `generate --recommend-quant` share: their flags, the machine they advise for, and all
 * that is known of one model. */
#ifndef MX_CLI_ADVISE_H
#define MX_CLI_ADVISE_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "advisor/advise.h"
#include "base/pool.h"
#include "cli/bandwidth.h"
#include "cli/command.h"
#include "cli/kv_flags.h"

struct mx_advise_flags {
    int64_t context, batch;     /* context 0: the default */
    int64_t threads;            /* 0: the machine's cores */
    uint64_t budget, bandwidth; /* 0: not given */
    bool measure;
    const char *evidence; /* NULL: what lies beside the program */
    int prefer;           /* 0: speed, 1: memory */
    const char *quality;  /* a grade; NULL: high */
    int rules;            /* enum mx_rules */
    bool json;
    bool serve; /* `recommend` answers how many users can be served */
    struct mx_kv_flags kv;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): a member is not an expression */
/* clang-format off */
#define MX_ADVISE_FLAGS_DEFAULT {.batch = 1, .kv = MX_KV_FLAGS_DEFAULT}

#define MX_ADVISE_FLAG_ROWS(type, member)                                                                              \
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "tokens of context to plan for (default 4096; 32k is 32768)",                     \
     offsetof(type, member.context), 1, MX_ESTIMATE_MAX_CONTEXT},                                                      \
    {"batch", 'b', MX_FLAG_WHOLE, "N", "sequences held at once (default 1)",                                           \
     offsetof(type, member.batch), 1, MX_ESTIMATE_MAX_BATCH},                                                          \
    {"threads", 't', MX_FLAG_WHOLE, "N", "threads to plan for (default: all cores)",                                   \
     offsetof(type, member.threads), 1, MX_POOL_MAX_THREADS},                                                          \
    {"budget", 0, MX_FLAG_BYTES, "SIZE", "memory to plan for, 8GB or bytes, instead of this machine's",                \
     offsetof(type, member.budget)},                                                                                   \
    {"bandwidth", 0, MX_FLAG_BYTES, "SIZE", "read bandwidth per second, 40GB, instead of the measured one",          \
     offsetof(type, member.bandwidth)},                                                                                \
    {"measure", 0, MX_FLAG_SWITCH, NULL, "measure this machine's read bandwidth again",                                \
     offsetof(type, member.measure)},                                                                                  \
    {"evidence", 0, MX_FLAG_PATH, "none|PATH", "measurements: a folder or store (default: mlxcel's and your own)",     \
     offsetof(type, member.evidence)},                                                                                 \
    {"quality", 0, MX_FLAG_TEXT, "GRADE", "lowest grade to suggest: near-lossless, high, acceptable",  \
     offsetof(type, member.quality)},                                                                                  \
    {"prefer", 0, MX_FLAG_CHOICE, "speed|memory", "among measured modes of that grade, the fastest or smallest",        \
     offsetof(type, member.prefer)},                                                                                   \
    {"rules", 0, MX_FLAG_CHOICE, "own|conservative", "rules where nothing was measured (docs/advisor.md)",  \
     offsetof(type, member.rules)},                                                                                    \
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON (docs/json.md)", offsetof(type, member.json)},                       \
    MX_KV_FLAG_ROWS(type, member.kv)
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/* What the flags, the machine and the evidence make of a request. */
struct mx_adviser {
    const struct mx_cli *cli;
    struct mx_advise_flags flags;
    struct mx_machine machine;
    struct mx_bandwidth bandwidth;
    struct mx_evidence_set evidence;
    struct mx_advise_request request; /* points into this struct: an open adviser is not moved */
};
mx_status mx_adviser_open(struct mx_adviser *adviser, const struct mx_cli *cli, const struct mx_advise_flags *flags,
                          struct mx_error *err);
void mx_adviser_close(struct mx_adviser *adviser);

/* Prints the advice for `count` models: one in full, several side by side; or JSON. For `recommend` and for
 * `generate --recommend-quant`. */
mx_status mx_recommend(const struct mx_cli *cli, const struct mx_advise_flags *flags, char *const *paths, int count,
                       struct mx_error *err);

/* For `generate --estimate-memory`: fails with MX_ERR_LIMIT, saying by how much and what would fit, if the model does
 * not fit this machine with this context (0: the default) and mode. Loads no weights. */
mx_status mx_check_memory(const struct mx_cli *cli, const char *path, uint64_t context, const struct mx_kv_options *kv,
                          struct mx_error *err);

/* What a model is, in words: its class, or why it has none. Static. */
const char *mx_kind_text(const struct mx_arch *arch);

/* The lines "Model", "Weights", ... that both commands begin with. */
void mx_print_model_lines(const struct mx_adviser *adviser, const struct mx_model_advice *advice);

/* "12 full, 4 sliding (window 4,096), 2 recurrent" into buffer[256]; returns buffer. */
const char *mx_layers_text(const struct mx_arch *arch, char buffer[256]);

/* Where the model lies, quoted for a shell, into buffer: a folder in place of its config.json. */
const char *mx_shell_path(const char *path, char *buffer, size_t size);

/* What could be done where a model does not fit, with the flags that do it, into buffer[256]; returns buffer. "" where
 * it fits. */
const char *mx_remedy_text(const struct mx_remedy *remedy, char buffer[256]);

/* How many users of the context fit in which mode, and how fast: `recommend --serve`. */
mx_status mx_print_serving(const struct mx_adviser *adviser, const struct mx_model_advice *model, struct mx_error *err);

/* JSON of one model (docs/json.md); NULL when memory runs out. */
cJSON *mx_recommend_json(const struct mx_adviser *adviser, const struct mx_model_advice *model);
cJSON *mx_inspect_json(const struct mx_adviser *adviser, const struct mx_model_advice *model);

/* The command that shows how a mode fares at a context, into buffer; returns buffer. Where the weights lie is DIR if
 * they are not here. */
const char *mx_try_command(const struct mx_model_advice *advice, enum mx_mode mode, char *buffer, size_t size);

/* Adds the measurements to go by: of `given`; where it is NULL those that came with the program
 * and those in the user's own store. Says in notes which files were of no use. */
mx_status mx_evidence_open(struct mx_evidence_set *set, const char *given, const struct mx_cli *cli,
                           struct mx_error *err);

#endif
