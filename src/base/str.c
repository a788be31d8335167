/* The growing string. */
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct mx_str *str, size_t extra)
{
    if (str->failed) return false;
    if (extra < str->capacity - str->length) return true;
    if (extra > SIZE_MAX / 2 - str->length) return !(str->failed = true);
    size_t capacity = str->capacity ? str->capacity : 64;
    while (capacity - str->length <= extra) capacity *= 2;
    char *data = realloc(str->data, capacity);
    if (!data) return !(str->failed = true);
    str->data = data;
    str->capacity = capacity;
    return true;
}

void mx_str_append(struct mx_str *str, const void *bytes, size_t length)
{
    if (!reserve(str, length)) return;
    if (length) memcpy(str->data + str->length, bytes, length);
    str->length += length;
    str->data[str->length] = '\0';
}

void mx_str_puts(struct mx_str *str, const char *text)
{
    mx_str_append(str, text, strlen(text));
}

void mx_str_putc(struct mx_str *str, char c)
{
    mx_str_append(str, &c, 1);
}

void mx_str_printf(struct mx_str *str, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        str->failed = true;
    } else if (reserve(str, (size_t)length)) {
        vsnprintf(str->data + str->length, (size_t)length + 1, format, again);
        str->length += (size_t)length;
    }
    va_end(again);
}

void mx_str_inherit(struct mx_str *to, const struct mx_str *from)
{
    if (from->failed) to->failed = true;
}

void mx_str_clear(struct mx_str *str)
{
    str->length = 0;
    if (str->data) str->data[0] = '\0';
}

void mx_str_free(struct mx_str *str)
{
    free(str->data);
    *str = (struct mx_str){0};
}

char *mx_strndup(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? malloc(length + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

bool mx_ends_with(const char *text, const char *ending)
{
    const size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && memcmp(text + length - tail, ending, tail) == 0;
}

bool mx_ends_with_any(const char *text, const char *const *endings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mx_ends_with(text, endings[i])) return true;
    }
    return false;
}
