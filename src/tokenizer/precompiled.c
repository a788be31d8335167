/* A unit of the double array (Darts-clone): bits 0-7 label, 8 "a value hangs below", 9 scale and 10-30 offset of the
 * offset to the children, bit 31 set in a unit that is a value (its other 31 bits). Children of the node at `p` stand
 * at p ^ offset ^ label, its value at p ^ offset. */
#include "tokenizer/precompiled.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

/* Standard base64 with padding. Returns the number of bytes, or SIZE_MAX if it is no such thing. */
static size_t decode_base64(const char *text, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int8_t value[256];
    memset(value, -1, sizeof value);
    for (int i = 0; i < 64; i++) value[(uint8_t)digits[i]] = (int8_t)i;
    size_t length = 0, digit = 0;
    uint32_t bits = 0;
    for (; *text && *text != '='; text++, digit++) {
        const int v = value[(uint8_t)*text];
        if (v < 0) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)v;
        if (digit % 4) out[length++] = (uint8_t)(bits >> (6 - 2 * (digit % 4)));
    }
    const size_t padding = strspn(text, "=");
    return digit % 4 == 1 || text[padding] || padding > 2 || (digit + padding) % 4 ? SIZE_MAX : length;
}

static uint32_t read_unit(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

mx_status mx_precompiled_parse(struct mx_precompiled *table, const struct mx_settings *settings)
{
    *table = (struct mx_precompiled){0};
    const cJSON *json = mx_json_get_set(settings->json, "precompiled_charsmap");
    if (!json || (cJSON_IsString(json) && !*json->valuestring)) return MX_OK;
    if (!cJSON_IsString(json)) return mx_settings_wrong(settings, "precompiled_charsmap", "a string");
    const size_t room = strlen(json->valuestring) + 1;
    uint8_t *data = malloc(room);
    if (!data) return mx_fail_memory(settings->err, "precompiled_charsmap", room);
    const size_t length = decode_base64(json->valuestring, data);
    const size_t trie = length != SIZE_MAX && length >= 4 ? read_unit(data) : SIZE_MAX;
    if (trie == SIZE_MAX || trie > length - 4 || trie < 4) {
        free(data);
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: \"precompiled_charsmap\" is no SentencePiece table",
                       settings->file, settings->place);
    }
    data[length] = '\0'; /* base64 is longer than what it stands for, so there is room */
    *table = (struct mx_precompiled){data, trie / 4, (const char *)data + 4 + trie, length - 4 - trie};
    if (mx_utf8_valid_length(table->replacements, table->replacements_length) != table->replacements_length) {
        mx_precompiled_free(table);
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: \"precompiled_charsmap\" holds text that is not UTF-8",
                       settings->file, settings->place);
    }
    return MX_OK;
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

/* The replacement of the shortest prefix of `text` that has one; NULL if none has. */
static const char *lookup(const struct mx_precompiled *table, const char *text, size_t length)
{
    if (!table->units) return NULL;
    const uint8_t *trie = table->data + 4;
    size_t node = offset_of(read_unit(trie));
    for (size_t i = 0; i < length && text[i]; i++) {
        const uint8_t byte = (uint8_t)text[i];
        node ^= byte;
        if (node >= table->units) return NULL;
        const uint32_t unit = read_unit(trie + 4 * node);
        if ((unit & 0x800000ffu) != byte) return NULL;
        node ^= offset_of(unit);
        if (!(unit >> 8 & 1)) continue;
        if (node >= table->units) return NULL;
        const uint32_t value = read_unit(trie + 4 * node) & 0x7fffffffu;
        return value < table->replacements_length ? table->replacements + value : NULL;
    }
    return NULL;
}

/* Appends the replacement of a piece, or says that there is none. A value that points into a character (a broken
 * table) would make broken text: it counts as none. */
static bool replace(const struct mx_precompiled *table, const char *piece, size_t length, struct mx_str *out)
{
    const char *text = lookup(table, piece, length);
    if (!text || ((unsigned char)*text & 0xc0) == 0x80) return false;
    mx_str_puts(out, text);
    return true;
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
