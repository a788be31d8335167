/* Sessions. */
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/str.h"
#include "base/units.h"
#include "cache/size.h"
#include "engine/identity.h"

struct mx_session {
    char *directory; /* of the model */
    struct mx_pool *pool;
    struct mx_model *model;
    struct mx_tokenizer *tokenizer;
    struct mx_chat *chat;
    struct mx_token_trie *trie; /* NULL before it is wanted */
    enum mx_cpu_level cpu;
    double load_seconds;
    struct mx_sequence *sequence;
    struct mx_workspace *workspace;
    uint64_t limit;  /* tokens asked for; the cache may hold a few more */
    int32_t *tokens; /* [mx_sequence_context] */
    size_t count;
    uint32_t marks;
};

struct mx_session_options mx_session_options_default(void)
{
    return (struct mx_session_options){.cpu = mx_cpu_detect(), .text = true};
}

int mx_default_threads(void)
{
    struct mx_machine machine;
    mx_machine_probe(&machine);
    return mx_machine_threads(&machine);
}

static mx_status open_text(struct mx_session *session, const char *directory, struct mx_error *err)
{
    if (!mx_tokenizer_file(directory))
        return mx_fail(err, MX_ERR_IO,
                       "%s/tokenizer.json is not there, nor tokenizer.model or tekken.json: without it the model takes "
                       "token ids only (logits, bench, perplexity --tokens-file)",
                       directory);
    mx_status status = mx_tokenizer_open(&session->tokenizer, directory, err);
    if (status == MX_OK) status = mx_chat_open(&session->chat, directory, session->tokenizer, err);
    return status;
}

static mx_status open_parts(struct mx_session *session, const char *directory, const struct mx_session_options *options,
                            const struct mx_progress *progress, struct mx_error *err)
{
    MX_TRY(mx_pool_open(&session->pool, options->threads ? options->threads : mx_default_threads(), err));
    MX_TRY(mx_model_open(&session->model, directory, progress, err));
    return options->text ? open_text(session, directory, err) : MX_OK;
}

mx_status mx_session_open(struct mx_session **out, const char *directory, const struct mx_session_options *options,
                          const struct mx_progress *progress, struct mx_error *err)
{
    *out = NULL;
    const double start = mx_seconds();
    struct mx_session *session = calloc(1, sizeof *session);
    if (!session) return mx_fail_memory(err, "a session", sizeof *session);
    session->cpu = options->cpu;
    session->directory = mx_strndup(directory, strlen(directory));
    const mx_status status = !session->directory ? mx_fail_memory(err, "a path", strlen(directory))
                                                 : open_parts(session, directory, options, progress, err);
    if (status != MX_OK) {
        mx_session_close(session);
        return status;
    }
    session->load_seconds = mx_seconds() - start;
    *out = session;
    return MX_OK;
}

static void end(struct mx_session *session)
{
    mx_sequence_close(session->sequence);
    mx_workspace_close(session->workspace);
    free(session->tokens);
    session->sequence = NULL;
    session->workspace = NULL;
    session->tokens = NULL;
    session->count = 0;
}

void mx_session_close(struct mx_session *session)
{
    if (!session) return;
    end(session);
    mx_token_trie_close(session->trie);
    mx_chat_close(session->chat);
    mx_tokenizer_close(session->tokenizer);
    mx_model_close(session->model);
    mx_pool_close(session->pool);
    free(session->directory);
    free(session);
}

static mx_status token_bytes(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    const struct mx_tokenizer *tokenizer = context;
    if (token >= mx_tokenizer_vocab_size(tokenizer)) return MX_OK; /* rows that pad the embeddings */
    if (mx_tokenizer_is_special(tokenizer, token)) mx_str_putc(bytes, (char)MX_TOKEN_SPECIAL);
    return mx_tokenizer_bytes(tokenizer, token, bytes, err);
}

mx_status mx_session_trie(struct mx_session *session, const struct mx_token_trie **trie, struct mx_error *err)
{
    if (!session->trie) {
        const uint32_t vocab = mx_model_arch(session->model)->vocab;
        if (!session->tokenizer) return mx_fail(err, MX_ERR_ARGUMENT, "the session was opened without a tokenizer");
        MX_TRY(mx_token_trie_open(&session->trie, vocab, token_bytes, session->tokenizer, err));
    }
    *trie = session->trie;
    return MX_OK;
}

