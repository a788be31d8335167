/* Protocol Buffers' wire format, as far as reading needs it: a message is a row of numbered fields, in any order,
 * unknown ones to be passed over (protobuf.dev, "Encoding"). */
#ifndef MX_TOKENIZER_PROTOBUF_H
#define MX_TOKENIZER_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mx_proto {
    const char *at, *end;
    bool broken; /* the bytes are no message */
};

enum mx_proto_wire { MX_PROTO_VARINT = 0, MX_PROTO_64 = 1, MX_PROTO_BYTES = 2, MX_PROTO_32 = 5 };

struct mx_proto_field {
    uint32_t number;
    enum mx_proto_wire wire;
    uint64_t value;    /* of all but MX_PROTO_BYTES */
    const char *bytes; /* [length], in the message: text or a message of its own */
    size_t length;
};

/* The next field; false at the end, and where the message is broken. */
bool mx_proto_next(struct mx_proto *proto, struct mx_proto_field *field);

/* The message in a field. */
static inline struct mx_proto mx_proto_inner(const struct mx_proto_field *field)
{
    return (struct mx_proto){field->bytes, field->bytes + field->length, false};
}

/* A field of type float. */
float mx_proto_float(const struct mx_proto_field *field);

#endif
