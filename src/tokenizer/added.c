/* Added tokens: reading, and cutting a text at them. */
#include "tokenizer/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { MAX_CONTENT = 4096 }; /* bytes of one token */

static mx_status read_token(struct mx_added_token *token, const struct mx_settings *settings)
{
    if (!cJSON_IsObject(settings->json))
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: not an object", settings->file, settings->place);
    MX_TRY(mx_settings_text(settings, "content", NULL, &token->content));
    token->length = strlen(token->content);
    if (token->length > MAX_CONTENT)
        return mx_fail(settings->err, MX_ERR_LIMIT, "%s: %s: an added token of %zu bytes; the limit is %d",
                       settings->file, settings->place, token->length, (int)MAX_CONTENT);
    MX_TRY(mx_settings_bool(settings, "special", false, &token->special));
    MX_TRY(mx_settings_bool(settings, "single_word", false, &token->single_word));
    MX_TRY(mx_settings_bool(settings, "lstrip", false, &token->lstrip));
    MX_TRY(mx_settings_bool(settings, "rstrip", false, &token->rstrip));
    return mx_settings_bool(settings, "normalized", !token->special, &token->normalized);
}

static mx_status read_tokens(struct mx_added *added, const struct mx_settings *settings, const struct mx_vocab *model,
                             bool exact)
{
    const cJSON *item;
    struct mx_settings inner = *settings;
    int64_t next = (int64_t)model->count;
    cJSON_ArrayForEach (item, settings->json) {
        struct mx_added_token token = {0};
        inner.json = item;
        MX_TRY(read_token(&token, &inner));
        if (!token.length) continue;
        const int32_t known = mx_vocab_find(&added->vocab, token.content, token.length);
        token.id = known >= 0 ? known : mx_vocab_find(model, token.content, token.length);
        if (exact) {
            int64_t given;
            MX_TRY(mx_settings_whole(&inner, "id", -1, 0, MX_VOCAB_MAX_ID, &given));
            if (known < 0) token.id = (int32_t)given;
        }
        const int64_t id = token.id >= 0 ? token.id : next;
        if (known < 0 && mx_vocab_piece(&added->vocab, (int32_t)id, NULL))
            return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: the added token \"%.40s\" would share the id %lld",
                           settings->file, settings->place, token.content, (long long)id);
        MX_TRY(mx_vocab_add(&added->vocab, token.content, token.length, id, settings->file, settings->err));
        token.id = (int32_t)id;
        if (id >= next) next = id + 1;
        size_t at = added->count;
        if (known >= 0) { /* said again: the later entry counts */
            for (at = 0; added->tokens[at].id != known;) at++;
        }
        added->tokens[at] = token;
        if (at == added->count) added->count++;
    }
    return MX_OK;
}

/* The trie of the tokens that are (or are not) to be found in normalized text. */
static mx_status build_trie(struct mx_added *added, bool normalized, const struct mx_normalizer *normalizer,
                            struct mx_trie *trie, const struct mx_settings *settings)
{
    struct mx_trie_key *keys = calloc(added->count + 1, sizeof *keys);
    if (!keys) return mx_fail_memory(settings->err, "the added tokens", added->count * sizeof *keys);
    struct mx_str out = {0}, spare = {0};
    struct mx_regex_state state = {0};
    size_t used = 0;
    mx_status status = MX_OK;
    for (size_t i = 0; i < added->count && status == MX_OK; i++) {
        struct mx_added_token *token = &added->tokens[i];
        if (token->normalized != normalized) continue;
        const char *text = token->content;
        size_t length = token->length;
        if (normalized && normalizer->steps) {
            bool front = false;
            status = mx_normalizer_apply(normalizer, &state, text, length, &out, &spare, &front, settings->err);
            length = out.length;
            text = status == MX_OK ? mx_arena_strndup(settings->arena, mx_str_text(&out), length) : NULL;
            if (status == MX_OK && !text) status = mx_fail_memory(settings->err, "the added tokens", length);
        }
        if (length > UINT32_MAX) status = mx_fail_memory(settings->err, "the added tokens", length);
        if (status != MX_OK) break;
        token->spelling = text;
        token->spelling_length = length;
        if (length) keys[used++] = (struct mx_trie_key){text, (uint32_t)length, (int32_t)i};
    }
    if (status == MX_OK) status = mx_trie_build(trie, keys, used, true, settings->err);
    mx_regex_state_free(&state);
    mx_str_free(&out);
    mx_str_free(&spare);
    free(keys);
    return status;
}

