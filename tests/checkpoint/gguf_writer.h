/* Writes GGUF headers: what llama.cpp's converter writes for a config.json, as far as sizes go. */
#ifndef MX_TESTS_GGUF_WRITER_H
#define MX_TESTS_GGUF_WRITER_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "checkpoint/gguf.h"

struct gguf_writer {
    struct mx_str pairs, tensors;
    uint64_t pair_count, tensor_count, offset;
    const char *architecture;
};

static inline void gguf_raw(struct mx_str *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) mx_str_putc(out, (char)(value >> 8 * i));
}

static inline void gguf_string(struct mx_str *out, const char *text)
{
    gguf_raw(out, strlen(text), 8);
    mx_str_puts(out, text);
}

/* A key: "general.x" as it is, others behind the architecture. */
static inline void gguf_key(struct gguf_writer *writer, const char *key, enum mx_gguf_type type)
{
    char name[128];
    const bool whole = !strncmp(key, "general.", 8) || !strncmp(key, "tokenizer.", 10) || !strncmp(key, "split.", 6);
    snprintf(name, sizeof name, "%s%s%s", whole ? "" : writer->architecture, whole ? "" : ".", key);
    gguf_string(&writer->pairs, name);
    gguf_raw(&writer->pairs, type, 4);
    writer->pair_count++;
}

static inline void gguf_text(struct gguf_writer *writer, const char *key, const char *text)
{
    gguf_key(writer, key, MX_GGUF_STRING);
    gguf_string(&writer->pairs, text);
}

static inline void gguf_u32(struct gguf_writer *writer, const char *key, uint32_t value)
{
    gguf_key(writer, key, MX_GGUF_U32);
    gguf_raw(&writer->pairs, value, 4);
}

static inline void gguf_f32(struct gguf_writer *writer, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    gguf_key(writer, key, MX_GGUF_F32);
    gguf_raw(&writer->pairs, bits, 4);
}

static inline void gguf_list(struct gguf_writer *writer, const char *key, enum mx_gguf_type type,
                             const uint32_t *values, uint32_t count)
{
    gguf_key(writer, key, MX_GGUF_ARRAY);
    gguf_raw(&writer->pairs, type, 4);
    gguf_raw(&writer->pairs, count, 8);
    for (uint32_t i = 0; i < count; i++) gguf_raw(&writer->pairs, values[i], type == MX_GGUF_BOOL ? 1 : 4);
}

static inline void gguf_tokens(struct gguf_writer *writer, uint32_t count)
{
    char token[16];
    gguf_key(writer, "tokenizer.ggml.tokens", MX_GGUF_ARRAY);
    gguf_raw(&writer->pairs, MX_GGUF_STRING, 4);
    gguf_raw(&writer->pairs, count, 8);
    for (uint32_t i = 0; i < count; i++) {
        snprintf(token, sizeof token, "t%u", i);
        gguf_string(&writer->pairs, token);
    }
}

/* A matrix of `rows` rows of `cols`; `bytes` of data follow the one before at the next multiple of 32. */
static inline void gguf_tensor(struct gguf_writer *writer, const char *name, uint64_t rows, uint64_t cols,
                               uint32_t type, uint64_t bytes)
{
    gguf_string(&writer->tensors, name);
    gguf_raw(&writer->tensors, rows ? 2 : 1, 4);
    gguf_raw(&writer->tensors, cols, 8);
    if (rows) gguf_raw(&writer->tensors, rows, 8);
    gguf_raw(&writer->tensors, type, 4);
    gguf_raw(&writer->tensors, writer->offset, 8);
    writer->offset += (bytes + 31) / 32 * 32;
    writer->tensor_count++;
}

/* The header, without data. The caller frees `out`. */
static inline void gguf_finish(struct gguf_writer *writer, struct mx_str *out)
{
    mx_str_puts(out, "GGUF");
    gguf_raw(out, 3, 4);
    gguf_raw(out, writer->tensor_count, 8);
    gguf_raw(out, writer->pair_count, 8);
    mx_str_append(out, mx_str_text(&writer->pairs), writer->pairs.length);
    mx_str_append(out, mx_str_text(&writer->tensors), writer->tensors.length);
    while (out->length % 32) mx_str_putc(out, '\0');
    mx_str_free(&writer->pairs);
    mx_str_free(&writer->tensors);
}

#endif
