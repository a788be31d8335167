/* A growing byte string, always NUL-terminated, that may hold NUL bytes too.
 * Appending never fails visibly: when memory runs out the string is marked, keeps what it has, and
 * mx_str_failed() tells at the end, so that building text needs one check and not twenty. */
#ifndef MX_BASE_STR_H
#define MX_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct mx_str {
    char *data; /* NULL until the first append; use mx_str_text() to read */
    size_t length, capacity;
    bool failed;
};

void mx_str_append(struct mx_str *str, const void *bytes, size_t length);
void mx_str_puts(struct mx_str *str, const char *text);
void mx_str_putc(struct mx_str *str, char c);
void mx_str_printf(struct mx_str *str, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Marks `to` if `from`, of which it was made, is marked. */
void mx_str_inherit(struct mx_str *to, const struct mx_str *from);
void mx_str_clear(struct mx_str *str); /* length 0, keeps the memory */
void mx_str_free(struct mx_str *str);

static inline const char *mx_str_text(const struct mx_str *str)
{
    return str->data ? str->data : "";
}
static inline bool mx_str_failed(const struct mx_str *str)
{
    return str->failed;
}

/* A copy of the first `length` bytes, NUL-terminated, or NULL; the caller frees. */
char *mx_strndup(const char *text, size_t length);

bool mx_ends_with(const char *text, const char *ending);
/* With any of `count` endings. */
bool mx_ends_with_any(const char *text, const char *const *endings, size_t count);

#endif
