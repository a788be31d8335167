/* JSON as values. Read here and not through cJSON, as templates see what it drops: whether a number is written 1 or
 * 1.0, whole numbers beyond 2^53, NUL characters in texts. */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "jinja/eval.h"

struct reader {
    struct run *run;
    const char *text, *at, *end;
    const struct mx_jinja_variable *variable;
    int depth;
};

static _Noreturn void fail_json(struct reader *reader, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *c = reader->text; c < reader->at; c++) {
        if (*c == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*c & 0xc0) != 0x80) {
            column++;
        }
    }
    const mx_status status =
        mx_fail(reader->run->err, MX_ERR_FORMAT, "%s:%zu:%zu: %s", reader->variable->origin, line, column, what);
    longjmp(reader->run->out, (int)status);
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) && *reader->at) reader->at++;
}

static bool take(struct reader *reader, char c)
{
    skip_space(reader);
    const bool there = reader->at < reader->end && *reader->at == c;
    reader->at += there;
    return there;
}

static bool take_word(struct reader *reader, const char *word)
{
    const size_t length = strlen(word);
    const bool there = (size_t)(reader->end - reader->at) >= length && memcmp(reader->at, word, length) == 0;
    if (there) reader->at += length;
    return there;
}

static uint32_t read_hex(struct reader *reader)
{
    const int code = reader->end - reader->at >= 4 ? mx_utf8_hex(reader->at, 4) : -1;
    if (code < 0) fail_json(reader, "\\u wants four hexadecimal digits");
    reader->at += 4;
    return (uint32_t)code;
}

static void read_escape(struct reader *reader, struct build *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = reader->at < reader->end ? *reader->at++ : '\0';
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        mxj_addc(reader->run, out, to[simple - from]);
        return;
    }
    if (c != 'u') fail_json(reader, "a backslash that begins no escape");
    uint32_t code = read_hex(reader);
    if (code >= 0xd800 && code < 0xdc00 && take_word(reader, "\\u")) {
        const uint32_t low = read_hex(reader);
        if (low < 0xdc00 || low >= 0xe000) fail_json(reader, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code >= 0xd800 && code < 0xe000) fail_json(reader, "half a surrogate pair");
    mxj_add_char(reader->run, out, code);
}

static struct value read_text(struct reader *reader)
{
    struct build out = {0};
    reader->at++;
    for (;;) {
        const char *from = reader->at;
        while (reader->at < reader->end && (unsigned char)*reader->at >= 0x20 && *reader->at != '"' &&
               *reader->at != '\\')
            reader->at++;
        mxj_add(reader->run, &out, from, (size_t)(reader->at - from));
        if (reader->at == reader->end) fail_json(reader, "a text without its closing quote");
        if (*reader->at == '"') break;
        if (*reader->at != '\\') fail_json(reader, "a control character in a text; write it as an escape");
        reader->at++;
        read_escape(reader, &out);
    }
    reader->at++;
    return mxj_finish(reader->run, &out);
}

static struct value read_number(struct reader *reader)
{
    char text[400];
    const char *begin = reader->at;
    bool real = false;
    if (reader->at < reader->end && *reader->at == '-') reader->at++;
    const char *digits = reader->at;
    for (; reader->at < reader->end && *reader->at && strchr("0123456789.eE+-", *reader->at); reader->at++)
        real = real || *reader->at == '.' || *reader->at == 'e' || *reader->at == 'E';
    const size_t length = (size_t)(reader->at - begin);
    if (length >= sizeof text) fail_json(reader, "a number of more than 399 characters");
    memcpy(text, begin, length);
    text[length] = '\0';
    char *end;
    const bool lead = digits < reader->at && *digits >= '0' && *digits <= '9' &&
                      !(*digits == '0' && digits + 1 < reader->at && digits[1] >= '0' && digits[1] <= '9');
    const char *dot = strchr(text, '.');
    const bool digit_behind = !dot || (dot[1] >= '0' && dot[1] <= '9');
    errno = 0;
    const struct value number = real ? mxj_float(strtod(text, &end)) : mxj_int(strtoll(text, &end, 10));
    if (!lead || !digit_behind || *end) fail_json(reader, "not a number");
    if (!real && errno) fail_json(reader, "a whole number beyond 64 bits");
    return number;
}

