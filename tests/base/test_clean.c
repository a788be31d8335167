/* Cleaning text on its way to a terminal. */
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/error.h"
#include "base/random.h"
#include "base/utf8.h"
#include "support.h"

static struct mx_error err;

static void check(const char *text, const char *expected)
{
    char buffer[256];
    snprintf(buffer, sizeof buffer, "%s", text);
    mx_clean(buffer);
    assert_string_equal(buffer, expected);
}

static void what_moves_a_cursor_goes(void **state)
{
    check("plain text, é, 漢字, 🙂", "plain text, é, 漢字, 🙂");
    check("a\nb\rc\td\x1b[2Je\x7f", "a?b?c?d?[2Je?");
    check("C1: \xc2\x9b"
          "31m, \xc2\x85",
          "C1: ?31m, ?");
    check("raw C1: \x9b"
          "31m",
          "raw C1: ?31m");
    check("broken \xff\xc3(, \xed\xa0\x80", "broken ?"
                                            "?(, ?"
                                            "?"
                                            "?");
    check("lines \xe2\x80\xa8 and \xe2\x80\xa9", "lines ? and ?");
    check("order \xe2\x80\xae and \xe2\x81\xa6", "order ? and ?");
    check("cut off \xe6\xbc", "cut off ");
}

static void copies_are_cut_after_whole_characters(void **state)
{
    char buffer[16];
    assert_string_equal(mx_clean_copy(buffer, sizeof buffer, "fits"), "fits");
    assert_string_equal(mx_clean_copy(buffer, sizeof buffer, "exactly fifteen"), "exactly fifteen");
    assert_string_equal(mx_clean_copy(buffer, sizeof buffer, "one that is too long"), "one that is ...");
    assert_string_equal(mx_clean_copy(buffer, sizeof buffer, "éééééééééééé"), "éééééé...");
    assert_string_equal(mx_clean_copy(buffer, 4, "abcdef"), "abc");
    assert_string_equal(mx_clean_copy(buffer, 1, "abcdef"), "");
}

static void any_bytes_become_one_valid_line(void **state)
{
    struct mx_random random = {1};
    for (int round = 0; round < 20000; round++) {
        char text[64], copy[24];
        const size_t length = mx_random_u64(&random) % (sizeof text - 1);
        for (size_t i = 0; i < length; i++) text[i] = (char)(1 + mx_random_u64(&random) % 255);
        text[length] = '\0';
        mx_clean_copy(copy, sizeof copy, text);
        mx_clean(text);
        assert_true(strlen(text) <= length);
        assert_int_equal(mx_utf8_valid_length(text, strlen(text)), strlen(text));
        assert_int_equal(mx_utf8_valid_length(copy, strlen(copy)), strlen(copy));
        for (const char *c = text; *c; c++) assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void errors_are_clean(void **state)
{
    char name[600];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name + 509, "\xc3\xa9", 2); /* cut in the middle by the message's end */
    assert_int_equal(mx_fail(&err, MX_ERR_FORMAT, "%s", name), MX_ERR_FORMAT);
    assert_int_equal(mx_utf8_valid_length(err.message, strlen(err.message)), strlen(err.message));
    mx_fail(&err, MX_ERR_FORMAT, "type \"%s\"", "\x1b]0;x\x07\xc2\x9b");
    assert_string_equal(err.message, "type \"?]0;x??\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_moves_a_cursor_goes),
        cmocka_unit_test(copies_are_cut_after_whole_characters),
        cmocka_unit_test(any_bytes_become_one_valid_line),
        cmocka_unit_test(errors_are_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
