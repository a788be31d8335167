/* Stop strings, however the text is cut into pieces. */
#include "support.h"

#include "base/random.h"
#include "engine/stop.h"

static void append(void *context, const char *text, size_t length)
{
    mx_str_append(context, text, length);
}

/* Feeds `text` in random pieces; what comes out must be `expected`, and whether it stopped. */
static void check(const char *text, const char *const *strings, size_t count, const char *expected, bool stops)
{
    struct mx_random random = {.state = 7};
    for (int round = 0; round < 200; round++) {
        struct mx_stop stop = {.strings = strings, .count = count};
        struct mx_str shown = {0};
        bool stopped = false;
        for (size_t at = 0, left = strlen(text); left && !stopped;) {
            const size_t length = 1 + mx_random_u64(&random) % left;
            stopped = mx_stop_feed(&stop, text + at, length, append, &shown);
            at += length;
            left -= length;
        }
        if (!stopped) mx_stop_finish(&stop, append, &shown);
        assert_int_equal(stopped, stops);
        assert_string_equal(mx_str_text(&shown), expected);
        mx_str_free(&shown);
        mx_str_free(&stop.held);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    static const char *const one[] = {"END"}, *const nested[] = {"abcd", "bc"}, *const empty[] = {""};
    check("some text END more", one, 1, "some text ", true);
    check("some text EN", one, 1, "some text EN", false);
    check("EEEND", one, 1, "EE", true);
    check("END", one, 1, "", true);
    check("xabcd", nested, 2, "xa", true); /* "bc" is complete first */
    check("xabdabcd", nested, 2, "xabda", true);
    check("xabxab", nested, 2, "xabxab", false);
    check("text", empty, 1, "text", false);
    check("text", NULL, 0, "text", false);
}

/* Text that cannot be the beginning of a stop string is shown at once. */
static void test_nothing_held_needlessly(void **state)
{
    (void)state;
    static const char *const strings[] = {"\n\n"};
    struct mx_stop stop = {.strings = strings, .count = 1};
    struct mx_str shown = {0};
    assert_false(mx_stop_feed(&stop, "abc", 3, append, &shown));
    assert_string_equal(mx_str_text(&shown), "abc");
    assert_false(mx_stop_feed(&stop, "d\n", 2, append, &shown));
    assert_string_equal(mx_str_text(&shown), "abcd");
    assert_false(mx_stop_feed(&stop, "e", 1, append, &shown));
    assert_string_equal(mx_str_text(&shown), "abcd\ne");
    mx_str_free(&shown);
    mx_str_free(&stop.held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces), cmocka_unit_test(test_nothing_held_needlessly)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
