/* A unit of the double array (Darts-clone): bits 0-7 label, 8 "a value hangs below", 9 scale and 10-30 offset of the
 * offset to the children, bit 31 set in a unit that is a value (its other 31 bits). Children of the node at `p` stand
 * at p ^ offset ^ label, its value at p ^ offset. */
#include "tokenizer/precompiled.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/base64.h"

static uint32_t read_unit(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Takes `data`, which holds `length` bytes and room for one more. */
static mx_status take(struct mx_precompiled *table, uint8_t *data, size_t length, const char *where,
                      struct mx_error *err)
{
    const size_t trie = length != SIZE_MAX && length >= 4 ? read_unit(data) : SIZE_MAX;
    if (trie == SIZE_MAX || trie > length - 4 || trie < 4) {
        free(data);
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"precompiled_charsmap\" is not a SentencePiece table", where);
    }
    data[length] = '\0';
    *table = (struct mx_precompiled){data, trie / 4, (const char *)data + 4 + trie, length - 4 - trie};
    if (mx_utf8_valid_length(table->replacements, table->replacements_length) == table->replacements_length)
        return MX_OK;
    mx_precompiled_free(table);
    return mx_fail(err, MX_ERR_FORMAT, "%s: \"precompiled_charsmap\" holds text that is not UTF-8", where);
}

mx_status mx_precompiled_parse(struct mx_precompiled *table, const struct mx_settings *settings)
{
    *table = (struct mx_precompiled){0};
    const cJSON *json = mx_json_get_set(settings->json, "precompiled_charsmap");
    if (!json || (cJSON_IsString(json) && !*json->valuestring)) return MX_OK;
    if (!cJSON_IsString(json)) return mx_settings_wrong(settings, "precompiled_charsmap", "a string");
    const size_t room = strlen(json->valuestring) + 1; /* base64 is longer than what it stands for */
    uint8_t *data = malloc(room);
    if (!data) return mx_fail_memory(settings->err, "precompiled_charsmap", room);
    char where[MX_PLACE_SIZE];
    const size_t length = mx_base64_decode(json->valuestring, strlen(json->valuestring), data);
    return take(table, data, length, mx_settings_where(settings, where), settings->err);
}

mx_status mx_precompiled_copy(struct mx_precompiled *table, const void *bytes, size_t length, const char *where,
                              struct mx_error *err)
{
    *table = (struct mx_precompiled){0};
    if (!length) return MX_OK;
    uint8_t *data = malloc(length + 1);
    if (!data) return mx_fail_memory(err, "precompiled_charsmap", length);
    memcpy(data, bytes, length);
    return take(table, data, length, where, err);
}

void mx_precompiled_free(struct mx_precompiled *table)
{
    free(table->data);
    *table = (struct mx_precompiled){0};
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* The replacement of the shortest or longest prefix of `text` that has one, and its length; NULL if none has. A value
 * that points into a character (a broken table) would make broken text: it counts as none. */
static const char *lookup(const struct mx_precompiled *table, const char *text, size_t length, bool longest,
                          size_t *used)
{
    const char *found = NULL;
    if (!table->units) return NULL;
    const uint8_t *trie = table->data + 4;
    size_t node = offset_of(read_unit(trie));
    for (size_t i = 0; i < length && text[i] && (longest || !found); i++) {
        const uint8_t byte = (uint8_t)text[i];
        node ^= byte;
        if (node >= table->units) break;
        const uint32_t unit = read_unit(trie + 4 * node);
        if ((unit & 0x800000ffu) != byte) break;
        node ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        if (node >= table->units) break;
        const uint32_t value = read_unit(trie + 4 * node) & 0x7fffffffu;
        const char *to = value < table->replacements_length ? table->replacements + value : NULL;
        if (!to || ((unsigned char)*to & 0xc0) == 0x80) {
            if (longest) continue;
            break;
        }
        found = to;
        *used = i + 1;
    }
    return found;
}

const char *mx_precompiled_longest(const struct mx_precompiled *table, const char *text, size_t length, size_t *used)
{
    enum { LONGEST = 256 }; /* bytes that a rule may look at; a table whose trie runs in a circle would look for ever */
    const char *found = lookup(table, text, length < LONGEST ? length : LONGEST, true, used);
    /* A rule that ends within a character is a broken one. */
    return found && (*used == length || ((unsigned char)text[*used] & 0xc0) != 0x80) ? found : NULL;
}

/* Appends the replacement of a piece, or says that there is none. */
static bool replace(const struct mx_precompiled *table, const char *piece, size_t length, struct mx_str *out)
{
    size_t unused;
    const char *text = lookup(table, piece, length, false, &unused);
    if (text) mx_str_puts(out, text);
    return text != NULL;
}

void mx_precompiled_apply(const struct mx_precompiled *table, const char *text, size_t length, uint64_t limit,
                          struct mx_str *out)
{
    const char *at = text, *end = text + length;
    while (at < end && out->length <= limit) {
        /* One grapheme cluster. */
        const char *stop = at;
        uint32_t before = mx_utf8_next(&stop);
        utf8proc_int32_t state = 0;
        while (stop < end) {
            const char *next = stop;
            const uint32_t c = mx_utf8_next(&next);
            if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)c, &state)) break;
            before = c;
            stop = next;
        }
        /* Short clusters are looked up whole, else each character: what SentencePiece's users rely on. */
        if (stop - at < 6 && replace(table, at, (size_t)(stop - at), out)) {
            at = stop;
            continue;
        }
        while (at < stop && out->length <= limit) {
            const char *start = at;
            mx_utf8_next(&at);
            if (!replace(table, start, (size_t)(at - start), out)) mx_str_append(out, start, (size_t)(at - start));
        }
    }
}
