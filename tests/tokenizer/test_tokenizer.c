/* Look-ups, streams, odd text, threads, and files that are not what they claim to be. */
#include "support.h"

#include <pthread.h>
#include <time.h>

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

static struct mx_error err;
static const char bundled[] = "tests/data/tokenizers/bpe-4096.tokenizer.json";

static mx_status parse(struct mx_tokenizer **tokenizer, const char *json)
{
    return mx_tokenizer_parse(tokenizer, json, strlen(json), "t.json", &err);
}

static struct mx_tokenizer *open_text(const char *json)
{
    struct mx_tokenizer *tokenizer;
    assert_ok(parse(&tokenizer, json));
    return tokenizer;
}

static void expect_encoding(const struct mx_tokenizer *tokenizer, const char *text, size_t length, size_t count,
                            const int32_t *expected)
{
    struct mx_ids ids = {0};
    assert_ok(mx_tokenizer_encode(tokenizer, text, length, false, &ids, &err));
    assert_int_equal(ids.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(ids.data[i], expected[i]);
    mx_ids_free(&ids);
}

/* A byte-fallback model without merges. */
static const char fallback[] =
    "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"<0xF0>\":2,"
    "\"<0x9F>\":3,\"<0x98>\":4,\"<0x80>\":5,\"<0xEF>\":6,\"<0xBF>\":7,\"<0xBD>\":8,\"<0x00>\":9},\"merges\":[]},"
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}}";

static void pieces_and_ids(void **state)
{
    struct mx_tokenizer *tokenizer;
    size_t length;
    assert_ok(mx_tokenizer_open(&tokenizer, bundled, &err));
    assert_int_equal(mx_tokenizer_vocab_size(tokenizer), 4096);
    assert_string_equal(mx_tokenizer_piece(tokenizer, 0, &length), "<|bos|>");
    assert_int_equal(length, 7);
    assert_true(mx_tokenizer_is_special(tokenizer, 0) && !mx_tokenizer_is_special(tokenizer, 4));
    assert_false(mx_tokenizer_is_special(tokenizer, -1) || mx_tokenizer_is_special(tokenizer, INT32_MAX));
    for (int32_t id = 0; id < 4096; id++) {
        const char *piece = mx_tokenizer_piece(tokenizer, id, &length);
        assert_non_null(piece);
        assert_int_equal(mx_tokenizer_id(tokenizer, piece, length), id);
    }
    assert_null(mx_tokenizer_piece(tokenizer, 4096, NULL));
    assert_null(mx_tokenizer_piece(tokenizer, -1, NULL));
    assert_int_equal(mx_tokenizer_id(tokenizer, "no such piece", 13), -1);
    const int32_t strange[] = {-1, 4096, INT32_MIN, INT32_MAX};
    struct mx_str text = {0};
    assert_ok(mx_tokenizer_decode(tokenizer, strange, 4, false, &text, &err));
    assert_int_equal(text.length, 0);
    mx_str_free(&text);
    mx_tokenizer_close(tokenizer);
}

static void odd_text(void **state)
{
    struct mx_tokenizer *tokenizer = open_text(fallback);
    expect_encoding(tokenizer, "", 0, 0, NULL);
    expect_encoding(tokenizer, "a\0a", 3, 3, (const int32_t[]){1, 9, 1});
    expect_encoding(tokenizer, "a\xf0\x9f\x98\x80", 5, 5, (const int32_t[]){1, 2, 3, 4, 5});
    /* Broken UTF-8 counts as U+FFFD, once for each maximal broken part. */
    expect_encoding(tokenizer, "\xff", 1, 3, (const int32_t[]){6, 7, 8});
    expect_encoding(tokenizer, "\xf0\x9f\x98", 3, 3, (const int32_t[]){6, 7, 8});
    expect_encoding(tokenizer, "\xf0\x9f\xff", 3, 6, (const int32_t[]){6, 7, 8, 6, 7, 8});
    expect_encoding(tokenizer, "\xed\xa0\x80", 3, 9, (const int32_t[]){6, 7, 8, 6, 7, 8, 6, 7, 8});
    expect_encoding(tokenizer, "\xc0\x80", 2, 6, (const int32_t[]){6, 7, 8, 6, 7, 8});
    mx_tokenizer_close(tokenizer);
}

