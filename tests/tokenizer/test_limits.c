/* No text costs more than it is long: what would grow or take time without end is refused, in a line, soon. */
#include "support.h"

#include <time.h>

#include "base/str.h"
#include "tokenizer/tokenizer.h"

static struct mx_error err;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#define MODEL "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1},\"merges\":[]}"

static struct mx_tokenizer *open_text(const char *json)
{
    struct mx_tokenizer *tokenizer;
    assert_ok(mx_tokenizer_parse(&tokenizer, json, strlen(json), "t.json", &err));
    return tokenizer;
}

/* `part` `count` times, with commas between. */
static struct mx_tokenizer *open_repeated(const char *before, const char *part, size_t count, const char *after)
{
    struct mx_str json = {0};
    mx_str_printf(&json, MODEL "%s", before);
    for (size_t i = 0; i < count; i++) mx_str_printf(&json, "%s%s", i ? "," : "", part);
    mx_str_puts(&json, after);
    struct mx_tokenizer *tokenizer = open_text(mx_str_text(&json));
    mx_str_free(&json);
    return tokenizer;
}

/* Encodes `unit`, repeated to `length` bytes. */
static mx_status encode_repeated(const struct mx_tokenizer *tokenizer, const char *unit, size_t length)
{
    struct mx_str text = {0};
    struct mx_ids ids = {0};
    while (text.length < length) mx_str_puts(&text, unit);
    const mx_status status = mx_tokenizer_encode(tokenizer, mx_str_text(&text), text.length, true, &ids, &err);
    if (status != MX_OK) assert_int_equal(ids.count, 0);
    mx_ids_free(&ids);
    mx_str_free(&text);
    return status;
}

static void normalizers_that_double(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_repeated(",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}", 40, "]}}");
    assert_fails(encode_repeated(tokenizer, "a", 30), MX_ERR_LIMIT, "normalizer makes more than 64 bytes out of each");
    mx_tokenizer_close(tokenizer);
    struct mx_str json = {0};
    mx_str_puts(&json, MODEL ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"");
    for (int i = 0; i < 100000; i++) mx_str_putc(&json, 'b');
    mx_str_puts(&json, "\"}}");
    tokenizer = open_text(mx_str_text(&json));
    assert_fails(encode_repeated(tokenizer, "a", 1 << 20), MX_ERR_LIMIT, "normalizer makes more");
    mx_tokenizer_close(tokenizer);
    mx_str_free(&json);
}

static void pretokenizers_that_grow(void **state)
{
    struct mx_tokenizer *tokenizer = open_repeated(
        ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"FixedLength\",\"length\":1},",
        "{\"type\":\"Metaspace\",\"replacement\":\"x\",\"split\":false},"
        "{\"type\":\"Metaspace\",\"replacement\":\"\xf0\x9f\x98\x80\",\"split\":false}",
        30, "]}}");
    assert_fails(encode_repeated(tokenizer, "a", 100000), MX_ERR_LIMIT, "pre-tokenizer makes more than 64 bytes");
    mx_tokenizer_close(tokenizer);
}

static void decoders_that_double(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_repeated(",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[",
                      "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aa\"}", 40, "]}}");
    const int32_t ids[] = {1, 1};
    struct mx_str text = {0};
    assert_fails(mx_tokenizer_decode(tokenizer, ids, 2, false, &text, &err), MX_ERR_LIMIT,
                 "decoder makes more than 64 bytes out of each");
    assert_int_equal(text.length, 0);
    mx_tokenizer_close(tokenizer);
}

static void too_many_steps(void **state)
{
    static const char *const stages[][3] = {
        {",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[", "{\"type\":\"Lowercase\"}", "normalizer"},
        {",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", "{\"type\":\"WhitespaceSplit\"}",
         "pre_tokenizer"},
        {",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[", "{\"type\":\"Fuse\"}", "decoder"}};
    for (size_t s = 0; s < sizeof stages / sizeof *stages; s++) {
        struct mx_str json = {0};
        char message[64];
        mx_str_printf(&json, MODEL "%s%s", stages[s][0], stages[s][1]);
        for (int i = 0; i < 64; i++) mx_str_printf(&json, ",%s", stages[s][1]);
        mx_str_puts(&json, "]}}");
        snprintf(message, sizeof message, "t.json: %s: more than 64 steps", stages[s][2]);
        struct mx_tokenizer *tokenizer;
        assert_fails(mx_tokenizer_parse(&tokenizer, json.data, json.length, "t.json", &err), MX_ERR_LIMIT, message);
        mx_str_free(&json);
    }
}

