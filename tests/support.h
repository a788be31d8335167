/* What every test program includes: cmocka in the order that it wants, and a few helpers. */
#ifndef MX_TESTS_SUPPORT_H
#define MX_TESTS_SUPPORT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* The folder of larger references, if this checkout stands beside one; NULL otherwise. */
static inline const char *shared_fixtures(void)
{
    static const char path[] = "../shared/fixtures";
    return access(path, R_OK) == 0 ? path : NULL;
}

/* Skips a test that has nothing to check without `what`, which no checkout holds. scripts/test.sh takes any
 * other skip for a failure. */
static inline void skip_needing(const char *what)
{
    print_message("skipped: needs %s\n", what);
    skip();
}

/* Sanitizers make the long tests ten times longer: these then take one in some of their cases. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Fails the test with the library's own message. */
#define assert_ok(expression)                                                                                          \
    do {                                                                                                               \
        err.message[0] = '\0';                                                                                         \
        if ((expression) != MX_OK) fail_msg("%s: %s", #expression, err.message);                                       \
    } while (0)

/* The call fails with this status, and its message holds this text. */
#define assert_fails(expression, expected, text)                                                                       \
    do {                                                                                                               \
        err.message[0] = '\0';                                                                                         \
        assert_int_equal((expression), (expected));                                                                    \
        if (!strstr(err.message, (text))) fail_msg("\"%s\" lacks \"%s\"", err.message, (text));                        \
    } while (0)

#endif