static struct value read_value(struct reader *reader);

static struct value read_list(struct reader *reader)
{
    struct value list = mxj_list(reader->run, 0);
    reader->at++;
    if (take(reader, ']')) return list;
    do {
        mxj_push(reader->run, &list, read_value(reader));
    } while (take(reader, ','));
    if (!take(reader, ']')) fail_json(reader, "expected , or ]");
    return list;
}

/* A list of parts: each an object with a type. */
static bool is_parts(struct run *run, const struct value *value)
{
    if (value->kind != LIST || value->list->count == 0) return false;
    for (size_t i = 0; i < value->list->count; i++) {
        const struct value *part = &value->list->items[i];
        if (part->kind != DICT || !mxj_get_text(run, part->dict, "type", 4)) return false;
    }
    return true;
}

/* The texts of a list of parts, one behind the other; the list where not all are texts. */
static struct value join_parts(struct run *run, struct value parts)
{
    struct build text = {0};
    for (size_t i = 0; i < parts.list->count; i++) {
        const struct dict *part = parts.list->items[i].dict;
        const struct value *type = mxj_get_text(run, part, "type", 4), *words = mxj_get_text(run, part, "text", 4);
        if (!mxj_is_text(type, "text") || !words || words->kind != STRING) return parts;
        mxj_add(run, &text, words->text, words->length);
    }
    return mxj_finish(run, &text);
}

static struct value read_member(struct reader *reader, const struct value *key)
{
    struct run *run = reader->run;
    struct value value = read_value(reader);
    const char *parts = reader->variable->parts;
    if (!parts || !mxj_is_text(key, parts) || !is_parts(run, &value)) return value;
    run->parts.seen = true;
    value.list->parts = true;
    return reader->variable->join_parts ? join_parts(run, value) : value;
}

/* A key that stands twice has its last value, as in Python. */
static struct value read_object(struct reader *reader)
{
    struct value dict = mxj_dict(reader->run);
    reader->at++;
    if (take(reader, '}')) return dict;
    do {
        skip_space(reader);
        if (reader->at == reader->end || *reader->at != '"') fail_json(reader, "expected a key");
        const struct value key = read_text(reader);
        if (!take(reader, ':')) fail_json(reader, "expected : behind a key");
        mxj_set(reader->run, dict.dict, key, read_member(reader, &key));
    } while (take(reader, ','));
    if (!take(reader, '}')) fail_json(reader, "expected , or }");
    return dict;
}

static struct value read_value(struct reader *reader)
{
    struct value value;
    skip_space(reader);
    if (reader->at == reader->end) fail_json(reader, "the text ends where a value was expected");
    if (++reader->depth > MX_JSON_DEPTH) fail_json(reader, "nested too deep (more than 64 levels)");
    mxj_step(reader->run);
    switch (*reader->at) {
    case '"': value = read_text(reader); break;
    case '[': value = read_list(reader); break;
    case '{': value = read_object(reader); break;
    default:
        if (take_word(reader, "true"))
            value = mxj_bool(true);
        else if (take_word(reader, "false"))
            value = mxj_bool(false);
        else if (take_word(reader, "null"))
            value = mxj_none();
        else
            value = read_number(reader);
        break;
    }
    reader->depth--;
    return value;
}

struct value mxj_read_json(struct run *run, const struct mx_jinja_variable *variable)
{
    const char *text = variable->text;
    const size_t length = variable->length;
    struct reader reader = {.run = run, .text = text, .at = text, .end = text + length, .variable = variable};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) reader.at += 3;
    const size_t valid = mx_utf8_valid_length(text, length);
    if (valid < length) {
        reader.at = text + valid;
        fail_json(&reader, "a byte that is not UTF-8");
    }
    const struct value value = read_value(&reader);
    skip_space(&reader);
    if (reader.at < reader.end) fail_json(&reader, "something behind the end of the value");
    return value;
}
