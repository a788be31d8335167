/* How tokens are picked and when a reply ends: shared by the commands that write text. */
#ifndef MX_CLI_SAMPLER_FLAGS_H
#define MX_CLI_SAMPLER_FLAGS_H

#include "cli/command.h"
#include "engine/reply.h"

struct mx_sampler_flags {
    double temperature, top_p, min_p, repeat_penalty;
    int64_t top_k, seed;
    struct mx_flag_list stops;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): a member is not an expression */
/* clang-format off */
#define MX_SAMPLER_FLAGS_DEFAULT {.top_p = 1, .repeat_penalty = 1}

#define MX_SAMPLER_FLAG_ROWS(type, member)                                                                             \
    {"temp", 0, MX_FLAG_NUMBER, "T", "temperature; 0 takes the likeliest token (default 0)",                            \
     offsetof(type, member.temperature), 0, 100},                                                                      \
    {"top-k", 0, MX_FLAG_WHOLE, "K", "sample from the K likeliest tokens", offsetof(type, member.top_k), 0, 1 << 24},         \
    {"top-p", 0, MX_FLAG_NUMBER, "P", "sample from the likeliest tokens that together reach P",                \
     offsetof(type, member.top_p), 1e-6, 1},                                                                           \
    {"min-p", 0, MX_FLAG_NUMBER, "P", "sample from tokens at least P times as likely as the likeliest",                       \
     offsetof(type, member.min_p), 0, 1},                                                                              \
    {"repeat-penalty", 0, MX_FLAG_NUMBER, "R", "make the last 64 tokens less likely (try 1.1)",                    \
     offsetof(type, member.repeat_penalty), 0.01, 100},                                                                \
    {"seed", 0, MX_FLAG_WHOLE, "N", "the same seed gives the same text (default 0)",                                   \
     offsetof(type, member.seed), 0, 0x1p53},                                                                          \
    {"stop", 0, MX_FLAG_LIST, "TEXT", "stop before this text; may be repeated",                              \
     offsetof(type, member.stops)}
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */

/* The settings of a reply; the strings stay the flags'. */
static inline struct mx_generate_options mx_reply_options(const struct mx_sampler_flags *flags, int64_t tokens)
{
    return (struct mx_generate_options){
        .max_tokens = (uint32_t)tokens,
        .sampler = {.temperature = flags->temperature,
                    .top_k = (uint32_t)flags->top_k,
                    .top_p = flags->top_p,
                    .min_p = flags->min_p,
                    .repeat_penalty = flags->repeat_penalty,
                    .seed = (uint64_t)flags->seed},
        .stops = flags->stops.items,
        .stop_count = (size_t)flags->stops.count,
    };
}

#endif
