/* Tokenizers that come in other files than tokenizer.json.
 *
 * tests/data/tokenizers/sentencepiece: small models of each kind that spm_train made, and what SentencePiece 0.1.97
 * makes of texts (references.json; "decoded" is null where an unknown piece is among the ids). A tekken.json is made
 * here of the bundled byte-level tokenizer, whose merges go by rank as tiktoken's do. */
#include "tokenizer/folder.h"
#include "tokenizer/references.h"

#include <sys/stat.h>

#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/base64.h"
#include "tokenizer/bytes.h"
#include "tokenizer/protobuf.h"

#define MODELS "tests/data/tokenizers/sentencepiece/"

static void expect_list(const char *name, const char *text, const struct mx_ids *ids, const cJSON *expected)
{
    const cJSON *item;
    size_t i = 0;
    cJSON_ArrayForEach (item, expected) {
        if (i >= ids->count || ids->data[i] != (int32_t)item->valuedouble)
            fail_msg("%s, \"%s\": differs at id %zu", name, text, i);
        i++;
    }
    if (i != ids->count) fail_msg("%s, \"%s\": %zu ids too many", name, text, ids->count - i);
}

static void sentencepiece_models(void **state)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true};
    cJSON *list;
    const cJSON *entry, *item;
    assert_ok(mx_json_read_file(&list, MODELS "references.json", 8 << 20, &rules, &err));
    cJSON_ArrayForEach (entry, list) {
        const char *name = mx_json_get(entry, "name")->valuestring;
        char path[256];
        struct mx_tokenizer *tokenizer;
        snprintf(path, sizeof path, MODELS "%s", name);
        assert_ok(mx_tokenizer_open(&tokenizer, path, &err));
        cJSON_ArrayForEach (item, mx_json_get(entry, "cases")) {
            struct mx_ids ids = {0};
            struct mx_str text = {0};
            const char *given = mx_json_get(item, "text")->valuestring;
            const cJSON *decoded = mx_json_get_set(item, "decoded");
            assert_ok(mx_tokenizer_encode(tokenizer, given, strlen(given), false, &ids, &err));
            expect_list(name, given, &ids, mx_json_get(item, "ids"));
            assert_ok(mx_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text, &err));
            if (decoded) assert_string_equal(mx_str_text(&text), decoded->valuestring);
            stream_text(tokenizer, &ids, false, &text);
            if (decoded) assert_string_equal(mx_str_text(&text), decoded->valuestring);
            mx_ids_free(&ids);
            mx_str_free(&text);
        }
        mx_tokenizer_close(tokenizer);
    }
    cJSON_Delete(list);
}

static void expect_special(const char *text, const char *expected)
{
    struct mx_tokenizer *tokenizer;
    struct mx_ids ids = {0};
    struct mx_str seen = {0};
    assert_ok(mx_tokenizer_open(&tokenizer, folder, &err));
    assert_ok(mx_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err));
    for (size_t i = 0; i < ids.count; i++)
        mx_str_printf(&seen, "%s%s", i ? " " : "", mx_tokenizer_piece(tokenizer, ids.data[i], NULL));
    assert_string_equal(mx_str_text(&seen), expected);
    mx_str_free(&seen);
    mx_ids_free(&ids);
    mx_tokenizer_close(tokenizer);
}

static void take_model(const char *name)
{
    char path[256], *data;
    size_t length;
    snprintf(path, sizeof path, MODELS "%s", name);
    assert_ok(mx_file_read(path, 1 << 20, &data, &length, &err));
    write_bytes("tokenizer.model", data, length);
    free(data);
}

