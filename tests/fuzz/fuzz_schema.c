/* Fuzz target: a JSON Schema, and as many bytes of the input as a random reply under its mask. Whatever the schema is,
 * it is compiled within its limits or refused in one line; a reply that is complete is JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/random.h"
#include "structure/constraint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCAB = 256 + 8, TOKENS = 300 };

static mx_status bytes_of(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    static const char *const texts[VOCAB - 256] = {"{\"", "\":", "\",", "\"}", "true", "12", "\\u00", "]}"};
    (void)context;
    (void)err;
    if (token < 256)
        mx_str_putc(bytes, (char)token);
    else
        mx_str_puts(bytes, texts[token - 256]);
    return MX_OK;
}

/* A token of the mask; those that end something come more often. */
static int32_t draw(struct mx_random *random, const uint64_t *mask)
{
    static const char ends[] = "\"}]0";
    const int32_t wanted = (unsigned char)ends[mx_random_u64(random) % 4];
    if (mask[wanted / 64] >> wanted % 64 & 1) return wanted;
    for (int32_t token = (int32_t)(mx_random_u64(random) % VOCAB);; token = (token + 1) % VOCAB) {
        if (mask[token / 64] >> token % 64 & 1) return token;
    }
}

static void reply(struct mx_constraint *constraint, const struct mx_token_trie *trie, uint64_t seed)
{
    struct mx_random random = {seed};
    struct mx_str text = {0};
    for (int i = 0; i < TOKENS; i++) {
        uint64_t mask[(VOCAB + 63) / 64];
        const bool any = mx_constraint_mask(constraint, mask);
        if (!any && !mx_constraint_ended(constraint)) abort();
        if (!any) break;
        const int32_t token = draw(&random, mask);
        if (!mx_constraint_accept(constraint, token)) abort();
        mx_str_append(&text, trie->bytes + trie->start[token], trie->start[token + 1] - trie->start[token]);
    }
    if (mx_constraint_complete(constraint)) {
        const struct mx_json_rules rules = {.allow_duplicates = true};
        cJSON *value;
        if (mx_json_parse(&value, mx_str_text(&text), text.length, "reply", &rules, NULL) != MX_OK) abort();
        cJSON_Delete(value);
    }
    mx_str_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mx_token_trie *trie;
    if (!trie && mx_token_trie_open(&trie, VOCAB, bytes_of, NULL, NULL) != MX_OK) abort();
    struct mx_constraint *constraint;
    struct mx_error err = {0};
    const mx_status status = mx_constraint_from_schema(&constraint, (const char *)data, size, "schema", trie, &err);
    if (status != MX_OK) {
        if (!err.message[0] || strchr(err.message, '\n')) abort();
        return 0;
    }
    for (uint64_t seed = 0; seed < 3; seed++) {
        if (mx_constraint_begin(constraint, &err) != MX_OK) abort();
        reply(constraint, trie, seed + size);
    }
    mx_constraint_close(constraint);
    return 0;
}