static void expect_stream(struct mx_text_stream *stream, int32_t id, const char *expected)
{
    const char *text;
    size_t length;
    if (id >= 0)
        assert_ok(mx_text_stream_feed(stream, id, &text, &length, &err));
    else
        assert_ok(mx_text_stream_finish(stream, &text, &length, &err));
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void streams_never_break_a_character(void **state)
{
    struct mx_tokenizer *tokenizer = open_text(fallback);
    struct mx_text_stream *stream;
    assert_ok(mx_text_stream_open(&stream, tokenizer, false, &err));
    const int32_t face[] = {2, 3, 4, 5}; /* U+1F600, byte by byte */
    for (int round = 0; round < 2; round++) {
        expect_stream(stream, 1, "a");
        for (int i = 0; i < 3; i++) expect_stream(stream, face[i], "");
        expect_stream(stream, face[3], "\xf0\x9f\x98\x80");
        expect_stream(stream, 2, "");
        expect_stream(stream, 1,
                      "\xef\xbf\xbd"
                      "a"); /* the character was never finished */
        expect_stream(stream, 2, "");
        expect_stream(stream, 3, "");
        expect_stream(stream, -1, "\xef\xbf\xbd\xef\xbf\xbd");
    }
    mx_text_stream_close(stream);
    mx_tokenizer_close(tokenizer);
}

/* Whatever ids come, a stream's pieces are whole characters, and together what decoding at once gives. */
static void streams_agree_with_decoding(void **state)
{
    struct mx_tokenizer *tokenizer;
    struct mx_text_stream *stream;
    unsigned seed = 1;
    assert_ok(mx_tokenizer_open(&tokenizer, bundled, &err));
    assert_ok(mx_text_stream_open(&stream, tokenizer, true, &err));
    for (int round = 0; round < 200; round++) {
        int32_t ids[40];
        struct mx_str whole = {0}, streamed = {0};
        for (int i = 0; i <= 40; i++) {
            const char *text;
            size_t length;
            if (i < 40) {
                ids[i] = (int32_t)(rand_r(&seed) % (round % 2 ? 4096 : 300)); /* the first 260: single bytes */
                assert_ok(mx_text_stream_feed(stream, ids[i], &text, &length, &err));
            } else {
                assert_ok(mx_text_stream_finish(stream, &text, &length, &err));
            }
            assert_int_equal(mx_utf8_valid_length(text, length), length);
            mx_str_append(&streamed, text, length);
        }
        assert_ok(mx_tokenizer_decode(tokenizer, ids, 40, true, &whole, &err));
        assert_int_equal(whole.length, streamed.length);
        assert_memory_equal(mx_str_text(&whole), mx_str_text(&streamed), whole.length);
        mx_str_free(&whole);
        mx_str_free(&streamed);
    }
    mx_text_stream_close(stream);
    mx_tokenizer_close(tokenizer);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A megabyte of one letter is one word of a million symbols that all merge: n log n, where a scan per merge would take
 * hours. */
static void a_megabyte_of_one_letter(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_text("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1,\"aaaa\":2},\"merges\":[\"a a\",\"aa "
                  "aa\"]}}");
    const size_t length = 1 << 20;
    char *text = malloc(length);
    memset(text, 'a', length);
    struct mx_ids ids = {0};
    const double start = seconds();
    assert_ok(mx_tokenizer_encode(tokenizer, text, length, false, &ids, &err));
    assert_true(seconds() - start < 20);
    assert_int_equal(ids.count, length / 4);
    mx_ids_free(&ids);
    free(text);
    mx_tokenizer_close(tokenizer);
}

static void a_regular_expression_that_explodes(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_text("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"pre_tokenizer\":{\"type\":"
                  "\"Split\",\"pattern\":{\"Regex\":\"(?:(a|aa)+)+c\"},\"behavior\":\"Isolated\"}}");
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab c";
    struct mx_ids ids = {0};
    assert_ok(mx_ids_append(&ids, 7, &err));
    assert_fails(mx_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err), MX_ERR_LIMIT,
                 "gave up on this text at byte 0: its searches take more steps");
    assert_int_equal(ids.count, 1); /* what was there before is still there */
    mx_ids_free(&ids);
    mx_tokenizer_close(tokenizer);
}

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}"