/* tokenizer_config.json and added_tokens.json beside a model name tokens, and what goes around a text. */
static void what_stands_beside_a_model(void **state)
{
    static const char config[] =
        "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true,\"add_eos_token\":true,"
        "\"added_tokens_decoder\":{\"1\":{\"content\":\"<begin>\",\"special\":true},"
        "\"9000\":{\"content\":\"<|im_start|>\",\"special\":true,\"lstrip\":true}},"
        "\"bos_token\":\"<begin>\"}";
    static const char added[] = "{\"<|im_start|>\": 9000, \"<extra>\": 9001}";
    take_model("bpe-bytes.model");
    expect_special("a", "<s> \xe2\x96\x81"
                        "a");
    expect_special("a</s>a", "<s> \xe2\x96\x81"
                             "a </s> a");
    write_bytes("tokenizer_config.json", config, sizeof config - 1);
    write_bytes("added_tokens.json", added, sizeof added - 1);
    expect_special("a <|im_start|>a<extra>", "<begin> \xe2\x96\x81"
                                             "a <|im_start|> a <extra> </s>");
    struct mx_tokenizer *tokenizer;
    assert_ok(mx_tokenizer_open(&tokenizer, folder, &err));
    assert_int_equal(mx_tokenizer_vocab_size(tokenizer), 9002);
    assert_int_equal(mx_tokenizer_id(tokenizer, "<extra>", 7), 9001);
    assert_int_equal(mx_tokenizer_id(tokenizer, "<begin>", 7), 1);
    assert_true(mx_tokenizer_is_special(tokenizer, 9000) && !mx_tokenizer_is_special(tokenizer, 9001));
    mx_tokenizer_close(tokenizer);
    remove_file("added_tokens.json");
    take_model("unigram.model");
    static const char t5[] = "{\"tokenizer_class\":\"T5Tokenizer\"}";
    write_bytes("tokenizer_config.json", t5, sizeof t5 - 1);
    expect_special("a", "\xe2\x96\x81"
                        "a </s>");
    remove_file("tokenizer_config.json");
    expect_special("a", "\xe2\x96\x81"
                        "a");
}

static void put_varint(struct mx_str *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) mx_str_putc(out, (char)(value | 0x80));
    mx_str_putc(out, (char)value);
}

static void put_piece(struct mx_str *out, const char *text, const char *score, int type)
{
    struct mx_str piece = {0};
    mx_str_putc(&piece, 1 << 3 | MX_PROTO_BYTES);
    put_varint(&piece, strlen(text));
    mx_str_puts(&piece, text);
    mx_str_putc(&piece, 2 << 3 | MX_PROTO_32);
    mx_str_append(&piece, score, 4);
    mx_str_putc(&piece, 3 << 3);
    put_varint(&piece, (uint64_t)type);
    mx_str_putc(out, 1 << 3 | MX_PROTO_BYTES);
    put_varint(out, piece.length);
    mx_str_append(out, piece.data, piece.length);
    mx_str_free(&piece);
}

static void broken_models_have_clear_messages(void **state)
{
    static const char zero[4] = "", nan[4] = {0, 0, (char)0xc0, 0x7f};
    static const struct {
        const char *first, *second, *score;
        int types[2];
        const char *message;
    } cases[] = {
        {"a", "a", zero, {2, 1}, "a piece appears twice"},
        {"a", "b", nan, {2, 1}, "the score of piece 0 is no number"},
        {"a", "b", zero, {1, 1}, "no piece is the unknown one"},
        {"a", "b", zero, {2, 2}, "two pieces are the unknown"},
        {"a", "", zero, {2, 1}, "piece 1 is not text"},
        {"a", "\xff", zero, {2, 1}, "piece 1 is not text"},
        {"a", "b", zero, {2, 9}, "piece 1 is of an unknown type"},
    };
    struct mx_tokenizer *tokenizer;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_str model = {0};
        put_piece(&model, cases[i].first, cases[i].score, cases[i].types[0]);
        put_piece(&model, cases[i].second, cases[i].score, cases[i].types[1]);
        write_bytes("tokenizer.model", model.data, model.length);
        assert_int_not_equal(mx_tokenizer_open(&tokenizer, folder, &err), MX_OK);
        if (!strstr(err.message, cases[i].message)) fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].message);
        mx_str_free(&model);
    }
    char *data;
    size_t length;
    assert_ok(mx_file_read(MODELS "bpe-bytes.model", 1 << 20, &data, &length, &err));
    /* treat_whitespace_as_suffix in four bytes, which is no bool: passed over */
    static const char suffix[] = {2 << 3 | MX_PROTO_BYTES, 6, (char)0xc5, 1, 1, 0, 0, 0};
    struct mx_str model = {0};
    mx_str_append(&model, data, length);
    mx_str_append(&model, suffix, sizeof suffix);
    write_bytes("tokenizer.model", model.data, model.length);
    mx_str_free(&model);
    expect_special("a", "<s> \xe2\x96\x81"
                        "a");
    /* Cut off anywhere it is refused, or reads as a smaller model. */
    for (size_t cut = 0; cut < length; cut += 1 + length / 200) {
        write_bytes("tokenizer.model", data, cut);
        if (mx_tokenizer_open(&tokenizer, folder, &err) == MX_OK) mx_tokenizer_close(tokenizer);
    }
    free(data);
    static const char ranks[] = "IQ== 0\nIg== 1\n"; /* tiktoken's own format goes by the same name */
    write_bytes("tokenizer.model", ranks, sizeof ranks - 1);
    assert_fails(mx_tokenizer_open(&tokenizer, folder, &err), MX_ERR_FORMAT, "not a SentencePiece model");
    remove_file("tokenizer.model");
}

