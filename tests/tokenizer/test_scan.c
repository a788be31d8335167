/* The tree-less JSON reader against cJSON, in memory of exactly the text's size so that a sanitizer sees each byte read
 * too many; and the vocabulary that it fills. */
#include "support.h"

#include "base/json.h"
#include "base/random.h"
#include "tokenizer/scan.h"
#include "tokenizer/vocab.h"

static struct mx_error err;

static uint64_t below(struct mx_random *random, uint64_t limit)
{
    return mx_random_u64(random) % limit;
}

/* A string in JSON, mostly plain, sometimes with what ends or breaks one. */
static void put_string(struct mx_str *json, struct mx_random *random)
{
    static const char *const odd[] = {"\\n",          "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\xc3\xa9",
                                      "\xe2\x96\x81", " ",    "\\x",  "\x1f",    "\xff",           "\\ud800"};
    const uint64_t length = below(random, 24);
    mx_str_putc(json, '"');
    for (uint64_t i = 0; i < length; i++) {
        if (below(random, 8) == 0)
            mx_str_puts(json, odd[below(random, below(random, 4) ? 8 : sizeof odd / sizeof *odd)]);
        else
            mx_str_putc(json, (char)('a' + below(random, 26)));
    }
    mx_str_putc(json, '"');
}

static void put_blanks(struct mx_str *json, struct mx_random *random)
{
    static const char blanks[] = " \n\r\t";
    if (below(random, 2)) mx_str_putc(json, blanks[below(random, 4)]);
    for (uint64_t i = below(random, 3) ? 0 : below(random, 20); i > 0; i--) mx_str_putc(json, ' ');
}

/* [ "a", "b", ... ] */
static mx_status read_list(struct mx_scan *scan, const cJSON *expected)
{
    const cJSON *item = expected ? expected->child : NULL;
    MX_TRY(mx_scan_expect(scan, '[', &err));
    for (bool first = true;; first = false) {
        bool more;
        const char *text;
        size_t length;
        MX_TRY(mx_scan_more(scan, ']', first, &more, &err));
        if (!more) break;
        MX_TRY(mx_scan_string(scan, &text, &length, &err));
        if (!expected) continue;
        assert_non_null(item);
        assert_int_equal(length, strlen(item->valuestring));
        assert_memory_equal(text, item->valuestring, length);
        item = item->next;
    }
    if (expected) assert_null(item);
    return MX_OK;
}

static void lists_of_strings_are_read_as_cjson_reads_them(void **state)
{
    struct mx_random random = {1};
    int good = 0, bad = 0;
    for (int round = 0; round < 20000; round++) {
        struct mx_str json = {0};
        mx_str_putc(&json, '[');
        for (uint64_t i = 0, count = 1 + below(&random, 4); i < count; i++) {
            if (i) mx_str_putc(&json, ',');
            put_blanks(&json, &random);
            put_string(&json, &random);
            put_blanks(&json, &random);
        }
        mx_str_putc(&json, ']');
        const size_t length = round % 8 ? json.length : below(&random, json.length); /* or cut off */
        char *text = malloc(length + !length);
        memcpy(text, json.data, length);

        cJSON *tree = cJSON_ParseWithLength(text, length);
        struct mx_scan scan = {.text = text, .at = text, .end = text + length, .name = "t"};
        const mx_status status = read_list(&scan, tree);
        /* cJSON lets control characters and broken UTF-8 pass, the scanner does not. */
        const bool strict = memchr(text, 0x1f, length) || memchr(text, 0xff, length);
        assert_int_equal(status == MX_OK, tree && !strict);
        if (status == MX_OK) {
            scan.at = text;
            assert_ok(mx_scan_skip(&scan, &err));
            assert_ptr_equal(scan.at, text + length);
        }
        status == MX_OK ? good++ : bad++;
        cJSON_Delete(tree);
        mx_str_free(&scan.buffer);
        mx_str_free(&json);
        free(text);
    }
    assert_true(good > 5000 && bad > 5000);
}

static void places_are_told_by_line_and_column(void **state)
{
    const char text[] = "[\n         \"\xc3\xa9\" x]";
    struct mx_scan scan = {.text = text, .at = text, .end = text + sizeof text - 1, .name = "t"};
    assert_fails(read_list(&scan, NULL), MX_ERR_FORMAT, "t:2:14: ',' expected here");
}

/* Piece by piece, or noted and indexed at once, with and without room reserved. */
static void a_vocabulary_is_the_same_however_it_is_filled(void **state)
{
    enum { PIECES = 3000, MOST = 5000 };
    struct mx_random random = {2};
    struct mx_vocab single = {0}, whole = {0}, roomy = {0};
    int32_t expected[PIECES], id = 0;
    assert_ok(mx_vocab_reserve(&roomy, 1 << 30, 1 << 20, "t", &err));
    for (int i = 0; i < PIECES; i++) expected[i] = -1;
    for (int i = 0; i < MOST; i++) {
        const int piece = (int)below(&random, PIECES);
        char text[16];
        const size_t length = (size_t)snprintf(text, sizeof text, "%d", piece);
        id += 1 + (int32_t)below(&random, 3);
        expected[piece] = id; /* of two ids the later one counts */
        assert_ok(mx_vocab_add(&single, text, length, id, "t", &err));
        assert_ok(mx_vocab_note(&whole, text, length, id, "t", &err));
        assert_ok(mx_vocab_note(&roomy, text, length, id, "t", &err));
        assert_int_equal(mx_vocab_find(&single, text, length), id);
    }
    assert_fails(mx_vocab_note(&whole, "other", 5, id, "t", &err), MX_ERR_FORMAT, "belongs to two pieces");
    assert_ok(mx_vocab_index(&whole, "t", &err));
    assert_ok(mx_vocab_index(&roomy, "t", &err));
    for (int i = 0; i < PIECES; i++) {
        char text[16];
        const size_t length = (size_t)snprintf(text, sizeof text, "%d", i);
        assert_int_equal(mx_vocab_find(&single, text, length), expected[i]);
        assert_int_equal(mx_vocab_find(&whole, text, length), expected[i]);
        assert_int_equal(mx_vocab_find(&roomy, text, length), expected[i]);
    }
    assert_int_equal(single.count, whole.count);
    assert_int_equal(roomy.size, id + 1);
    mx_vocab_free(&single);
    mx_vocab_free(&whole);
    mx_vocab_free(&roomy);
}

static void a_piece_is_recognised_by_its_id(void **state)
{
    struct mx_vocab vocab = {0};
    assert_ok(mx_vocab_add(&vocab, "ab", 2, 7, "t", &err));
    assert_true(mx_vocab_is(&vocab, 7, "ab", 2));
    assert_false(mx_vocab_is(&vocab, 7, "a", 1));
    assert_false(mx_vocab_is(&vocab, 6, "ab", 2));
    assert_false(mx_vocab_is(&vocab, 8, "ab", 2));
    assert_false(mx_vocab_is(&vocab, -1, "ab", 2));
    assert_ok(mx_vocab_add(&vocab, "ab", 2, 9, "t", &err));
    assert_false(mx_vocab_is(&vocab, 7, "ab", 2)); /* 9 it is now */
    mx_vocab_free(&vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_strings_are_read_as_cjson_reads_them),
        cmocka_unit_test(places_are_told_by_line_and_column),
        cmocka_unit_test(a_vocabulary_is_the_same_however_it_is_filled),
        cmocka_unit_test(a_piece_is_recognised_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