mx_status mx_added_parse(struct mx_added *added, const struct mx_settings *settings, const struct mx_vocab *model,
                         const struct mx_normalizer *normalizer, bool exact)
{
    *added = (struct mx_added){0};
    if (settings->json && !cJSON_IsNull(settings->json)) {
        if (!cJSON_IsArray(settings->json))
            return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: not a list", settings->file, settings->place);
        const size_t room = (size_t)cJSON_GetArraySize(settings->json);
        added->tokens = mx_arena_array(settings->arena, room, sizeof *added->tokens);
        if (!added->tokens) return mx_fail_memory(settings->err, "the added tokens", room * sizeof *added->tokens);
        MX_TRY(mx_vocab_reserve(&added->vocab, model->size + room, 0, settings->file, settings->err));
        MX_TRY(read_tokens(added, settings, model, exact));
    }
    added->by_id = mx_table_alloc(added->vocab.size + 1, sizeof *added->by_id);
    if (!added->by_id) return mx_fail_memory(settings->err, "the added tokens", added->vocab.size * sizeof(void *));
    for (size_t i = 0; i < added->count; i++) added->by_id[added->tokens[i].id] = &added->tokens[i];
    MX_TRY(build_trie(added, false, normalizer, &added->plain, settings));
    return build_trie(added, true, normalizer, &added->normalized, settings);
}

const struct mx_added_token *mx_added_of(const struct mx_added *added, int32_t id)
{
    return id >= 0 && (size_t)id < added->vocab.size ? added->by_id[id] : NULL;
}

void mx_added_free(struct mx_added *added)
{
    mx_trie_free(&added->plain);
    mx_trie_free(&added->normalized);
    mx_vocab_free(&added->vocab);
    free(added->by_id);
}

static bool stands_alone(const struct mx_added_walk *walk, size_t start, size_t end)
{
    const char *at = walk->text + end, *before;
    if (start > 0 && mx_char_is_word(mx_utf8_before(walk->text, walk->text + start, &before))) return false;
    return end == walk->length || !mx_char_is_word(mx_utf8_next(&at));
}

/* How far the white space reaches that adjoins a match. */
static size_t left_of(const struct mx_added_walk *walk, size_t start)
{
    while (start > walk->done) {
        const char *before;
        if (!mx_char_is_space(mx_utf8_before(walk->text, walk->text + start, &before))) break;
        start = (size_t)(before - walk->text);
    }
    return start > walk->done ? start : walk->done;
}

static size_t right_of(struct mx_added_walk *walk, size_t end)
{
    /* Of white space that an earlier token took the end is known: a run of tokens in it is walked once. */
    if (end < walk->spaces_start || end > walk->spaces_end) {
        walk->spaces_start = walk->spaces_end = end;
        while (walk->spaces_end < walk->length) {
            const char *at = walk->text + walk->spaces_end;
            if (!mx_char_is_space(mx_utf8_next(&at))) break;
            walk->spaces_end = (size_t)(at - walk->text);
        }
    }
    return walk->spaces_end;
}

static bool find_token(const struct mx_added *added, const struct mx_trie *trie, struct mx_added_walk *walk)
{
    size_t start, end;
    int32_t index;
    while (mx_trie_search(trie, walk->text, walk->length, walk->next, &start, &end, &index)) {
        const struct mx_added_token *token = &added->tokens[index];
        walk->next = end;
        if (token->single_word && !stands_alone(walk, start, end)) continue;
        walk->token_start = token->lstrip ? left_of(walk, start) : start;
        walk->token_end = token->rstrip ? right_of(walk, end) : end;
        if (walk->token_start >= walk->token_end) continue; /* all of it was white space that the one before took */
        walk->token_id = token->id;
        return true;
    }
    walk->next = walk->length;
    return false;
}

bool mx_added_next(const struct mx_added *added, const struct mx_trie *trie, struct mx_added_walk *walk)
{
    if (!walk->held) {
        walk->held = walk->next < walk->length && find_token(added, trie, walk);
        const size_t end = walk->held ? walk->token_start : walk->length;
        if (walk->done < end) {
            walk->start = walk->done;
            walk->end = walk->done = end;
            walk->id = -1;
            return true;
        }
    }
    if (!walk->held) return false;
    walk->held = false;
    walk->start = walk->token_start;
    walk->end = walk->done = walk->token_end;
    walk->id = walk->token_id;
    return true;
}