static void put_base64(struct mx_str *out, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        const uint32_t b = i + 1 < length ? bytes[i + 1] : 0, c = i + 2 < length ? bytes[i + 2] : 0;
        const uint32_t bits = (uint32_t)bytes[i] << 16 | b << 8 | c;
        mx_str_putc(out, digits[bits >> 18]);
        mx_str_putc(out, digits[bits >> 12 & 63]);
        mx_str_putc(out, i + 1 < length ? digits[bits >> 6 & 63] : '=');
        mx_str_putc(out, i + 2 < length ? digits[bits & 63] : '=');
    }
}

static void base64(void **state)
{
    static const uint8_t bytes[] = {0, 255, 254, 17, 99, 3, 128};
    uint8_t back[16];
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct mx_str text = {0};
        put_base64(&text, bytes, length);
        assert_int_equal(mx_base64_decode(mx_str_text(&text), text.length, back), length);
        assert_memory_equal(back, bytes, length);
        mx_str_free(&text);
    }
    assert_int_equal(mx_base64_decode("A", 1, back), SIZE_MAX);
    assert_int_equal(mx_base64_decode("A===", 4, back), SIZE_MAX);
    assert_int_equal(mx_base64_decode("A!==", 4, back), SIZE_MAX);
    assert_int_equal(mx_base64_decode("AA=A", 4, back), SIZE_MAX);
}

enum { SPECIAL = 30 }; /* tokens before the ranks */

/* The pieces of the bundled tokenizer from id `first` on, which are its byte strings in the order of their merges. */
static size_t write_tekken(const struct mx_tokenizer *tokenizer, int32_t first, const char *pattern)
{
    struct mx_str json = {0};
    const int32_t count = mx_tokenizer_vocab_size(tokenizer) - first;
    mx_str_printf(&json, "{\"config\":{\"pattern\":");
    mx_json_quote(&json, pattern);
    mx_str_printf(&json,
                  ",\"num_vocab_tokens\":%d,\"default_vocab_size\":%d,\"default_num_special_tokens\":%d},\"vocab\":[",
                  (int)count + 1, (int)count + SPECIAL, (int)SPECIAL);
    for (int32_t rank = 0; rank < count; rank++) {
        size_t length, size = 0;
        uint8_t bytes[256];
        const char *piece = mx_tokenizer_piece(tokenizer, first + rank, &length);
        for (const char *at = piece, *end = piece + length; at < end;)
            bytes[size++] = (uint8_t)mx_char_byte(mx_utf8_next(&at));
        mx_str_printf(&json, "{\"rank\":%d,\"token_bytes\":\"", (int)rank);
        put_base64(&json, bytes, size);
        mx_str_puts(&json, "\",\"token_str\":null},");
    }
    mx_str_printf(&json, "{\"rank\":%d,\"token_bytes\":\"bm90IHVzZWQ=\",\"token_str\":\"not used\"}]}", (int)count);
    write_bytes("tekken.json", json.data, json.length);
    mx_str_free(&json);
    return (size_t)count;
}