/* 200,000 marks of two classes by turns, to be ordered. */
static void marks_by_turns(void **state)
{
    static const char *const forms[] = {"NFC", "NFD", "NFKC", "NFKD"};
    for (size_t f = 0; f < 4; f++) {
        char json[256];
        snprintf(json, sizeof json, MODEL ",\"normalizer\":{\"type\":\"%s\"}}", forms[f]);
        struct mx_tokenizer *tokenizer = open_text(json);
        const double start = seconds();
        assert_ok(encode_repeated(tokenizer, "\xcc\xa3\xcc\x87\xcc\x9b", 600000));
        assert_true(seconds() - start < 5);
        mx_tokenizer_close(tokenizer);
    }
}

static void expressions_that_backtrack_or_scan(void **state)
{
    static const char *const patterns[] = {"(?:a?){18}b|c", "(?:(a|aa)+)+c", "a(?=[^b]*[bc])|c", "(a*)*b",
                                           "a[^b]*(b|c)"};
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        struct mx_str json = {0};
        mx_str_printf(&json,
                      MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{"
                            "\"Regex\":\"%s\"}}}",
                      patterns[p]);
        struct mx_tokenizer *tokenizer = open_text(mx_str_text(&json));
        const double start = seconds();
        const mx_status status = encode_repeated(tokenizer, "a", 200000);
        assert_true(seconds() - start < 20);
        if (status != MX_OK) assert_non_null(strstr(err.message, "gave up on this text at byte"));
        mx_tokenizer_close(tokenizer);
        mx_str_free(&json);
    }
}

/* Each of 100,000 tokens takes the white space behind it, all of it once. */
static void tokens_that_strip(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_text(MODEL ",\"added_tokens\":[{\"content\":\" \",\"rstrip\":true,\"normalized\":false}]}");
    const double start = seconds();
    assert_ok(encode_repeated(tokenizer, " ", 200000));
    assert_true(seconds() - start < 5);
    mx_tokenizer_close(tokenizer);
}

static void pieces_without_end(void **state)
{
    struct mx_str json = {0};
    mx_str_puts(&json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"");
    for (int i = 0; i < 2000; i++) mx_str_putc(&json, 'a');
    mx_str_puts(&json, "\",-1]]}}");
    struct mx_tokenizer *tokenizer;
    assert_fails(mx_tokenizer_parse(&tokenizer, json.data, json.length, "t.json", &err), MX_ERR_LIMIT,
                 "a piece of 2000 bytes; the limit is 1024");
    mx_str_free(&json);
}

static void tokens_around_a_text(void **state)
{
    struct mx_str json = {0};
    mx_str_puts(&json, MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    for (int i = 0; i < 1100; i++) mx_str_puts(&json, "{\"SpecialToken\":{\"id\":\"a\"}},");
    mx_str_puts(&json, "{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"a\":{\"ids\":[1]}}}}");
    struct mx_tokenizer *tokenizer;
    assert_fails(mx_tokenizer_parse(&tokenizer, json.data, json.length, "t.json", &err), MX_ERR_LIMIT,
                 "post_processor: more than 1024 tokens around a text");
    mx_str_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizers_that_double), cmocka_unit_test(pretokenizers_that_grow),
        cmocka_unit_test(decoders_that_double),    cmocka_unit_test(too_many_steps),
        cmocka_unit_test(marks_by_turns),          cmocka_unit_test(expressions_that_backtrack_or_scan),
        cmocka_unit_test(tokens_that_strip),       cmocka_unit_test(pieces_without_end),
        cmocka_unit_test(tokens_around_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
