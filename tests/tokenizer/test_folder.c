/* A tokenizer with what stands beside it: the tokens around a text by class and flags, notes, and text that goes on. */
#include "tokenizer/folder.h"

#include "base/str.h"
#include "tokenizer/tokenizer.h"

static struct mx_error err;

/* A text in the folder's tokenizer, special tokens added, as "9 0 1". */
static void expect_ids(const char *text, const char *expected)
{
    struct mx_tokenizer *tokenizer;
    struct mx_ids ids = {0};
    struct mx_str seen = {0};
    assert_ok(mx_tokenizer_open(&tokenizer, folder, &err));
    assert_ok(mx_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err));
    for (size_t i = 0; i < ids.count; i++) mx_str_printf(&seen, "%s%d", i ? " " : "", (int)ids.data[i]);
    assert_string_equal(mx_str_text(&seen), expected);
    mx_str_free(&seen);
    mx_ids_free(&ids);
    mx_tokenizer_close(tokenizer);
}

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"<s>\":2,\"</s>\":3,\"<bos>\":4,\"<|endoftext|>\":5}"
#define ADDED "\"added_tokens\":[{\"content\":\"<s>\",\"special\":true},{\"content\":\"</s>\",\"special\":true}]"
#define AROUND                                                                                                         \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},"             \
    "{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"</s>\"}}],"                                             \
    "\"special_tokens\":{\"<s>\":{\"ids\":[2]},\"</s>\":{\"ids\":[3]}}}"