static void tekken(void **state)
{
    static const char pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                                  "\\s+(?!\\S)|\\s+";
    struct mx_tokenizer *bundled, *tokenizer;
    struct mx_str texts[MAX_TEXTS];
    assert_ok(mx_tokenizer_open(&bundled, "tests/data/tokenizers/bpe-4096.tokenizer.json", &err));
    int32_t first = 0;
    while (mx_tokenizer_is_special(bundled, first)) first++;
    write_tekken(bundled, first, pattern);
    assert_ok(mx_tokenizer_open(&tokenizer, folder, &err));
    const size_t count = read_texts("tests/data/tokenizers/texts.json", texts);
    for (size_t i = 0; i < count; i++) {
        struct mx_ids expected = {0}, ids = {0};
        struct mx_str text = {0};
        const char *given = mx_str_text(&texts[i]);
        if (!memchr(given, '<', texts[i].length) && !memchr(given, '[', texts[i].length)) {
            assert_ok(mx_tokenizer_encode(bundled, given, texts[i].length, false, &expected, &err));
            for (size_t k = 0; k < expected.count; k++) expected.data[k] += SPECIAL - first;
            assert_ok(mx_tokenizer_encode(tokenizer, given, texts[i].length, false, &ids, &err));
            expect_ids("tekken", i, &expected, &ids);
            assert_ok(mx_tokenizer_decode(tokenizer, ids.data, ids.count, false, &text, &err));
            expect_text("tekken", i, &texts[i], &text);
        }
        mx_ids_free(&expected);
        mx_ids_free(&ids);
        mx_str_free(&text);
        mx_str_free(&texts[i]);
    }
    assert_int_equal(mx_tokenizer_id(tokenizer, "[INST]", 6), 3);
    assert_int_equal(mx_tokenizer_id(tokenizer, "<SPECIAL_29>", 12), 29);
    mx_tokenizer_close(tokenizer);
    mx_tokenizer_close(bundled);
    expect_special("[INST]", "<s> [INST]");
    remove_file("tekken.json");
}

static void broken_tekkens_have_clear_messages(void **state)
{
#define CONFIG "{\"config\":{\"pattern\":\"a\",\"default_vocab_size\":9,\"default_num_special_tokens\":1}"
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"config\":{}}", "this is not a tekken.json"},
        {"{\"config\":{},\"vocab\":[]}", "\"pattern\" is missing"},
        {"{\"config\":{\"pattern\":\"a\",\"default_vocab_size\":2,\"default_num_special_tokens\":2},\"vocab\":[]}",
         "it should be more than the special tokens"},
        {CONFIG ",\"vocab\":[]}", "no token for the byte 0"},
        {CONFIG ",\"vocab\":[{\"rank\":1,\"token_bytes\":\"AA==\"}]}", "in the order of their ranks"},
        {CONFIG ",\"vocab\":[{\"rank\":0}]}", "each with its bytes"},
        {CONFIG ",\"vocab\":[{\"rank\":0,\"token_bytes\":\"!\"}]}", "not base64"},
        {CONFIG ",\"vocab\":[{\"rank\":0,\"token_bytes\":\"AA==\"},{\"rank\":1,\"token_bytes\":\"AA==\"}]}",
         "a token appears twice"},
        {CONFIG ",\"vocab\":[]} x", "text after the end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_tokenizer *tokenizer;
        write_bytes("tekken.json", cases[i].json, strlen(cases[i].json));
        assert_int_not_equal(mx_tokenizer_open(&tokenizer, folder, &err), MX_OK);
        if (!strstr(err.message, cases[i].message)) fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].message);
    }
    remove_file("tekken.json");
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"tokenizer.model", "tokenizer_config.json", "added_tokens.json", "tekken.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove_file(names[i]);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentencepiece_models),
        cmocka_unit_test(what_stands_beside_a_model),
        cmocka_unit_test(broken_models_have_clear_messages),
        cmocka_unit_test(base64),
        cmocka_unit_test(tekken),
        cmocka_unit_test(broken_tekkens_have_clear_messages),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
