/* Random schemas, random replies under their masks: whatever comes out validates, nothing gets stuck, and a mask holds
 * exactly the tokens that would be accepted. MX_WALKS_OUT names a file that gets each schema and document as a line,
 * for another validator to judge. */
#include "support.h"

#include "base/json.h"
#include "base/random.h"
#include "structure/constraint.h"
#include "validate.h"
#include "vocab.h"

enum {
    SCHEMAS = SANITIZED ? 150 : 1500,
    WALKS = 4,      /* for each */
    PATIENCE = 60,  /* tokens, until the walk makes for the end */
    LENGTH = 20000, /* tokens, until it is taken to be stuck */
    WORDS = (TOY_VOCAB + 63) / 64
};

static uint64_t below(struct mx_random *random, uint64_t count)
{
    return mx_random_u64(random) % count;
}

/* --- schemas --- */

static void add_schema(struct mx_str *out, struct mx_random *random, int depth);

static void add_integer(struct mx_str *out, struct mx_random *random)
{
    const int low = (int)below(random, 2000) - 1000, high = low + (int)below(random, 300);
    static const char *const types[] = {"integer", "number"};
    mx_str_printf(out, "{\"type\":\"%s\"", types[below(random, 2)]);
    const uint64_t kind = below(random, 5);
    if (kind == 1 || kind == 3) mx_str_printf(out, ",\"minimum\":%d", low);
    if (kind == 2 || kind == 3) mx_str_printf(out, ",\"maximum\":%d", high);
    if (kind == 4) mx_str_printf(out, ",\"exclusiveMinimum\":%d.25,\"exclusiveMaximum\":%d.5", low, high + 2);
    mx_str_putc(out, '}');
}

static void add_string(struct mx_str *out, struct mx_random *random)
{
    static const char *const patterns[] = {"^[a-c]{2,4}$",       "^\\\\d{4}-\\\\d{2}$", "a|b",
                                           "^(red|green)+$",     "[^\\\\x00-\\\\x1f]$", "^[\xc3\xa0-\xc3\xbf]*$",
                                           "^\\\"\\\\\\\\?\\\"$"};
    const int least = (int)below(random, 5);
    mx_str_puts(out, "{\"type\":\"string\"");
    if (below(random, 3) == 0) mx_str_printf(out, ",\"pattern\":\"%s\"", patterns[below(random, 7)]);
    if (below(random, 3) == 0) mx_str_printf(out, ",\"minLength\":%d", least);
    if (below(random, 3) == 0) mx_str_printf(out, ",\"maxLength\":%d", least + (int)below(random, 12));
    mx_str_putc(out, '}');
}

static void add_array(struct mx_str *out, struct mx_random *random, int depth)
{
    const int least = (int)below(random, 3);
    mx_str_puts(out, "{\"type\":\"array\",\"items\":");
    add_schema(out, random, depth - 1);
    if (below(random, 3) == 0) {
        mx_str_puts(out, ",\"prefixItems\":[");
        add_schema(out, random, depth - 1);
        mx_str_putc(out, ']');
    }
    if (below(random, 2)) mx_str_printf(out, ",\"minItems\":%d", least);
    if (below(random, 2)) mx_str_printf(out, ",\"maxItems\":%d", least + (int)below(random, 3));
    mx_str_putc(out, '}');
}

static void add_object(struct mx_str *out, struct mx_random *random, int depth)
{
    static const char *const names[] = {"name", "id", "a", "ab", "\xc3\xa9", "na\\\"me", "n"};
    static const char *const others[] = {"", ",\"additionalProperties\":false", ",\"additionalProperties\":true",
                                         ",\"additionalProperties\":{\"type\":\"null\"}"};
    const uint64_t mask = below(random, 128), required = below(random, 128) & mask;
    const char *comma = "";
    mx_str_puts(out, "{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 7; i++) {
        if (!(mask >> i & 1)) continue;
        mx_str_printf(out, "%s\"%s\":", comma, names[i]);
        add_schema(out, random, depth - 1);
        comma = ",";
    }
    mx_str_puts(out, "},\"required\":[");
    comma = "";
    for (int i = 0; i < 7; i++) {
        if (!(required >> i & 1)) continue;
        mx_str_printf(out, "%s\"%s\"", comma, names[i]);
        comma = ",";
    }
    mx_str_printf(out, "]%s}", others[below(random, 4)]);
}

static void add_alternatives(struct mx_str *out, struct mx_random *random, int depth)
{
    static const char *const combined[] = {"anyOf", "anyOf", "oneOf", "allOf"};
    const uint64_t count = 1 + below(random, 3);
    mx_str_printf(out, "{\"%s\":[", combined[below(random, 4)]);
    for (uint64_t i = 0; i < count; i++) {
        if (i) mx_str_putc(out, ',');
        add_schema(out, random, depth - 1);
    }
    mx_str_puts(out, "]}");
}

static void add_schema(struct mx_str *out, struct mx_random *random, int depth)
{
    switch (below(random, depth > 0 ? 12 : 7)) {
    case 0: add_integer(out, random); break;
    case 1:
    case 2: add_string(out, random); break;
    case 3: mx_str_puts(out, "{\"enum\":[\"red\",\"green\",12,-0.5,null,true,{\"a\":[1]}]}"); break;
    case 4: mx_str_puts(out, "{\"type\":[\"boolean\",\"null\"]}"); break;
    case 5: mx_str_puts(out, "{\"$ref\":\"#/$defs/tree\"}"); break;
    case 6: mx_str_puts(out, below(random, 4) ? "{\"const\":\"name\"}" : "{}"); break;
    case 7:
    case 8: add_array(out, random, depth); break;
    case 9:
    case 10: add_object(out, random, depth); break;
    default: add_alternatives(out, random, depth); break;
    }
}