static mx_status check_memory(const struct mx_session *session, const struct mx_session_begin *begin, uint32_t chunk,
                              const struct mx_kv_setup *setup, struct mx_error *err)
{
    const struct mx_arch *arch = mx_model_arch(session->model);
    const uint64_t cache = mx_cache_bytes(arch, setup, mx_round_up((size_t)begin->context, MX_CONTEXT_STEP)) +
                           mx_marked_state_bytes(arch, begin->marks);
    const uint64_t activations = mx_workspace_bytes(arch, chunk, begin->rows, mx_pool_threads(session->pool));
    struct mx_machine machine;
    mx_machine_probe(&machine);
    if (begin->force || !machine.available ||
        (cache <= machine.available && activations <= machine.available - cache)) {
        return MX_OK;
    }
    char need[16], have[16];
    return mx_fail(
        err, MX_ERR_LIMIT,
        "a context of %llu tokens takes %s of cache in mode %s; %s of memory is available: lower the context, or "
        "take a smaller mode",
        (unsigned long long)begin->context, mx_format_bytes(cache, need), mx_mode_info(setup->mode)->name,
        mx_format_bytes(machine.available, have));
}

static mx_status begin_parts(struct mx_session *session, const struct mx_session_begin *begin, struct mx_error *err)
{
    const struct mx_arch *arch = mx_model_arch(session->model);
    const uint32_t chunk = begin->chunk ? begin->chunk : MX_MODEL_CHUNK;
    session->limit = begin->context;
    session->marks = begin->marks;
    struct mx_kv_plan_options cache = {.key_bias = mx_model_key_bias(session->model),
                                       .context = begin->context,
                                       .marks = begin->marks,
                                       .cpu = session->cpu};
    MX_TRY(mx_kv_layers_check(&begin->kv, mx_model_fingerprint(session->model), err));
    MX_TRY(mx_kv_resolve(&cache.setup, &begin->kv, arch, err));
    MX_TRY(check_memory(session, begin, chunk, &cache.setup, err));
    MX_TRY(mx_sequence_open_alone(&session->sequence, arch, &cache, err));
    const struct mx_workspace_options workspace = {
        .chunk = chunk, .rows = begin->rows ? begin->rows : 1, .cpu = session->cpu, .pool = session->pool};
    MX_TRY(mx_workspace_open(&session->workspace, arch, &workspace, err));
    const size_t bytes = mx_sequence_context(session->sequence) * sizeof *session->tokens;
    session->tokens = malloc(bytes);
    return session->tokens ? MX_OK : mx_fail_memory(err, "the text's tokens", bytes);
}

mx_status mx_session_begin(struct mx_session *session, const struct mx_session_begin *begin, struct mx_error *err)
{
    end(session);
    const mx_status status = begin_parts(session, begin, err);
    if (status != MX_OK) end(session);
    return status;
}

const struct mx_model *mx_session_model(const struct mx_session *session)
{
    return session->model;
}

const struct mx_arch *mx_session_arch(const struct mx_session *session)
{
    return mx_model_arch(session->model);
}

const struct mx_tokenizer *mx_session_tokenizer(const struct mx_session *session)
{
    return session->tokenizer;
}

const struct mx_chat *mx_session_chat(const struct mx_session *session)
{
    return session->chat;
}

mx_status mx_session_use_template(struct mx_session *session, const char *path, struct mx_error *err)
{
    return mx_chat_use_template(session->chat, path, err);
}

struct mx_pool *mx_session_pool(const struct mx_session *session)
{
    return session->pool;
}

struct mx_sequence *mx_session_sequence(const struct mx_session *session)
{
    return session->sequence;
}

struct mx_workspace *mx_session_workspace(const struct mx_session *session)
{
    return session->workspace;
}

enum mx_cpu_level mx_session_cpu(const struct mx_session *session)
{
    return session->cpu;
}

uint64_t mx_session_cache_bytes(const struct mx_session *session)
{
    return mx_kv_store_usage(mx_sequence_store(session->sequence)).budget;
}

