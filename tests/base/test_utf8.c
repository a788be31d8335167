/* base/: UTF-8 against the table of well-formed sequences in the Unicode standard (3.9, table 3-7), by every pair of
 * first bytes and the edges of what may follow. */
#include "support.h"

#include "base/utf8.h"

/* A row of the table: first bytes, the range of the second, and how many plain bytes follow. */
static const struct row {
    unsigned char from, to, low, high;
    int more;
} rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 0}, {0xe0, 0xe0, 0xa0, 0xbf, 1}, {0xe1, 0xec, 0x80, 0xbf, 1},
            {0xed, 0xed, 0x80, 0x9f, 1}, {0xee, 0xef, 0x80, 0xbf, 1}, {0xf0, 0xf0, 0x90, 0xbf, 2},
            {0xf1, 0xf3, 0x80, 0xbf, 2}, {0xf4, 0xf4, 0x80, 0x8f, 2}};

/* What stands at the start of the bytes, and how many bytes the character or its longest beginning takes. */
static enum mx_utf8_kind look_up(const unsigned char *bytes, size_t length, size_t *used)
{
    *used = 1;
    if (bytes[0] < 0x80) return MX_UTF8_CHAR;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        if (bytes[0] < row->from || bytes[0] > row->to) continue;
        if (length == 1) return MX_UTF8_SHORT;
        if (bytes[1] < row->low || bytes[1] > row->high) return MX_UTF8_BROKEN;
        for (*used = 2; *used < 2 + (size_t)row->more; ++*used) {
            if (*used == length) return MX_UTF8_SHORT;
            if (bytes[*used] < 0x80 || bytes[*used] > 0xbf) return MX_UTF8_BROKEN;
        }
        return MX_UTF8_CHAR;
    }
    return MX_UTF8_BROKEN;
}

static void check(const unsigned char *bytes, size_t length)
{
    size_t used = 0, expected;
    const enum mx_utf8_kind kind = look_up(bytes, length, &expected);
    if (mx_utf8_look((const char *)bytes, length, &used) != kind || used != expected) {
        fail_msg("%02x %02x %02x %02x, %zu bytes: takes %zu, not %zu, or is of another kind", bytes[0], bytes[1],
                 bytes[2], bytes[3], length, used, expected);
    }
    const size_t valid = mx_utf8_valid_length((const char *)bytes, length);
    assert_true(kind == MX_UTF8_CHAR ? valid >= used : valid == 0);
}

static void well_formed_sequences(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { EDGES = sizeof edges };
    for (int first = 0; first < 256; first++) {
        for (int second = 0; second < 256; second++) {
            for (int rest = 0; rest < EDGES * EDGES; rest++) {
                const unsigned char bytes[] = {(unsigned char)first, (unsigned char)second, edges[rest / EDGES],
                                               edges[rest % EDGES]};
                for (size_t length = 1; length <= 4; length++) check(bytes, length);
            }
        }
    }
}

/* Each character written, read from its start and from its end. */
static void every_character(void **state)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c < 0xe000) continue;
        struct mx_str text = {0};
        mx_str_putc(&text, 'x');
        mx_utf8_put(&text, c);
        const char *at = mx_str_text(&text) + 1, *end = at, *start;
        assert_int_equal(mx_utf8_length(*at), text.length - 1);
        assert_int_equal(mx_utf8_next(&end), c);
        assert_ptr_equal(end, at + text.length - 1);
        assert_int_equal(mx_utf8_before(mx_str_text(&text), end, &start), c);
        assert_ptr_equal(start, at);
        assert_int_equal(mx_utf8_valid_length(mx_str_text(&text), text.length), text.length);
        mx_str_free(&text);
        if (c >= 0x3000) c += 16;
    }
}

/* Long text is scanned eight bytes at a time: a broken byte is found at every place. */
static void broken_byte_anywhere(void **state)
{
    char text[40];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        text[at] = (char)0xff;
        assert_int_equal(mx_utf8_valid_length(text, sizeof text), at);
        assert_int_equal(mx_utf8_valid_length(text, at), at);
        struct mx_str out = {0};
        mx_utf8_append_lossy(&out, text, sizeof text);
        assert_int_equal(out.length, sizeof text + 2);
        assert_memory_equal(mx_str_text(&out) + at, "\xef\xbf\xbd", 3);
        mx_str_free(&out);
    }
}

static void hexadecimal(void **state)
{
    assert_int_equal(mx_utf8_hex("0f", 2), 0x0f);
    assert_int_equal(mx_utf8_hex("1aF9", 4), 0x1af9);
    assert_int_equal(mx_utf8_hex("1g", 2), -1);
    assert_int_equal(mx_utf8_hex("1G", 2), -1);
    assert_int_equal(mx_utf8_hex("@0", 2), -1);
    assert_int_equal(mx_utf8_hex("/:", 2), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_sequences),
        cmocka_unit_test(every_character),
        cmocka_unit_test(broken_byte_anywhere),
        cmocka_unit_test(hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