static void bad_files_have_clear_messages(void **state)
{
    static const struct {
        const char *json;
        mx_status status;
        const char *message;
    } cases[] = {
        {"", MX_ERR_FORMAT, "t.json:1:1: the JSON text ends too early"},
        {"[]", MX_ERR_FORMAT, "t.json:1:1: '{' expected here"},
        {"{}", MX_ERR_FORMAT, "no \"model\" with a \"vocab\""},
        {"{\"model\":3}", MX_ERR_FORMAT, "no \"model\" with a \"vocab\""},
        {"{" MODEL "} x", MX_ERR_FORMAT, "text after the end"},
        {"{\n" MODEL ",\n\"decoder\": oops}", MX_ERR_FORMAT, "t.json:3:12: not valid JSON"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", MX_ERR_FORMAT, "the vocabulary is empty"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[[\"a\",1]],\"merges\":[]}}", MX_ERR_FORMAT,
         "is an object, not a list"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":1}}}", MX_ERR_FORMAT, "is a list of [piece, score]"},
        {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",1]]}}", MX_ERR_FORMAT, "\"unk_id\" is 1"},
        {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", MX_ERR_FORMAT, "a number expected here"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"b\"},\"merges\":[]}}", MX_ERR_FORMAT,
         "a number expected here"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", MX_ERR_LIMIT, "beyond 4194303"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}", MX_ERR_LIMIT, "beyond 4194303"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}", MX_ERR_LIMIT, "beyond 4194303"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}", MX_ERR_FORMAT,
         "the id 1 belongs to two pieces"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", MX_ERR_FORMAT, "\"merges\" is missing"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":{}}}", MX_ERR_FORMAT, "'[' expected here"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}", MX_ERR_FORMAT,
         "two pieces with one space"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"b\"]]}}", MX_ERR_FORMAT,
         "merge 0 joins \"a\" and \"b\", but the second is not in the vocabulary"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", MX_ERR_FORMAT, "what they make"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"u\"}}", MX_ERR_FORMAT,
         "\"unk_token\" is \"u\", which no piece is"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"vocab\":{}}}", MX_ERR_FORMAT, "a second \"vocab\""},
        {"{\"model\":{\"type\":\"Word\",\"vocab\":{\"a\":0}}}", MX_ERR_UNSUPPORTED,
         "model: the type \"Word\" cannot be used here; known: BPE, Unigram"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", MX_ERR_FORMAT, "\"unk_token\" is missing"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\\ud800\":0},\"merges\":[]}}", MX_ERR_FORMAT,
         "not a valid escape"},
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xff\":0},\"merges\":[]}}", MX_ERR_FORMAT, "not UTF-8"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Strange\"}}", MX_ERR_UNSUPPORTED,
         "t.json: normalizer: the type \"Strange\" cannot be used here; known: NFC, "},
        {"{" MODEL ",\"normalizer\":[]}", MX_ERR_FORMAT, "normalizer: not an object"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!!\"}}", MX_ERR_FORMAT,
         "not a SentencePiece table"},
        {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}}", MX_ERR_FORMAT,
         "not a SentencePiece table"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":3}}", MX_ERR_FORMAT,
         "\"pretokenizers\" is 3; it should be a list"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Strange\"}}", MX_ERR_UNSUPPORTED, "\"Strange\""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}}",
         MX_ERR_FORMAT, "it should be never where \"add_prefix_space\" is false"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(a\"}}}",
         MX_ERR_UNSUPPORTED, "the regular expression \"(a\" cannot be used: missing closing parenthesis"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a\"}}}",
         MX_ERR_FORMAT, "a set without its closing ']'"},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Maybe\",\"pattern\":{\"String\":\"a\"}}}",
         MX_ERR_FORMAT, "\"behavior\" is \"Maybe\""},
        {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}}", MX_ERR_FORMAT,
         "it should be one character"},
        {"{" MODEL
         ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"s\"}}],"
         "\"special_tokens\":{}}}",
         MX_ERR_FORMAT, "the template names \"s\", which special_tokens lacks"},
        {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":3}}", MX_ERR_FORMAT,
         "a pair of a token and its id"},
        {"{" MODEL ",\"decoder\":{\"type\":\"CTC\"}}", MX_ERR_FORMAT, "decoder: \"pad_token\" is missing"},
        {"{\n\"model\":{\"type\":\"BPE\",\"vocab\":{\n\"a\":0},\"merges\":[\n]},\n\"x\":[1 2]}", MX_ERR_FORMAT,
         "t.json:5:"},
        {"{" MODEL ",\"added_tokens\":{}}", MX_ERR_FORMAT, "added_tokens: not a list"},
        {"{" MODEL ",\"added_tokens\":[{\"content\":5}]}", MX_ERR_FORMAT, "\"content\" is 5; it should be a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_tokenizer *tokenizer = NULL;
        assert_fails(parse(&tokenizer, cases[i].json), cases[i].status, cases[i].message);
        assert_null(tokenizer);
    }
    struct mx_tokenizer *tokenizer;
    assert_fails(mx_tokenizer_open(&tokenizer, "/no/such/tokenizer.json", &err), MX_ERR_IO, "/no/such/tokenizer.json");
}