uint64_t mx_session_state_bytes(const struct mx_session *session)
{
    return mx_marked_state_bytes(mx_session_arch(session), session->marks);
}

uint64_t mx_session_room(const struct mx_session *session)
{
    return session->limit - session->count;
}

double mx_session_load_seconds(const struct mx_session *session)
{
    return session->load_seconds;
}

const int32_t *mx_session_tokens(const struct mx_session *session, size_t *count)
{
    *count = session->count;
    return session->tokens;
}

static void keep_logits(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)segment;
    (void)token;
    (void)count;
    *(float **)context = logits;
}

static mx_status feed(struct mx_session *session, struct mx_segment segment, float **logits,
                      const struct mx_progress *progress, struct mx_error *err)
{
    float *last = NULL;
    if (segment.n > mx_session_room(session)) {
        return mx_fail(err, MX_ERR_LIMIT, "%zu more tokens after %zu do not fit the context of %llu; raise the context",
                       segment.n, session->count, (unsigned long long)session->limit);
    }
    const struct mx_logits_sink sink = {keep_logits, &last};
    segment.sequence = session->sequence;
    segment.logits = logits != NULL;
    const mx_status status = mx_model_forward(session->model, session->workspace, &segment, 1, &sink, progress, err);
    if (status == MX_ERR_NOT_A_NUMBER) session->count = 0;
    const size_t fed = mx_sequence_length(session->sequence) - session->count;
    memcpy(session->tokens + session->count, segment.tokens, fed * sizeof *segment.tokens);
    session->count += fed;
    if (logits) *logits = last;
    return status;
}

mx_status mx_session_feed(struct mx_session *session, const int32_t *tokens, size_t n, float **logits,
                          const struct mx_progress *progress, struct mx_error *err)
{
    mx_sequence_mark(session->sequence);
    MX_TRY(feed(session, (struct mx_segment){.tokens = tokens, .n = n}, logits, progress, err));
    mx_sequence_mark(session->sequence);
    return MX_OK;
}

mx_status mx_session_decode(struct mx_session *session, int32_t token, float **logits, struct mx_error *err)
{
    return feed(session, (struct mx_segment){.tokens = &token, .n = 1, .decode = true}, logits, NULL, err);
}

void mx_session_clear(struct mx_session *session)
{
    mx_sequence_clear(session->sequence);
    session->count = 0;
}

size_t mx_session_rewind(struct mx_session *session, const int32_t *tokens, size_t n)
{
    size_t same = 0;
    while (same < session->count && same + 1 < n && session->tokens[same] == tokens[same]) same++;
    /* Windows and states may have forgotten what that position needs: then the text goes on from an earlier one. */
    same = (size_t)mx_sequence_nearest(session->sequence, same);
    if (mx_sequence_truncate(session->sequence, same, NULL) != MX_OK) {
        mx_session_clear(session);
        same = 0;
    }
    session->count = same;
    return same;
}

mx_status mx_session_save(const struct mx_session *session, const char *path, struct mx_error *err)
{
    uint64_t belongs;
    MX_TRY(mx_saved_identity(session->model, session->directory, session->pool, &belongs, err));
    return mx_sequence_save(session->sequence, path, belongs, session->tokens, err);
}

mx_status mx_session_load(struct mx_session *session, const char *path, struct mx_error *err)
{
    session->count = 0;
    int32_t *tokens = NULL;
    uint64_t belongs = 0;
    if (mx_is_file(path)) MX_TRY(mx_saved_identity(session->model, session->directory, session->pool, &belongs, err));
    MX_TRY(mx_sequence_load(session->sequence, path, belongs, &tokens, err));
    const uint64_t length = mx_sequence_length(session->sequence);
    if (length <= session->limit) {
        session->count = length;
        memcpy(session->tokens, tokens, length * sizeof *tokens);
    }
    free(tokens);
    if (length <= session->limit) return MX_OK;
    mx_sequence_clear(session->sequence);
    return mx_fail(err, MX_ERR_LIMIT, "%s: holds %llu tokens, the context %llu; raise the context", path,
                   (unsigned long long)length, (unsigned long long)session->limit);
}
