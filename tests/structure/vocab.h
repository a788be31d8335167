/* A toy vocabulary: every byte is a token, and so are some longer texts that cut JSON in awkward places; its trie. For
 * one test program: everything is static. */
#ifndef MX_TESTS_STRUCTURE_VOCAB_H
#define MX_TESTS_STRUCTURE_VOCAB_H

#include <string.h>

#include "structure/token_trie.h"

static const char *const toy_texts[] = {
    "{\"",  "\":",   "\": ", "\",",   "\", \"", "\"}",   "\"]",      "},",    "}]",       "]}",
    "}}",   "\"\"",  "[]",   "{}",    "[\"",    "[[",    ", ",       ",\n",   "\n  ",     "\n\t",
    "true", "false", "null", "tru",   "nul",    "12",    "00",       "-1",    "1.5",      "0.",
    "e1",   "1,",    "2]",   "3}",    "\\u",    "\\ud8", "\\n",      "\\\"",  "a",        "ab",
    "abc",  "name",  "\"na", "me\":", "id\"",   "kind",  "\xc3\xa9", "\xc3",  "\xe2\x82", "\xf0\x9f\x98\x80",
    "red",  "green", "2024", "-0",    "\":\"",  "\":[",  "\":{",     "true}", "null,",    "1\n",
};
enum { TOY_TEXTS = sizeof toy_texts / sizeof *toy_texts, TOY_VOCAB = 256 + TOY_TEXTS + 1 };

/* The last token has no bytes: a special one. */
static inline mx_status toy_bytes(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    (void)context;
    (void)err;
    if (token < 256) mx_str_putc(bytes, (char)token);
    if (token >= 256 && token < TOY_VOCAB - 1) mx_str_puts(bytes, toy_texts[token - 256]);
    return MX_OK;
}

static struct mx_token_trie *trie;

/* cmocka's, around a group. */
static inline int open_trie(void **state)
{
    (void)state;
    return mx_token_trie_open(&trie, TOY_VOCAB, toy_bytes, NULL, NULL);
}

static inline int close_trie(void **state)
{
    (void)state;
    mx_token_trie_close(trie);
    return 0;
}

#endif