static void deep_nesting_is_refused(void **state)
{
    static const char *const heads[] = {"{" MODEL ",\"normalizer\":", "{\"x\":", "{\"model\":{\"merges\":"};
    for (size_t h = 0; h < 3; h++) {
        struct mx_str json = {0};
        mx_str_puts(&json, heads[h]);
        for (int i = 0; i < 100000; i++) mx_str_puts(&json, h ? "[" : "{\"type\":\"Sequence\",\"normalizers\":[");
        struct mx_tokenizer *tokenizer;
        assert_fails(mx_tokenizer_parse(&tokenizer, json.data, json.length, "t.json", &err), MX_ERR_FORMAT,
                     "nested too deep");
        mx_str_free(&json);
    }
}

static void gaps_between_ids_are_fine(void **state)
{
    struct mx_tokenizer *tokenizer =
        open_text("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":5,\"b\":4194303,\"ab\":70000},\"merges\":[\"a b\"]}}");
    assert_int_equal(mx_tokenizer_vocab_size(tokenizer), 4194304);
    assert_null(mx_tokenizer_piece(tokenizer, 6, NULL));
    expect_encoding(tokenizer, "abb", 3, 2, (const int32_t[]){70000, 4194303});
    mx_tokenizer_close(tokenizer);
}

/* Every prefix of a file fails, and so does the file with any byte of a sample replaced, or it opens: nothing else. */
static void damaged_files(void **state)
{
    FILE *file = fopen("tests/fuzz/corpus/tokenizer/byte-level", "rb");
    assert_non_null(file);
    char text[4096], copy[4096];
    const size_t length = strnlen(text, fread(text, 1, sizeof text, file)); /* behind a NUL stands a sample text */
    fclose(file);
    struct mx_tokenizer *tokenizer;
    assert_ok(mx_tokenizer_parse(&tokenizer, text, length, "t.json", &err));
    mx_tokenizer_close(tokenizer);
    for (size_t cut = 0; cut < length; cut++) {
        char *part = malloc(cut + 1); /* exactly that long, so that sanitizers see a read beyond it */
        memcpy(part, text, cut);
        assert_int_not_equal(mx_tokenizer_parse(&tokenizer, part, cut, "t.json", &err), MX_OK);
        free(part);
    }
    for (size_t at = 0; at < length; at++) {
        memcpy(copy, text, length);
        copy[at] = "\"{}[],:0\\\xff"[at % 10];
        if (mx_tokenizer_parse(&tokenizer, copy, length, "t.json", &err) == MX_OK) mx_tokenizer_close(tokenizer);
    }
}

/* Threads share a tokenizer. */
enum { THREADS = 4 };

static void *encode_much(void *given)
{
    const struct mx_tokenizer *tokenizer = given;
    struct mx_ids ids = {0};
    size_t sum = 0;
    for (int i = 0; i < 50; i++) {
        ids.count = 0;
        static const char text[] = "It's 12,345 words: na\xc3\xafve caf\xc3\xa9s  and <|bos|> tokens.";
        if (mx_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids, NULL) != MX_OK) return NULL;
        for (size_t k = 0; k < ids.count; k++) sum = sum * 31 + (size_t)ids.data[k];
    }
    mx_ids_free(&ids);
    return (void *)sum;
}

static void threads_share_a_tokenizer(void **state)
{
    struct mx_tokenizer *tokenizer;
    pthread_t threads[THREADS];
    assert_ok(mx_tokenizer_open(&tokenizer, bundled, &err));
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, encode_much, tokenizer), 0);
    const void *expected = encode_much(tokenizer);
    assert_non_null(expected);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, expected);
    }
    mx_tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_and_ids),
        cmocka_unit_test(odd_text),
        cmocka_unit_test(streams_never_break_a_character),
        cmocka_unit_test(streams_agree_with_decoding),
        cmocka_unit_test(a_megabyte_of_one_letter),
        cmocka_unit_test(a_regular_expression_that_explodes),
        cmocka_unit_test(bad_files_have_clear_messages),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(gaps_between_ids_are_fine),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