static void make_schema(struct mx_str *out, struct mx_random *random)
{
    mx_str_puts(out, "{\"allOf\":[");
    add_schema(out, random, 3);
    mx_str_puts(out,
                "],\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\",\"minimum\":0},"
                "\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/tree\"}}},\"required\":[\"v\"],"
                "\"additionalProperties\":false}}}");
}

/* --- walks --- */

static bool is_set(const uint64_t *mask, int32_t token)
{
    return mask[token / 64] >> token % 64 & 1;
}

/* One of the mask's tokens; towards the end, what closes something: a string, every other time. */
static int32_t draw(struct mx_random *random, const uint64_t *mask, bool closing)
{
    int32_t allowed[TOY_VOCAB], closers[TOY_VOCAB];
    size_t count = 0, closer_count = 0;
    const bool quote = below(random, 2);
    for (int32_t token = 0; token < TOY_VOCAB; token++) {
        if (!is_set(mask, token)) continue;
        allowed[count++] = token;
        const char *bytes = trie->bytes + trie->start[token];
        if (quote ? *bytes == '"' : *bytes == ']' || *bytes == '}') closers[closer_count++] = token;
    }
    if (closing && closer_count) return closers[below(random, closer_count)];
    return allowed[below(random, count)];
}

struct walk {
    int32_t tokens[LENGTH];
    size_t count;
};

static void replay(struct mx_constraint *constraint, const struct walk *walk)
{
    assert_int_equal(mx_constraint_begin(constraint, NULL), MX_OK);
    for (size_t i = 0; i < walk->count; i++) assert_true(mx_constraint_accept(constraint, walk->tokens[i]));
}

/* The mask against what would be accepted behind the same tokens. */
static void compare_mask(struct mx_constraint *other, const struct walk *walk, const uint64_t *mask)
{
    replay(other, walk);
    for (int32_t token = 0; token < TOY_VOCAB; token++) {
        const bool accepted = mx_constraint_accept(other, token);
        if (accepted != is_set(mask, token)) {
            fail_msg("token %d is %s and %s", token, is_set(mask, token) ? "allowed" : "not allowed",
                     accepted ? "accepted" : "not accepted");
        }
        if (accepted) replay(other, walk);
    }
}

static void check_document(const cJSON *schema, const char *text, const struct mx_str *document, FILE *out)
{
    struct mx_error err;
    cJSON *value;
    /* Members beyond those that are named may come twice. */
    const struct mx_json_rules rules = {.allow_duplicates = true};
    if (mx_json_parse(&value, mx_str_text(document), document->length, "document", &rules, &err) != MX_OK) {
        fail_msg("%s gives %s: %s", text, mx_str_text(document), err.message);
    }
    if (!validates(schema, schema, value)) fail_msg("%s gives %s", text, mx_str_text(document));
    cJSON_Delete(value);
    if (!out) return;
    struct mx_str line = {0};
    mx_json_quote_bytes(&line, mx_str_text(document), document->length);
    fprintf(out, "{\"schema\":%s,\"document\":%s}\n", text, mx_str_text(&line));
    mx_str_free(&line);
}

static void walk_once(struct mx_constraint *constraint, struct mx_constraint *other, struct mx_random *random,
                      struct walk *walk, struct mx_str *document)
{
    walk->count = 0;
    assert_int_equal(mx_constraint_begin(constraint, NULL), MX_OK);
    for (;;) {
        uint64_t mask[WORDS];
        const bool any = mx_constraint_mask(constraint, mask), complete = mx_constraint_complete(constraint);
        if (mx_constraint_ended(constraint)) assert_true(complete && !any);
        if (below(random, 100) == 0 && walk->count < 100) compare_mask(other, walk, mask);
        if (!any || (complete && below(random, 2))) {
            assert_true(complete);
            return;
        }
        const int32_t token = draw(random, mask, walk->count > PATIENCE);
        assert_true(mx_constraint_accept(constraint, token));
        mx_str_append(document, trie->bytes + trie->start[token], trie->start[token + 1] - trie->start[token]);
        walk->tokens[walk->count++] = token;
        if (walk->count == LENGTH) fail_msg("no end: %.300s", mx_str_text(document));
    }
}

static void test_walks(void **state)
{
    (void)state;
    struct mx_random random = {20};
    struct walk *walk = malloc(sizeof *walk);
    const char *path = getenv("MX_WALKS_OUT");
    FILE *out = path ? fopen(path, "w") : NULL;
    int compiled = 0;
    for (int i = 0; i < SCHEMAS; i++) {
        struct mx_str text = {0};
        struct mx_error err;
        struct mx_constraint *constraint, *other;
        make_schema(&text, &random);
        const mx_status status = mx_constraint_from_schema(&constraint, text.data, text.length, "schema", trie, &err);
        if (status != MX_OK) { /* empty, or not to be merged: said, whatever it is */
            assert_true(status == MX_ERR_FORMAT || status == MX_ERR_UNSUPPORTED);
            mx_str_free(&text);
            continue;
        }
        compiled++;
        assert_ok(mx_constraint_from_schema(&other, text.data, text.length, "schema", trie, &err));
        cJSON *schema = cJSON_Parse(text.data);
        for (int round = 0; round < WALKS; round++) {
            struct mx_str document = {0};
            walk_once(constraint, other, &random, walk, &document);
            check_document(schema, text.data, &document, out);
            mx_str_free(&document);
        }
        cJSON_Delete(schema);
        mx_constraint_close(constraint);
        mx_constraint_close(other);
        mx_str_free(&text);
    }
    assert_true(compiled > SCHEMAS / 2);
    if (out) fclose(out);
    free(walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walks)};
    return cmocka_run_group_tests(tests, open_trie, close_trie);
}
