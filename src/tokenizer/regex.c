/* The only user of PCRE2. */
#include "tokenizer/regex.h"

#include <stdlib.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/str.h"
#include "tokenizer/onig.h"

enum {
    MAX_PATTERN = 64 * 1024, /* bytes */
    MATCH_LIMIT = 10000000,  /* backtracking steps of one search; real patterns need a few per character */
    HEAP_LIMIT = 256 * 1024, /* KiB */
    STACK_MAX = 8 * 1024 * 1024
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
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
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
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = compile(mx_str_text(&translated), translated.length, &error, &offset);
    mx_str_free(&translated);
    if (!code) {
        PCRE2_UCHAR reason[128] = "out of memory";
        if (error) pcre2_get_error_message(error, reason, sizeof reason);
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
    pcre2_set_match_limit(context, MATCH_LIMIT);
    pcre2_set_heap_limit(context, HEAP_LIMIT);
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

mx_status mx_regex_find(const struct mx_regex *regex, struct mx_regex_state *state, const char *text, size_t length,
                        size_t from, bool *found, size_t *start, size_t *end, struct mx_error *err)
{
    *found = false;
    MX_TRY(prepare(state, err));
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK, state->match, state->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap, with a larger limit */
        rc = pcre2_match(regex->code, (PCRE2_SPTR)text, length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state->match,
                         state->context);
    if (rc == PCRE2_ERROR_NOMATCH) return MX_OK;
    if (rc < 0) {
        PCRE2_UCHAR reason[128];
        pcre2_get_error_message(rc, reason, sizeof reason);
        return mx_fail(err, MX_ERR_LIMIT,
                       "the tokenizer's regular expression \"%.80s\" gave up on this text at byte %zu: %s",
                       regex->pattern, from, (const char *)reason);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(state->match);
    *found = true;
    *start = bounds[0];
    *end = bounds[1];
    if (*start > *end) *start = *end; /* \K in a look-ahead; PCRE2 10.38 and later refuse it */
    return MX_OK;
}
