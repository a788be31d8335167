/* Opening a session from flags, and reading what it works on. */
#include "cli/engine_flags.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/place.h"
#include "cli/output.h"
#include "cli/process.h"

#define BUNDLED "models/demo-llama-7m"
static const size_t TEXT_LIMIT = (size_t)1 << 30; /* bytes of a text or token file */

mx_status mx_model_folder(const struct mx_engine_flags *flags, char *buffer, size_t size, const char **folder,
                          struct mx_error *err)
{
    *folder = buffer;
    if (flags->model) {
        char *found;
        MX_TRY(mx_place_folder(&found, flags->model, err));
        const bool fits = snprintf(buffer, size, "%s", found) < (int)size;
        free(found);
        return fits ? MX_OK
                    : mx_fail(err, MX_ERR_ARGUMENT, "%s: a path of more than %zu bytes", flags->model, size - 1);
    }
    snprintf(buffer, size, "%s", BUNDLED);
    if (mx_is_directory(buffer)) return MX_OK;
    static const char *const places[] = {"../../" BUNDLED,
                                         "../share/mlxcel/" BUNDLED}; /* of build/PRESET/, of PREFIX/bin/ */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (mx_process_beside(buffer, size, places[i]) && mx_is_directory(buffer)) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT, "the bundled model (" BUNDLED ") is not here; give a model's folder with -m");
}

mx_status mx_engine_open(struct mx_session **session, const struct mx_cli *cli, const struct mx_engine_flags *flags,
                         bool text, struct mx_error *err)
{
    struct mx_session_options options = mx_session_options_default();
    options.threads = (int)flags->threads;
    options.text = text;
    if (flags->cpu) MX_TRY(mx_cpu_parse(flags->cpu, &options.cpu, err));
    char buffer[4096];
    const char *folder;
    MX_TRY(mx_model_folder(flags, buffer, sizeof buffer, &folder, err));
    const struct mx_progress progress = mx_progress_bar(cli);
    MX_TRY(mx_session_open(session, folder, &options, &progress, err));
    const size_t skipped = mx_model_skipped_tensors(mx_session_model(*session));
    const struct mx_arch *arch = mx_session_arch(*session);
    if (skipped)
        mx_print_note(cli, "%zu tensors of the other parts of %s are skipped: it runs as a text model", skipped,
                      arch->outer_type[0] ? arch->outer_type : arch->model_type);
    const char *note = text ? mx_tokenizer_note(mx_session_tokenizer(*session)) : NULL;
    if (note) mx_print_note(cli, "%s", note);
    return MX_OK;
}

void mx_note_kv_setup(const struct mx_cli *cli, const struct mx_kv_setup *setup)
{
    if (setup->reason[0]) mx_print_note(cli, "%s", setup->reason);
}

const char *mx_kv_setup_text(const struct mx_kv_setup *setup, char buffer[96])
{
    snprintf(buffer, 96, "%s, applied to %u of %u layers", mx_mode_info(setup->mode)->name, setup->applied_layers,
             setup->cache_layers);
    return buffer;
}

/* Line of a place in a text, from 1. */
static size_t line_of(const char *text, const char *place)
{
    size_t line = 1;
    for (; text < place; text++) line += *text == '\n';
    return line;
}

static mx_status parse_ids(const char *path, const char *text, size_t length, struct mx_ids *ids, struct mx_error *err)
{
    const char *const end = text + length;
    for (const char *cursor = text;;) {
        while (cursor < end && strchr(" \t\r\n", *cursor) && *cursor) cursor++;
        if (cursor == end) break;
        char *after;
        errno = 0;
        const long long id = strtoll(cursor, &after, 10);
        const bool ends = after == end || (*after && strchr(" \t\r\n", *after));
        const size_t word = strcspn(cursor, " \t\r\n");
        if (after == cursor || !ends || errno || id < 0 || id > INT32_MAX) {
            return mx_fail(err, MX_ERR_FORMAT, "%s, line %zu: \"%.*s\" is not a token id", path, line_of(text, cursor),
                           (int)(word < 20 ? word : 20), cursor);
        }
        MX_TRY(mx_ids_append(ids, (int32_t)id, err));
        cursor = after;
    }
    return ids->count ? MX_OK : mx_fail(err, MX_ERR_FORMAT, "%s: no token ids in it", path);
}

/* Reads what comes, waiting in a way that Ctrl-C ends. */
static mx_status read_to_end(int descriptor, const char *name, struct mx_str *text, struct mx_error *err)
{
    char block[65536];
    for (;;) {
        if (!mx_process_wait_input(descriptor)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        const ssize_t got = read(descriptor, block, sizeof block);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) return mx_fail(err, MX_ERR_IO, "reading %s: %s", name, strerror(errno));
        if (got == 0) return MX_OK;
        mx_str_append(text, block, (size_t)got);
        if (text->length > TEXT_LIMIT) return mx_fail(err, MX_ERR_LIMIT, "%s is longer than 1 GiB", name);
    }
}

static mx_status read_pipe(const char *path, struct mx_str *text, struct mx_error *err)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a writer is waited for below */
    if (descriptor < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const mx_status status = read_to_end(descriptor, path, text, err);
    close(descriptor);
    return status;
}

static mx_status read_file(const char *path, struct mx_str *text, struct mx_error *err)
{
    char *data;
    size_t length;
    MX_TRY(mx_file_read(path, TEXT_LIMIT, &data, &length, err));
    mx_str_append(text, data, length);
    free(data);
    return MX_OK;
}

mx_status mx_read_text(const char *path, struct mx_str *text, struct mx_error *err)
{
    const bool standard_input = !path || !strcmp(path, "-");
    MX_TRY(standard_input       ? read_to_end(STDIN_FILENO, "standard input", text, err)
           : mx_is_stream(path) ? read_pipe(path, text, err)
                                : read_file(path, text, err));
    return mx_str_failed(text) ? mx_fail_memory(err, "the text", text->length) : MX_OK;
}

mx_status mx_read_token_file(const char *path, struct mx_ids *ids, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_status status = mx_read_text(path, &text, err);
    if (status == MX_OK)
        status = parse_ids(path && strcmp(path, "-") != 0 ? path : "standard input", mx_str_text(&text), text.length,
                           ids, err);
    mx_str_free(&text);
    return status;
}

mx_status mx_read_ids(const struct mx_session *session, const char *token_file, const char *text_file,
                      struct mx_ids *ids, struct mx_error *err)
{
    if (token_file) return mx_read_token_file(token_file, ids, err);
    struct mx_str text = {0};
    mx_status status = mx_read_text(text_file, &text, err);
    if (status == MX_OK) {
        status = mx_tokenizer_encode(mx_session_tokenizer(session), mx_str_text(&text), text.length, true, ids, err);
    }
    mx_str_free(&text);
    return status;
}
