/* Field numbers and defaults are those of sentencepiece_model.proto. */
#include "tokenizer/sp_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/protobuf.h"
#include "tokenizer/vocab.h"

enum { UNIGRAM = 1, BPE = 2, WORD = 3, CHAR = 4 }; /* TrainerSpec.ModelType */

struct reading {
    struct mx_sp_model *model;
    size_t room;
    uint64_t kind; /* of model */
    const char *name;
    struct mx_error *err;
};

static mx_status broken(const struct reading *reading, const char *what)
{
    return mx_fail(reading->err, MX_ERR_FORMAT, "%s: not a SentencePiece model: %s", reading->name, what);
}

static mx_status check_piece(const struct reading *reading, const struct mx_sp_piece *piece)
{
    const size_t id = reading->model->count;
    if (!piece->length || memchr(piece->text, '\0', piece->length) ||
        mx_utf8_valid_length(piece->text, piece->length) != piece->length)
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: piece %zu is not text", reading->name, id);
    if (!isfinite(piece->score))
        return mx_fail(reading->err, MX_ERR_FORMAT, "%s: the score of piece %zu is no number", reading->name, id);
    if (piece->type < MX_SP_NORMAL || piece->type > MX_SP_BYTE)
        return mx_fail(reading->err, MX_ERR_UNSUPPORTED, "%s: piece %zu is of an unknown type, %d", reading->name, id,
                       (int)piece->type);
    return MX_OK;
}

static mx_status read_piece(struct reading *reading, const struct mx_proto_field *message)
{
    struct mx_sp_model *model = reading->model;
    struct mx_sp_piece piece = {.text = "", .type = MX_SP_NORMAL};
    struct mx_proto inner = mx_proto_inner(message);
    struct mx_proto_field field;
    while (mx_proto_next(&inner, &field)) {
        if (field.number == 1 && field.wire == MX_PROTO_BYTES && field.length <= UINT32_MAX) {
            piece.text = field.bytes;
            piece.length = (uint32_t)field.length;
        } else if (field.number == 2 && field.wire == MX_PROTO_32) {
            piece.score = mx_proto_float(&field);
        } else if (field.number == 3 && field.wire == MX_PROTO_VARINT) {
            piece.type = field.value <= MX_SP_BYTE ? (enum mx_sp_type)field.value : 0;
        }
    }
    if (inner.broken) return broken(reading, "a piece is cut off");
    MX_TRY(check_piece(reading, &piece));
    if (model->count > MX_VOCAB_MAX_ID)
        return mx_fail(reading->err, MX_ERR_LIMIT, "%s: more than %d pieces", reading->name, MX_VOCAB_MAX_ID + 1);
    if (model->count == reading->room) {
        const size_t room = reading->room ? reading->room * 2 : 4096;
        struct mx_sp_piece *pieces = realloc(model->pieces, room * sizeof *pieces);
        if (!pieces) return mx_fail_memory(reading->err, reading->name, room * sizeof *pieces);
        model->pieces = pieces;
        reading->room = room;
    }
    model->pieces[model->count++] = piece;
    return MX_OK;
}

/* int32 fields are written as 64-bit varints, negative ones as large numbers. */
static int64_t id_of(const struct mx_proto_field *field)
{
    const int32_t id = (int32_t)(uint32_t)field->value;
    return id < 0 ? -1 : id;
}

static mx_status read_trainer(struct reading *reading, const struct mx_proto_field *message)
{
    struct mx_sp_model *model = reading->model;
    struct mx_proto inner = mx_proto_inner(message);
    struct mx_proto_field field;
    while (mx_proto_next(&inner, &field)) {
        if (field.wire != MX_PROTO_VARINT) continue;
        switch (field.number) {
        case 3: reading->kind = field.value; break;
        case 24: model->space_as_suffix = field.value != 0; break;
        case 35: model->byte_fallback = field.value != 0; break;
        case 41: model->bos = id_of(&field); break;
        case 42: model->eos = id_of(&field); break;
        default: break;
        }
    }
    return inner.broken ? broken(reading, "trainer_spec is cut off") : MX_OK;
}

static mx_status read_normalizer(struct reading *reading, const struct mx_proto_field *message)
{
    struct mx_sp_model *model = reading->model;
    struct mx_proto inner = mx_proto_inner(message);
    struct mx_proto_field field;
    while (mx_proto_next(&inner, &field)) {
        if (field.number == 2 && field.wire == MX_PROTO_BYTES) {
            model->charsmap = field.bytes;
            model->charsmap_length = field.length;
        }
        if (field.wire != MX_PROTO_VARINT) continue;
        if (field.number == 3) model->dummy_prefix = field.value != 0;
        if (field.number == 4) model->remove_extra = field.value != 0;
        if (field.number == 5) model->escape = field.value != 0;
    }
    return inner.broken ? broken(reading, "normalizer_spec is cut off") : MX_OK;
}

static mx_status read_fields(struct reading *reading, const char *bytes, size_t length)
{
    struct mx_proto proto = {bytes, bytes + length, false};
    struct mx_proto_field field;
    while (mx_proto_next(&proto, &field)) {
        if (field.wire != MX_PROTO_BYTES) continue;
        if (field.number == 1) MX_TRY(read_piece(reading, &field));
        if (field.number == 2) MX_TRY(read_trainer(reading, &field));
        if (field.number == 3) MX_TRY(read_normalizer(reading, &field));
    }
    if (proto.broken) return broken(reading, "it is cut off, or another kind of file");
    return reading->model->count ? MX_OK : broken(reading, "it holds no pieces");
}

/* The ids that trainer_spec names must be pieces; the unknown one is known by its type, as in SentencePiece. */
static mx_status check_model(const struct reading *reading)
{
    struct mx_sp_model *model = reading->model;
    const int64_t count = (int64_t)model->count;
    if (reading->kind != UNIGRAM && reading->kind != BPE && reading->kind != CHAR)
        return mx_fail(reading->err, MX_ERR_UNSUPPORTED,
                       "%s: a SentencePiece model of %s; Unigram, BPE and characters are known", reading->name,
                       reading->kind == WORD ? "words" : "an unknown type");
    model->bpe = reading->kind != UNIGRAM;
    model->merges = reading->kind == BPE;
    model->unknown = -1;
    for (int64_t id = 0; id < count; id++) {
        if (model->pieces[id].type != MX_SP_UNKNOWN) continue;
        if (model->unknown >= 0) return broken(reading, "two pieces are the unknown one");
        model->unknown = id;
    }
    if (model->unknown < 0) return broken(reading, "no piece is the unknown one");
    if (model->bos >= count || (model->bos >= 0 && model->pieces[model->bos].type != MX_SP_CONTROL)) model->bos = -1;
    if (model->eos >= count || (model->eos >= 0 && model->pieces[model->eos].type != MX_SP_CONTROL)) model->eos = -1;
    return MX_OK;
}

mx_status mx_sp_model_read(struct mx_sp_model *model, const char *bytes, size_t length, const char *name,
                           struct mx_error *err)
{
    *model = (struct mx_sp_model){.bos = 1, .eos = 2, .dummy_prefix = true, .remove_extra = true, .escape = true};
    struct reading reading = {.model = model, .kind = UNIGRAM, .name = name, .err = err};
    mx_status status = read_fields(&reading, bytes, length);
    if (status == MX_OK) status = check_model(&reading);
    if (status != MX_OK) mx_sp_model_free(model);
    return status;
}

void mx_sp_model_free(struct mx_sp_model *model)
{
    free(model->pieces);
    *model = (struct mx_sp_model){0};
}
