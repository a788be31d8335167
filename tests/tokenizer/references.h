/* Reading the reference lists: texts and decoded texts may hold NUL characters, so they are read with lengths. */
#ifndef MX_TESTS_TOKENIZER_REFERENCES_H
#define MX_TESTS_TOKENIZER_REFERENCES_H

#include "support.h"

#include "base/file.h"
#include "base/str.h"
#include "tokenizer/scan.h"
#include "tokenizer/tokenizer.h"

enum { MAX_TEXTS = 256, MAX_REFERENCE_FILE = 16 << 20 };

struct reference {
    size_t index; /* of the text */
    struct mx_ids ids, ids_special;
    struct mx_str decoded, decoded_skip;
};

static struct mx_error err;

/* Opens a scan of a whole file; *data is the caller's. */
static struct mx_scan scan_file(const char *path, char **data)
{
    size_t length;
    assert_ok(mx_file_read(path, MAX_REFERENCE_FILE, data, &length, &err));
    return (struct mx_scan){.text = *data, .at = *data, .end = *data + length, .name = path};
}

static void scan_into(struct mx_scan *scan, struct mx_str *out)
{
    const char *text;
    size_t length;
    assert_ok(mx_scan_string(scan, &text, &length, &err));
    mx_str_clear(out);
    mx_str_append(out, text, length);
}

static bool scan_more(struct mx_scan *scan, char close, bool first)
{
    bool more = false;
    assert_ok(mx_scan_more(scan, close, first, &more, &err));
    return more;
}

/* A list of strings into out[MAX_TEXTS]; returns their number. */
static size_t read_texts(const char *path, struct mx_str *out)
{
    char *data;
    struct mx_scan scan = scan_file(path, &data);
    size_t count = 0;
    assert_ok(mx_scan_expect(&scan, '[', &err));
    for (; scan_more(&scan, ']', count == 0); count++) {
        assert_true(count < MAX_TEXTS);
        out[count] = (struct mx_str){0};
        scan_into(&scan, &out[count]);
    }
    mx_str_free(&scan.buffer);
    free(data);
    return count;
}

static void scan_ids(struct mx_scan *scan, struct mx_ids *ids)
{
    ids->count = 0;
    assert_ok(mx_scan_expect(scan, '[', &err));
    while (scan_more(scan, ']', ids->count == 0)) {
        double id;
        assert_ok(mx_scan_number(scan, &id, &err));
        assert_ok(mx_ids_append(ids, (int32_t)id, &err));
    }
}

/* Reads the next reference; its old contents are replaced. False at the end of the list. */
static bool next_reference(struct mx_scan *scan, bool first, struct reference *reference)
{
    if (!scan_more(scan, ']', first)) return false;
    assert_ok(mx_scan_expect(scan, '{', &err));
    for (bool begin = true; scan_more(scan, '}', begin); begin = false) {
        const char *text;
        size_t length;
        char key[32];
        assert_ok(mx_scan_string(scan, &text, &length, &err));
        snprintf(key, sizeof key, "%.*s", (int)length, text);
        assert_ok(mx_scan_expect(scan, ':', &err));
        if (strcmp(key, "text_index") == 0) {
            double index;
            assert_ok(mx_scan_number(scan, &index, &err));
            reference->index = (size_t)index;
        } else if (strcmp(key, "ids") == 0) {
            scan_ids(scan, &reference->ids);
        } else if (strcmp(key, "ids_special") == 0) {
            scan_ids(scan, &reference->ids_special);
        } else if (strcmp(key, "decoded") == 0) {
            scan_into(scan, &reference->decoded);
        } else if (strcmp(key, "decoded_skip") == 0) {
            scan_into(scan, &reference->decoded_skip);
        } else {
            fail_msg("an unexpected key \"%s\"", key);
        }
    }
    return true;
}

static void free_reference(struct reference *reference)
{
    mx_ids_free(&reference->ids);
    mx_ids_free(&reference->ids_special);
    mx_str_free(&reference->decoded);
    mx_str_free(&reference->decoded_skip);
}

/* All that a stream gives for these ids. */
static void stream_text(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids, bool skip, struct mx_str *out)
{
    struct mx_text_stream *stream;
    const char *text;
    size_t length;
    mx_str_clear(out);
    assert_ok(mx_text_stream_open(&stream, tokenizer, skip, &err));
    for (size_t i = 0; i < ids->count; i++) {
        assert_ok(mx_text_stream_feed(stream, ids->data[i], &text, &length, &err));
        mx_str_append(out, text, length);
    }
    assert_ok(mx_text_stream_finish(stream, &text, &length, &err));
    mx_str_append(out, text, length);
    mx_text_stream_close(stream);
}

static void expect_ids(const char *what, size_t index, const struct mx_ids *expected, const struct mx_ids *ids)
{
    size_t i = 0;
    while (i < expected->count && i < ids->count && ids->data[i] == expected->data[i]) i++;
    if (i < expected->count || i < ids->count)
        fail_msg("%s, text %zu: differs at id %zu (of %zu, got %zu)", what, index, i, expected->count, ids->count);
}

static void expect_text(const char *what, size_t index, const struct mx_str *expected, const struct mx_str *text)
{
    if (text->length != expected->length || memcmp(mx_str_text(text), mx_str_text(expected), text->length) != 0)
        fail_msg("%s, text %zu: \"%s\", not \"%s\"", what, index, mx_str_text(text), mx_str_text(expected));
}

/* Checks one tokenizer against one list of references: encoding with and without special tokens, decoding at once and
 * as a stream with and without them. */
static inline void check_references(const struct mx_tokenizer *tokenizer, const char *name, const char *path,
                                    const struct mx_str *texts, size_t count)
{
    char *data;
    struct mx_scan scan = scan_file(path, &data);
    struct reference reference = {0};
    struct mx_ids ids = {0};
    struct mx_str text = {0};
    assert_ok(mx_scan_expect(&scan, '[', &err));
    for (bool first = true; next_reference(&scan, first, &reference); first = false) {
        const size_t index = reference.index;
        assert_true(index < count);
        for (int special = 0; special < 2; special++) {
            ids.count = 0;
            assert_ok(
                mx_tokenizer_encode(tokenizer, mx_str_text(&texts[index]), texts[index].length, special, &ids, &err));
            expect_ids(name, index, special ? &reference.ids_special : &reference.ids, &ids);
        }
        for (int skip = 0; skip < 2; skip++) {
            const struct mx_str *expected = skip ? &reference.decoded_skip : &reference.decoded;
            mx_str_clear(&text);
            assert_ok(mx_tokenizer_decode(tokenizer, reference.ids.data, reference.ids.count, skip, &text, &err));
            expect_text(name, index, expected, &text);
            stream_text(tokenizer, &reference.ids, skip, &text);
            expect_text(name, index, expected, &text);
        }
    }
    free_reference(&reference);
    mx_ids_free(&ids);
    mx_str_free(&text);
    mx_str_free(&scan.buffer);
    free(data);
}

#endif
