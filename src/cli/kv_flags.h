/* The flags that choose a KV-cache mode, shared by every command that has a cache.
 *
 *     struct options { ...; struct mx_kv_flags kv; };
 *     static const struct options defaults = {.kv = MX_KV_FLAGS_DEFAULT};
 *     static const struct mx_flag flags[] = {..., MX_KV_FLAG_ROWS(struct options, kv), {0}};
 */
#ifndef MX_CLI_KV_FLAGS_H
#define MX_CLI_KV_FLAGS_H

#include "cache/mode.h"
#include "cli/command.h"
#include "cli/engine_flags.h"

struct mx_kv_flags {
    const char *mode, *type_k, *type_v;
    int64_t recent, sink, boundary_v;
    int center; /* enum mx_center */
    int scale;  /* enum mx_scale_rule */
    int64_t sign_seed;
    bool force, all_coded;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): a member is not an expression */
/* clang-format off */
#define MX_KV_FLAGS_DEFAULT {.recent = -1, .sink = -1, .center = MX_CENTER_AUTO, .scale = MX_SCALE_UNBIASED}

#define MX_KV_FLAG_ROWS(type, member)                                                                                  \
    {"kv-cache-mode", 0, MX_FLAG_TEXT, "MODE",                                                                         \
     "cache mode: fp16 (default), int8, ..., a plan FILE, advised", offsetof(type, member.mode)},         \
    {"cache-type-k", 0, MX_FLAG_TEXT, "TYPE", "the type of K alone; overrides --kv-cache-mode",                         \
     offsetof(type, member.type_k)},                                                                                   \
    {"cache-type-v", 0, MX_FLAG_TEXT, "TYPE", "the type of V alone; overrides --kv-cache-mode", offsetof(type, member.type_v)},                               \
    {"kv-recent", 0, MX_FLAG_WHOLE, "N", "newest tokens kept in fp16 (default: the mode's, 64 for turbo)",             \
     offsetof(type, member.recent), 0, 1 << 20},                                                                       \
    {"kv-sink", 0, MX_FLAG_WHOLE, "N", "first tokens kept in fp16 (default 4 for turbo)",                              \
     offsetof(type, member.sink), 0, 1 << 20},                                                                         \
    {"turbo-boundary-v", 0, MX_FLAG_WHOLE, "N", "V of the first and last N layers in fp16 (default 0)",                \
     offsetof(type, member.boundary_v), 0, 1024},                                                                      \
    {"kv-center", 0, MX_FLAG_CHOICE, "off|on|auto", "subtract bias and mean from K before coding (default auto)",           \
     offsetof(type, member.center)},                                                                                   \
    {"kv-scale-rule", 0, MX_FLAG_CHOICE, "norm|ls|unbiased", NULL, offsetof(type, member.scale)},                      \
    {"kv-sign-seed", 0, MX_FLAG_WHOLE, "N", NULL, offsetof(type, member.sign_seed), 0, 1 << 30},                       \
    {"kv-all-coded", 0, MX_FLAG_SWITCH, NULL, NULL, offsetof(type, member.all_coded)},                                 \
    {"force-kv-mode", 0, MX_FLAG_SWITCH, NULL, "run the requested mode even where it is unproven",                     \
     offsetof(type, member.force)}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/* What the flags, and the environment where they are silent, ask for. Prints a note where split types override a mode
 * that was given too. */
mx_status mx_kv_flags_read(struct mx_kv_options *options, const struct mx_kv_flags *flags, const struct mx_cli *cli,
                           struct mx_error *err);

/* Where the mode is "advised": takes what the advisor suggests for `context` tokens of the model that the flags mean
 * (as `recommend` does, with the measurements that it goes by), and says so in a note; where it is turbo4, lets it run
 * if measurements graded it (mx_take_evidence), and says whose. To be called when the context is known and before there
 * is a cache. */
mx_status mx_kv_flags_advise(struct mx_kv_options *options, const struct mx_kv_flags *flags, const struct mx_cli *cli,
                             const struct mx_engine_flags *engine, uint64_t context, struct mx_error *err);
/* The same for modes of a list, which take the place of the options' own: options->proof, where turbo4 is among them.
 */
mx_status mx_kv_flags_prove(struct mx_kv_options *options, const enum mx_mode *modes, size_t count,
                            const struct mx_cli *cli, const struct mx_engine_flags *engine, uint64_t context,
                            struct mx_error *err);
/* MX_ERR_ARGUMENT if the mode is "advised", where that makes no sense: `why` says so. */
mx_status mx_kv_flags_refuse_advised(const struct mx_kv_flags *flags, const char *why, struct mx_error *err);

#endif
