/* The only user of PCRE2. */
#include "tokenizer/regex.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/str.h"
#include "tokenizer/onig.h"

enum {
    MAX_PATTERN = 64 * 1024, /* bytes */
    WINDOW = 1024,           /* places where a match may begin, tried at a time */
    CLOCK_EVERY = 256,       /* searches */
    HEAP_LIMIT = 256 * 1024, /* KiB */
    STACK_MAX = 8 * 1024 * 1024,
    OUT_OF_MEMORY = PCRE2_ERROR_HEAP_FAILED,
};

struct mx_regex {
    pcre2_code *code;
    char *pattern; /* as the file has it, for messages */
};

static pcre2_code *compile(const char *pattern, size_t length, int *error, PCRE2_SIZE *offset)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, length, options, error, offset, context);
    pcre2_compile_context_free(context);
    return code;
}

mx_status mx_regex_open(struct mx_regex **regex, const char *pattern, const char *where, struct mx_error *err)
{
    *regex = NULL;
    const size_t length = strlen(pattern);
    if (length > MAX_PATTERN)
        return mx_fail(err, MX_ERR_LIMIT, "%s: a regular expression of %zu bytes; the limit is %d", where, length,
                       (int)MAX_PATTERN);
    struct mx_str translated = {0};
    if (mx_onig_translate(pattern, length, &translated, err) != MX_OK) {
        mx_str_free(&translated);
        return mx_fail_prefix(err, "%s", where);
    }
    if (mx_str_failed(&translated)) {
        mx_str_free(&translated);
        return mx_fail_memory(err, "a regular expression", length);
    }
    int error = OUT_OF_MEMORY;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = compile(mx_str_text(&translated), translated.length, &error, &offset);
    mx_str_free(&translated);
    if (!code && error == OUT_OF_MEMORY) return mx_fail_memory(err, "a regular expression", length);
    if (!code) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(error, reason, sizeof reason);
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: the regular expression \"%.120s\" cannot be used: %s", where,
                       pattern, (const char *)reason);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where there is no compiler for this machine, it is interpreted */
    struct mx_regex *result = malloc(sizeof *result);
    char *copy = mx_strndup(pattern, length);
    if (!result || !copy) {
        free(result);
        free(copy);
        pcre2_code_free(code);
        return mx_fail_memory(err, "a regular expression", length);
    }
    *result = (struct mx_regex){code, copy};
    *regex = result;
    return MX_OK;
}

void mx_regex_close(struct mx_regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    free(regex->pattern);
    free(regex);
}

static mx_status prepare(struct mx_regex_state *state, struct mx_error *err)
{
    if (state->match) return MX_OK;
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    pcre2_jit_stack *stack = pcre2_jit_stack_create(32 * 1024, STACK_MAX, NULL);
    state->context = context;
    state->match = match;
    state->stack = stack;
    if (!context || !match) {
        mx_regex_state_free(state);
        return mx_fail_memory(err, "the state of a regular expression", 0);
    }
    pcre2_set_heap_limit(context, HEAP_LIMIT);
    pcre2_set_offset_limit(context, 0); /* as state->last is */
    if (stack) pcre2_jit_stack_assign(context, NULL, stack);
    return MX_OK;
}

void mx_regex_state_free(struct mx_regex_state *state)
{
    pcre2_match_data_free(state->match);
    pcre2_match_context_free(state->context);
    if (state->stack) pcre2_jit_stack_free(state->stack);
    *state = (struct mx_regex_state){0};
}

void mx_regex_allow(struct mx_regex_state *state, size_t bytes)
{
    state->bytes += bytes;
}

static double processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static mx_status fail_work(const struct mx_regex *regex, size_t at, const char *what, struct mx_error *err)
{
    return mx_fail(err, MX_ERR_LIMIT,
                   "the tokenizer's regular expression \"%.80s\" gave up on this text at byte %zu: %s", regex->pattern,
                   at, what);
}

/* Quadratic scanning takes no step that is counted, only time. */
static mx_status check_time(struct mx_regex_state *state, const struct mx_regex *regex, size_t at, struct mx_error *err)
{
    if (state->untimed) return MX_OK;
    const double now = processor_seconds();
    if (state->started == 0) state->started = now;
    const double limit = MX_REGEX_SECONDS + MX_REGEX_SECONDS_PER_MB * 1e-6 * (double)state->bytes;
    return now - state->started > limit
               ? fail_work(regex, at, "it takes more time than a text of this length is worth", err)
               : MX_OK;
}

/* One search, the starts of which lie in [from, state->last], in at most `steps` steps. */
static int search(const struct mx_regex *regex, struct mx_regex_state *state, const char *text, size_t length,
                  size_t from, uint32_t steps)
{
    if (state->limit != steps) pcre2_set_match_limit(state->context, steps);
    state->limit = steps;
    const int rc =
        pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK, state->match, state->context);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    /* The interpreter keeps its stack on the heap, with a larger limit. */
    return pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state->match,
                       state->context);
}

/* A search of one window, first in few steps; what needs more is paid for out of the text's account. */
static mx_status search_window(const struct mx_regex *regex, struct mx_regex_state *state, const char *text,
                               size_t length, size_t from, int *rc, struct mx_error *err)
{
    *rc = search(regex, state, text, length, from, MX_REGEX_EASY);
    if (*rc != PCRE2_ERROR_MATCHLIMIT) return MX_OK;
    const uint64_t account = MX_REGEX_STEPS + state->bytes * MX_REGEX_STEPS_PER_BYTE;
    for (uint32_t steps = MX_REGEX_EASY * 16; *rc == PCRE2_ERROR_MATCHLIMIT; steps *= 4) {
        if (state->steps >= account || steps > UINT32_MAX / 4)
            return fail_work(regex, from, "its searches take more steps than a text of this length is worth", err);
        if (steps > account - state->steps) steps = (uint32_t)(account - state->steps);
        state->steps += steps;
        *rc = search(regex, state, text, length, from, steps);
        MX_TRY(check_time(state, regex, from, err));
    }
    return MX_OK;
}

mx_status mx_regex_find(const struct mx_regex *regex, struct mx_regex_state *state, const char *text, size_t length,
                        size_t from, bool *found, size_t *start, size_t *end, struct mx_error *err)
{
    *found = false;
    MX_TRY(prepare(state, err));
    if (state->searches++ % CLOCK_EVERY == 0) MX_TRY(check_time(state, regex, from, err));
    int rc;
    for (;;) {
        if (state->last < from) { /* else the window of a search before is good enough */
            state->last = from + WINDOW;
            pcre2_set_offset_limit(state->context, state->last);
        }
        MX_TRY(search_window(regex, state, text, length, from, &rc, err));
        if (rc != PCRE2_ERROR_NOMATCH) break;
        if (state->last >= length) return MX_OK;
        from = state->last + 1;
        while (from < length && ((unsigned char)text[from] & 0xc0) == 0x80) from++;
        MX_TRY(check_time(state, regex, from, err));
    }
    if (rc < 0) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(rc, reason, sizeof reason);
        return fail_work(regex, from, (const char *)reason, err);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(state->match);
    *found = true;
    *start = bounds[0];
    *end = bounds[1];
    if (*start > *end) *start = *end; /* \K in a look-ahead; PCRE2 10.38 and later refuse it */
    return MX_OK;
}
