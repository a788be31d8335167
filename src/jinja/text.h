/* Characters in texts, as Python counts and classifies them. */
#ifndef MX_JINJA_TEXT_H
#define MX_JINJA_TEXT_H

#include "base/utf8.h"
#include "jinja/value.h"

/* White space as str.isspace() and the \s of regular expressions have it. */
static inline bool mxj_is_space(uint32_t c)
{
    return mx_char_is_space(c) || (c >= 0x1c && c <= 0x1f);
}
/* What ends a line for str.splitlines(). */
static inline bool mxj_is_line_end(uint32_t c)
{
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

size_t mxj_count_chars(struct run *run, const struct value *text);
/* Where character number `index` begins: an offset of bytes, at most the text's length. */
size_t mxj_char_offset(struct run *run, const struct value *text, size_t index);

enum { TRIM_LEFT = 1, TRIM_RIGHT = 2 };
/* Without white space at its ends, or without the characters in `chars` where that isn't NULL. */
struct value mxj_trim(struct run *run, struct value text, const struct value *chars, unsigned sides);

/* Where `part` first (last) stands in text[from, to) (bytes); -1: nowhere. */
ptrdiff_t mxj_find(struct run *run, const struct value *text, const struct value *part, size_t from, size_t to);
ptrdiff_t mxj_find_last(struct run *run, const struct value *text, const struct value *part, size_t from, size_t to);
/* At most `limit` times; -1: everywhere. */
struct value mxj_replace(struct run *run, const struct value *text, const struct value *from, const struct value *to,
                         int64_t limit);
/* The lines, as str.splitlines(keep) has them. */
struct value mxj_split_lines(struct run *run, const struct value *text, bool keep);

/* Filled up to `width` characters: sides 0 for the middle, else where the text goes, TRIM_LEFT or TRIM_RIGHT. */
struct value mxj_justify(struct run *run, const struct value *text, int64_t width, uint32_t fill, unsigned side);

/* classes.c: str.isalpha() and the like, of one character */
bool mxj_is_alpha(uint32_t c);
bool mxj_is_decimal(uint32_t c);
bool mxj_is_digit(uint32_t c);
bool mxj_is_numeric(uint32_t c);
bool mxj_is_alnum(uint32_t c);
bool mxj_is_printable(uint32_t c);
/* str.islower() or str.isupper() */
bool mxj_text_is_case(const struct value *text, bool lower);

/* casing.c */
enum casing { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_FOLD };
void mxj_add_cased(struct run *run, struct build *out, uint32_t c, enum casing casing);
struct value mxj_recase(struct run *run, const struct value *text, enum casing casing); /* each character alike */
struct value mxj_capitalize(struct run *run, const struct value *text);
struct value mxj_title(struct run *run, const struct value *text); /* str.title() */
struct value mxj_swap_case(struct run *run, const struct value *text);
bool mxj_is_cased_lower(uint32_t c);
bool mxj_is_cased_upper(uint32_t c);
bool mxj_is_cased_title(uint32_t c);

#endif
