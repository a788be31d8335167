/* The bytes of single tokens, one after the other, are the text that the decoder makes of them. */
#include "support.h"

#include "base/utf8.h"
#include "references.h"

static struct mx_str texts[MAX_TEXTS];
static size_t text_count;

static void check_text(const struct mx_tokenizer *tokenizer, const struct mx_str *text, bool stripped, const char *name)
{
    struct mx_ids ids = {0};
    struct mx_str raw = {0}, bytes = {0}, decoded = {0};
    assert_ok(mx_tokenizer_encode(tokenizer, mx_str_text(text), text->length, false, &ids, &err));
    assert_ok(mx_tokenizer_decode(tokenizer, ids.data, ids.count, false, &decoded, &err));
    for (size_t i = 0; i < ids.count; i++) assert_ok(mx_tokenizer_bytes(tokenizer, ids.data[i], &raw, &err));
    mx_utf8_append_lossy(&bytes, mx_str_text(&raw), raw.length); /* byte tokens that make no character */
    /* The space that a text's beginning loses is there: a token in the middle has it. */
    const size_t lost = stripped && bytes.length && bytes.data[0] == ' ' ? 1 : 0;
    if (decoded.length + lost != bytes.length ||
        memcmp(mx_str_text(&decoded), mx_str_text(&bytes) + lost, decoded.length) != 0)
        fail_msg("%s: \"%s\" has the bytes \"%s\"", name, mx_str_text(&decoded), mx_str_text(&bytes));
    mx_str_free(&raw);
    mx_str_free(&bytes);
    mx_str_free(&decoded);
    mx_ids_free(&ids);
}

static void bytes_make_the_text(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool stripped;
    } tokenizers[] = {{"tests/data/tokenizers/bpe-4096.tokenizer.json", false},
                      {"tests/data/tokenizers/unigram-2000.tokenizer.json", true},
                      {"models/demo-llama-7m", false}};
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
        struct mx_tokenizer *tokenizer;
        assert_ok(mx_tokenizer_open(&tokenizer, tokenizers[i].path, &err));
        for (size_t t = 0; t < text_count; t++) {
            check_text(tokenizer, &texts[t], tokenizers[i].stripped, tokenizers[i].path);
        }
        mx_tokenizer_close(tokenizer);
    }
}

static void expect(const char *decoder, const char *piece, const char *bytes)
{
    struct mx_str json = {0}, seen = {0};
    struct mx_tokenizer *tokenizer;
    mx_str_printf(&json,
                  "{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"%s\",\"vocab\":{\"%s\":0}},\"decoder\":%s}",
                  piece, piece, decoder);
    assert_ok(mx_tokenizer_parse(&tokenizer, json.data, json.length, "tokenizer", &err));
    if (bytes) {
        assert_ok(mx_tokenizer_bytes(tokenizer, 0, &seen, &err));
        assert_string_equal(mx_str_text(&seen), bytes);
        assert_ok(mx_tokenizer_bytes(tokenizer, 1, &seen, &err)); /* no piece, no bytes */
        assert_string_equal(mx_str_text(&seen), bytes);
    } else {
        assert_fails(mx_tokenizer_bytes(tokenizer, 0, &seen, &err), MX_ERR_UNSUPPORTED, "no bytes of its own");
    }
    mx_tokenizer_close(tokenizer);
    mx_str_free(&json);
    mx_str_free(&seen);
}

static void decoders_have_bytes_or_not(void **state)
{
    (void)state;
    static const char llama[] =
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},"
        "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}";
    expect("{\"type\":\"ByteLevel\"}", "\xc4\xa0the", " the");
    expect("{\"type\":\"ByteLevel\"}", "\xc3\xa2", "\xe2"); /* a part of a character */
    expect("{\"type\":\"ByteLevel\"}", "a b", "a b");       /* spells no bytes: it stands for itself */
    expect(llama, "\xe2\x96\x81the\xe2\x96\x81", " the ");
    expect(llama, "<0xE2>", "\xe2");
    expect("{\"type\":\"Metaspace\"}", "\xe2\x96\x81the", " the");
    expect("{\"type\":\"WordPiece\"}", "the", NULL);
    expect("{\"type\":\"BPEDecoder\"}", "the</w>", NULL);
    expect("{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}", " the", NULL);
    expect("null", "the", NULL); /* spaces between all tokens */
}

static int setup(void **state)
{
    (void)state;
    text_count = read_texts("tests/data/tokenizers/texts.json", texts);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < text_count; i++) mx_str_free(&texts[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_make_the_text),
                                       cmocka_unit_test(decoders_have_bytes_or_not)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
