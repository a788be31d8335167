/* What the commands that run a model share: which model, on how many threads, with which kernels; reading their input;
 * and saying which cache mode runs. */
#ifndef MX_CLI_ENGINE_FLAGS_H
#define MX_CLI_ENGINE_FLAGS_H

#include "base/str.h"
#include "cache/mode.h"
#include "cli/command.h"
#include "engine/session.h"
#include "tokenizer/tokenizer.h"

struct mx_engine_flags {
    const char *model;
    int64_t threads;
    const char *cpu;
};

/* clang-format off */
#define MX_ENGINE_FLAG_ROWS(type, member)                                                                              \
    {"model", 'm', MX_FLAG_PATH, "DIR", "the model's folder (default: the bundled model)",                             \
     offsetof(type, member.model)},                                                                                    \
    {"threads", 't', MX_FLAG_WHOLE, "N", "threads (default: the machine's physical cores)",                            \
     offsetof(type, member.threads), 1, MX_POOL_MAX_THREADS},                                                          \
    {"cpu", 0, MX_FLAG_TEXT, "LEVEL", "kernels: scalar, avx2, avx512 (default: the best this machine has)",            \
     offsetof(type, member.cpu)}
/* clang-format on */

/* The folder of the model that the flags mean: the one given, or the bundled one, looked for in ./models, beside the
 * program and where `make install` puts it. `buffer` holds it. */
mx_status mx_model_folder(const struct mx_engine_flags *flags, char *buffer, size_t size, const char **folder,
                          struct mx_error *err);

/* Opens the session, with the progress bar; `text`: with its tokenizer. */
mx_status mx_engine_open(struct mx_session **session, const struct mx_cli *cli, const struct mx_engine_flags *flags,
                         bool text, struct mx_error *err);

/* A note on stderr where the mode that runs is not the one asked for, or is unproven. */
void mx_note_kv_setup(const struct mx_cli *cli, const struct mx_kv_setup *setup);
/* "int8+turbo4, applied to 28 of 28 layers" into buffer; returns buffer. */
const char *mx_kv_setup_text(const struct mx_kv_setup *setup, char buffer[96]);

/* Token ids, separated by white space, from a file or a pipe, or from standard input where `path` is NULL or "-"; says
 * where one is not a number. */
mx_status mx_read_token_file(const char *path, struct mx_ids *ids, struct mx_error *err);
/* A text from a file or a pipe, or from standard input where `path` is NULL or "-", appended to `text`. */
mx_status mx_read_text(const char *path, struct mx_str *text, struct mx_error *err);
/* Ids of --tokens-file, or of the text in -f; exactly one is not NULL. The text is encoded with its special tokens. */
mx_status mx_read_ids(const struct mx_session *session, const char *token_file, const char *text_file,
                      struct mx_ids *ids, struct mx_error *err);

#endif
