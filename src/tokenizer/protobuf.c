/* The wire format: each field is a key (its number and how it is written) and a value. */
#include "tokenizer/protobuf.h"

#include <string.h>

static bool read_varint(struct mx_proto *proto, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && proto->at < proto->end; shift += 7) {
        const uint8_t byte = (uint8_t)*proto->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool read_fixed(struct mx_proto *proto, size_t size, uint64_t *value)
{
    if ((size_t)(proto->end - proto->at) < size) return false;
    *value = 0;
    for (size_t i = 0; i < size; i++) *value |= (uint64_t)(uint8_t)*proto->at++ << 8 * i;
    return true;
}

static bool read_bytes(struct mx_proto *proto, struct mx_proto_field *field)
{
    uint64_t length;
    if (!read_varint(proto, &length) || length > (uint64_t)(proto->end - proto->at)) return false;
    field->bytes = proto->at;
    field->length = (size_t)length;
    proto->at += length;
    return true;
}

static bool read_value(struct mx_proto *proto, struct mx_proto_field *field)
{
    switch (field->wire) {
    case MX_PROTO_VARINT: return read_varint(proto, &field->value);
    case MX_PROTO_64: return read_fixed(proto, 8, &field->value);
    case MX_PROTO_BYTES: return read_bytes(proto, field);
    case MX_PROTO_32: return read_fixed(proto, 4, &field->value);
    }
    return false; /* groups, which nobody writes any more, or nonsense */
}

bool mx_proto_next(struct mx_proto *proto, struct mx_proto_field *field)
{
    uint64_t key;
    if (proto->broken || proto->at == proto->end) return false;
    *field = (struct mx_proto_field){0};
    proto->broken = !read_varint(proto, &key) || key >> 3 == 0 || key >> 3 > (1u << 29) - 1;
    if (proto->broken) return false;
    field->number = (uint32_t)(key >> 3);
    field->wire = (enum mx_proto_wire)(key & 7);
    proto->broken = !read_value(proto, field);
    return !proto->broken;
}

float mx_proto_float(const struct mx_proto_field *field)
{
    const uint32_t bits = (uint32_t)field->value;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