static void classes_obey_the_flags_or_not(void **state)
{
    static const struct {
        const char *config, *plain, *around; /* ids without and with a post-processor in tokenizer.json */
    } cases[] = {
        {NULL, "0 1", "2 0 1 3"},
        {"{\"tokenizer_class\":\"LlamaTokenizerFast\"}", "2 0 1", "2 0 1"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":true,\"add_eos_token\":false}", "2 0 1", "2 0 1"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":false}", "0 1", "0 1"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"add_eos_token\":true}", "2 0 1 3", "2 0 1 3"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"bos_token\":null}", "0 1", "0 1"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"bos_token\":{\"content\":\"</s>\"}}", "3 0 1", "3 0 1"},
        {"{\"tokenizer_class\":\"GemmaTokenizerFast\"}", "4 0 1", "4 0 1"},
        {"{\"tokenizer_class\":\"GPTNeoXTokenizerFast\"}", "0 1", "0 1"},
        {"{\"tokenizer_class\":\"GPTNeoXTokenizer\",\"add_bos_token\":true}", "5 0 1", "5 0 1"},
        {"{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_bos_token\":true,\"bos_token\":\"<s>\"}", "0 1",
         "2 0 1 3"},
        {"{\"tokenizer_class\":\"Qwen2Tokenizer\",\"add_bos_token\":false}", "0 1", "2 0 1 3"},
        {"{\"tokenizer_class\":\"LlamaTokenizerOfMine\",\"add_bos_token\":true}", "0 1", "2 0 1 3"},
        {"{\"tokenizer_class\":\"LlamaTokenizer\",\"backend\":\"tokenizers\",\"add_bos_token\":false}", "0 1",
         "2 0 1 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        remove_file("tokenizer_config.json");
        if (cases[i].config) write_file("tokenizer_config.json", cases[i].config);
        write_file("tokenizer.json", "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[]}," ADDED "}");
        expect_ids("ab", cases[i].plain);
        write_file("tokenizer.json", "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[]}," ADDED "," AROUND "}");
        expect_ids("ab", cases[i].around);
    }
}

static void bad_folders_have_clear_messages(void **state)
{
    struct mx_tokenizer *tokenizer;
    write_file("tokenizer_config.json", "{\"tokenizer_class\":\"LlamaTokenizer\",\"bos_token\":\"<none>\"}");
    assert_fails(mx_tokenizer_open(&tokenizer, folder, &err), MX_ERR_FORMAT,
                 "\"add_bos_token\" asks for \"<none>\", which the tokenizer does not have");
    write_file("tokenizer_config.json", "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_bos_token\":\"yes\"}");
    assert_fails(mx_tokenizer_open(&tokenizer, folder, &err), MX_ERR_FORMAT, "is neither true nor false");
    remove_file("tokenizer_config.json");
    remove_file("tokenizer.json");
    assert_null(mx_tokenizer_file(folder));
    assert_fails(mx_tokenizer_open(&tokenizer, folder, &err), MX_ERR_IO, "neither tokenizer.json nor");
}

static void dropout_is_ignored_with_a_note(void **state)
{
    static const char with[] = "{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
                               "\"merges\":[\"a b\"]}}";
    struct mx_tokenizer *tokenizer;
    struct mx_ids ids = {0};
    assert_ok(mx_tokenizer_parse(&tokenizer, with, strlen(with), "t.json", &err));
    assert_non_null(strstr(mx_tokenizer_note(tokenizer), "dropout"));
    for (int i = 0; i < 20; i++) assert_ok(mx_tokenizer_encode(tokenizer, "ab", 2, false, &ids, &err));
    for (size_t i = 0; i < ids.count; i++) assert_int_equal(ids.data[i], 2);
    assert_int_equal(ids.count, 20);
    mx_ids_free(&ids);
    mx_tokenizer_close(tokenizer);
}

/* Under decoders that take the first space away, what follows a prompt keeps its own. */
static void a_continuation_keeps_its_space(void **state)
{
    static const char *const decoders[] = {
        "{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\"}",
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},"
        "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"};
    for (size_t d = 0; d < 2; d++) {
        struct mx_str json = {0};
        mx_str_printf(&json,
                      "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xe2\x96\x81the\":0,\"\xe2\x96\x81"
                      "cat\":1,\"<0xC3>\":2,\"<0xA9>\":3,\"<s>\":4},\"merges\":[]},\"decoder\":%s,"
                      "\"added_tokens\":[{\"content\":\"<s>\",\"special\":true}]}",
                      decoders[d]);
        struct mx_tokenizer *tokenizer;
        struct mx_text_stream *stream;
        struct mx_str whole = {0}, prompt = {0};
        const int32_t ids[] = {4, 0, 1, 2, 3, 1};
        assert_ok(mx_tokenizer_parse(&tokenizer, json.data, json.length, "t.json", &err));
        assert_ok(mx_tokenizer_decode(tokenizer, ids, 6, true, &whole, &err));
        for (size_t n = 0; n <= 6; n++) {
            if (n == 4) continue; /* within a character */
            const char *text;
            size_t length;
            mx_str_clear(&prompt);
            assert_ok(mx_tokenizer_decode(tokenizer, ids, n, true, &prompt, &err));
            assert_ok(mx_text_stream_open(&stream, tokenizer, true, &err));
            assert_ok(mx_text_stream_skip(stream, ids, n, &err));
            for (size_t i = n; i < 6; i++) {
                assert_ok(mx_text_stream_feed(stream, ids[i], &text, &length, &err));
                mx_str_append(&prompt, text, length);
            }
            assert_ok(mx_text_stream_finish(stream, &text, &length, &err));
            mx_str_append(&prompt, text, length);
            assert_string_equal(mx_str_text(&prompt), mx_str_text(&whole));
            mx_text_stream_close(stream);
        }
        mx_str_free(&whole);
        mx_str_free(&prompt);
        mx_str_free(&json);
        mx_tokenizer_close(tokenizer);
    }
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove_file(names[i]);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_obey_the_flags_or_not),
        cmocka_unit_test(bad_folders_have_clear_messages),
        cmocka_unit_test(dropout_is_ignored_with_a_note),
        cmocka_unit_test(a_continuation_keeps_its_space),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
