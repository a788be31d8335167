/* Saved caches: a header, the token ids, one word per layer, the lengths of marks, then the regions (regions.h) as they
 * are in memory, then the states of each mark (marks.h). docs/formats.md has the table.
 *
 * All numbers are in the machine's byte order, which the header states. The checksum (XXH3, 64 bits) covers the whole
 * file but its own place. A change of any layout, codebook or rotation raises VERSION: old files are refused, not
 * misread. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/checked.h"
#include "base/file.h"
#include "cache/center.h"
#include "cache/marks.h"
#include "cache/regions.h"

enum { VERSION = 7, ORDER = 0x01020304 };

static const char magic[8] = "mxkvsave";

struct header {
    char magic[8];
    uint32_t version, order;
    uint64_t checksum;
    uint64_t fingerprint;       /* of weights, description and tokenizer */
    uint64_t shapes;            /* a hash of every layer's layout */
    char plan[MX_KV_PLAN_NAME]; /* of MX_MODE_PLAN: its name; else zeros */
    uint64_t length, reached;   /* tokens; before it was cut back, which rings remember */
    uint32_t mode, recent, sink, boundary_v, center, layers;
    uint32_t marks, unused; /* lengths that states were put aside at; 0 */
};

/* Encoded blocks, and whether the offset of keys is decided, of one layer. */
static uint64_t pack_layer(const struct kv_held *held)
{
    return held->encoded << 1 | held->decided;
}

/* Keys are rotated in one of two ways, by what the sequence can hold. */
static bool turns_by_context(const struct mx_rope *rope)
{
    return rope->type == MX_ROPE_LONGROPE;
}

/* What must agree for the regions to mean the same. How many blocks a full layer has room for need not. */
static uint64_t hash_shapes(const struct mx_kv_plan *plan)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &plan->layers[i];
        const struct mx_kv_half *k = &layer->k.layout, *v = &layer->v.layout;
        const uint64_t shape[] = {(uint64_t)layer->shape.attention,
                                  layer->shape.window,
                                  layer->shape.kv_heads,
                                  layer->shape.k_dim,
                                  layer->shape.v_dim,
                                  layer->owner,
                                  (uint64_t)k->repr,
                                  (uint64_t)v->repr,
                                  k->recent,
                                  v->recent,
                                  k->sinks,
                                  v->sinks,
                                  k->paged ? 0 : k->blocks,
                                  v->paged ? 0 : v->blocks,
                                  layer->center.centered,
                                  layer->center.angles != NULL,
                                  layer->state_floats,
                                  layer->k.rotated || layer->v.rotated ? plan->setup.sign_seed : 0};
        hash = XXH3_64bits_withSeed(shape, sizeof shape, hash);
        if (layer->shape.rope && turns_by_context(&plan->arch->rope[layer->shape.rope_index])) {
            const bool beyond = plan->context > plan->arch->rope[layer->shape.rope_index].original_context;
            hash = XXH3_64bits_withSeed(&beyond, sizeof beyond, hash);
        }
    }
    return hash;
}

static struct header make_header(const struct mx_sequence *sequence, uint64_t fingerprint)
{
    struct header header;
    memset(&header, 0, sizeof header); /* padding too: it is written */
    memcpy(header.magic, magic, sizeof magic);
    header.version = VERSION;
    header.order = ORDER;
    header.fingerprint = fingerprint;
    header.shapes = hash_shapes(sequence->plan);
    header.length = sequence->length;
    header.reached = sequence->reached;
    header.mode = (uint32_t)sequence->plan->setup.mode;
    if (sequence->plan->setup.mode == MX_MODE_PLAN) mx_kv_layers_name(&sequence->plan->setup.layers, header.plan);
    header.recent = sequence->plan->setup.recent;
    header.sink = sequence->plan->setup.sink;
    header.boundary_v = sequence->plan->setup.boundary_v;
    header.center = (uint32_t)sequence->plan->setup.center;
    header.layers = sequence->plan->arch->layer_count;
    header.marks = sequence->mark_count;
    return header;
}

/* One pass over what is saved: hashed, or written, or counted. */
struct saving {
    XXH3_state_t *hash;
    struct mx_writer *writer;
    uint64_t bytes;
};

static void save_bytes(void *context, uint8_t *bytes, size_t length)
{
    struct saving *saving = context;
    saving->bytes += length;
    if (saving->hash) XXH3_64bits_update(saving->hash, bytes, length);
    if (saving->writer) mx_writer_write(saving->writer, bytes, length, NULL); /* remembered until the commit */
}

static void save_parts(const struct mx_sequence *sequence, const struct header *header, const int32_t *tokens,
                       struct saving *saving)
{
    save_bytes(saving, (uint8_t *)(uintptr_t)header, sizeof *header);
    save_bytes(saving, (uint8_t *)(uintptr_t)tokens, sequence->length * sizeof *tokens);
    for (uint32_t i = 0; i < header->layers; i++) {
        uint64_t packed = pack_layer(&sequence->held[i]);
        save_bytes(saving, (uint8_t *)&packed, sizeof packed);
    }
    for (uint32_t i = 0; i < header->marks; i++) {
        uint64_t length = sequence->marks[i].length;
        save_bytes(saving, (uint8_t *)&length, sizeof length);
    }
    kv_visit(sequence, save_bytes, saving);
    for (uint32_t i = 0; i < header->marks; i++)
        save_bytes(saving, kv_marks_states(sequence, i), sequence->plan->mark_bytes);
}

mx_status mx_sequence_save(const struct mx_sequence *sequence, const char *path, uint64_t fingerprint,
                           const int32_t *tokens, struct mx_error *err)
{
    struct header header = make_header(sequence, fingerprint);
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return mx_fail_memory(err, "a checksum", sizeof(void *));
    XXH3_64bits_reset(hash);
    struct saving hashing = {.hash = hash};
    save_parts(sequence, &header, tokens, &hashing);
    header.checksum = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);

    struct mx_writer writer;
    MX_TRY(mx_writer_open_private(&writer, path, err));
    struct saving writing = {.writer = &writer};
    save_parts(sequence, &header, tokens, &writing);
    const mx_status status = mx_writer_commit(&writer, err);
    if (status != MX_OK) mx_writer_abort(&writer);
    return status;
}

/* Copies regions out of a mapped file, in the order in which they were written. */
struct loading {
    const uint8_t *at;
};

static void load_bytes(void *context, uint8_t *bytes, size_t length)
{
    struct loading *loading = context;
    memcpy(bytes, loading->at, length);
    loading->at += length;
}

/* Whether the header suits this sequence. */
static mx_status check_header(const struct mx_sequence *sequence, const struct header *header, const char *path,
                              uint64_t fingerprint, struct mx_error *err)
{
    const struct header own = make_header(sequence, fingerprint);
    if (memcmp(header->magic, magic, sizeof magic) != 0) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: is not a saved cache", path);
    }
    if (header->order != ORDER) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: was saved on a machine of another byte order", path);
    }
    if (header->version != VERSION) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: has format version %u, this program reads %u; save it again", path,
                       header->version, VERSION);
    }
    if (header->mode > MX_MODE_PLAN || header->plan[sizeof header->plan - 1])
        return mx_fail(err, MX_ERR_FORMAT, "%s: names an unknown mode", path);
    if (header->fingerprint != fingerprint || header->layers != own.layers) {
        return mx_fail(err, MX_ERR_FORMAT,
                       "%s: was saved with another model: its weights, its config.json or its tokenizer differ", path);
    }
    const char *saved = header->mode == MX_MODE_PLAN ? header->plan : mx_mode_info((enum mx_mode)header->mode)->name;
    if (header->mode != own.mode || memcmp(header->plan, own.plan, sizeof own.plan) != 0) {
        char name[MX_KV_PLAN_NAME];
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: was saved in mode %.40s, and this is %s; take cache mode %.40s", path,
                       saved, mx_kv_setup_name(&sequence->plan->setup, name), saved);
    }
    if (header->recent != own.recent || header->sink != own.sink || header->boundary_v != own.boundary_v ||
        header->center != own.center) {
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "%s: was saved with other protections; take a recent window of %u, %u sinks, %u boundary layers "
                       "and the same centering",
                       path, header->recent, header->sink, header->boundary_v);
    }
    if (header->length > sequence->plan->context) {
        return mx_fail(err, MX_ERR_LIMIT, "%s: holds %llu tokens, the context fits %llu", path,
                       (unsigned long long)header->length, (unsigned long long)sequence->plan->context);
    }
    if (header->shapes != own.shapes) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: was saved with other layer shapes or windows than this cache has",
                       path);
    }
    return MX_OK;
}

static mx_status check_sum(const struct mx_map *map, struct header header, const char *path, struct mx_error *err)
{
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return mx_fail_memory(err, "a checksum", sizeof(void *));
    const uint64_t expected = header.checksum;
    header.checksum = 0;
    XXH3_64bits_reset(hash);
    XXH3_64bits_update(hash, &header, sizeof header);
    XXH3_64bits_update(hash, map->data + sizeof header, map->length - sizeof header);
    const uint64_t found = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    if (found == expected) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT, "%s: is damaged: its checksum does not match", path);
}

/* Whether a layer has as many coded blocks as its text must have; after cutting back one more. */
static bool is_possible(const struct mx_sequence *sequence, uint32_t layer)
{
    const uint64_t encoded = sequence->held[layer].encoded, length = sequence->length;
    if (!sequence->plan->layers[layer].owns || length == 0) return encoded == 0;
    return encoded >= kv_first_recent(sequence->plan, (length - 1) / MX_BLOCK) &&
           encoded <= kv_first_recent(sequence->plan, length / MX_BLOCK);
}

/* The lengths of marks ascend, within the text. */
static mx_status check_marks(const struct mx_sequence *sequence, const struct header *header, const uint8_t *lengths,
                             const char *path, struct mx_error *err)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < header->marks; i++) {
        uint64_t length;
        memcpy(&length, lengths + i * sizeof length, sizeof length);
        if (!sequence->plan->states || length <= before || length > header->length) {
            return mx_fail(err, MX_ERR_FORMAT, "%s: claims states at %llu tokens, which a text of %llu can't have",
                           path, (unsigned long long)length, (unsigned long long)header->length);
        }
        before = length;
    }
    return MX_OK;
}

/* Takes the marks over; where the plan remembers fewer, the newest. */
static void load_marks(struct mx_sequence *sequence, uint32_t count, const uint8_t *lengths, const uint8_t *states)
{
    const uint64_t bytes = sequence->plan->mark_bytes;
    for (uint32_t i = count - mx_min(count, sequence->plan->marks); i < count; i++) {
        uint64_t length;
        memcpy(&length, lengths + i * sizeof length, sizeof length);
        kv_marks_add(sequence, length, states + i * bytes);
    }
}

/* Fills the sequence from a file whose header and checksum hold. */
static mx_status load_parts(struct mx_sequence *sequence, const struct mx_map *map, const struct header *header,
                            const char *path, int32_t **tokens, struct mx_error *err)
{
    if (header->marks > MX_MARKS_MOST)
        return mx_fail(err, MX_ERR_FORMAT, "%s: claims %u marks; at most %d are kept", path, header->marks,
                       MX_MARKS_MOST);
    const uint64_t fixed =
        sizeof *header + header->length * sizeof **tokens + (header->layers + header->marks) * sizeof(uint64_t);
    if (map->length < fixed) return mx_fail(err, MX_ERR_FORMAT, "%s: is cut short", path);
    const struct mx_kv_plan *plan = sequence->plan;
    const uint64_t room = header->length < plan->context ? header->length + 1 : header->length;
    MX_TRY(mx_sequence_reserve(sequence, room, err));
    const uint8_t *layers = map->data + sizeof *header + header->length * sizeof **tokens;
    const uint8_t *lengths = layers + header->layers * sizeof(uint64_t);
    MX_TRY(check_marks(sequence, header, lengths, path, err));
    sequence->length = header->length;
    sequence->reached = header->reached;
    for (uint32_t i = 0; i < header->layers; i++) {
        uint64_t packed;
        memcpy(&packed, layers + i * sizeof packed, sizeof packed);
        sequence->held[i].encoded = packed >> 1;
        sequence->held[i].decided = packed & 1;
        if (!is_possible(sequence, i)) {
            return mx_fail(err, MX_ERR_FORMAT, "%s: layer %u claims %llu coded blocks, which %llu tokens can't have",
                           path, i, (unsigned long long)(packed >> 1), (unsigned long long)header->length);
        }
    }
    struct saving counting = {0};
    kv_visit(sequence, save_bytes, &counting);
    counting.bytes += header->marks * plan->mark_bytes;
    if (map->length - fixed != counting.bytes) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: holds %llu bytes of blocks, %llu are expected", path,
                       (unsigned long long)(map->length - fixed), (unsigned long long)counting.bytes);
    }
    *tokens = malloc(header->length * sizeof **tokens + 1);
    if (!*tokens) return mx_fail_memory(err, "the tokens of a saved cache", header->length * sizeof **tokens);
    memcpy(*tokens, map->data + sizeof *header, header->length * sizeof **tokens);
    struct loading loading = {map->data + fixed};
    kv_visit(sequence, load_bytes, &loading);
    load_marks(sequence, header->marks, lengths, loading.at);
    kv_center_settle(sequence);
    return MX_OK;
}

static mx_status load_map(struct mx_sequence *sequence, const struct mx_map *map, const char *path,
                          uint64_t fingerprint, int32_t **tokens, struct mx_error *err)
{
    struct header header;
    if (map->length < sizeof header) return mx_fail(err, MX_ERR_FORMAT, "%s: is not a saved cache", path);
    memcpy(&header, map->data, sizeof header);
    MX_TRY(check_header(sequence, &header, path, fingerprint, err));
    MX_TRY(check_sum(map, header, path, err));
    return load_parts(sequence, map, &header, path, tokens, err);
}

mx_status mx_sequence_load(struct mx_sequence *sequence, const char *path, uint64_t fingerprint, int32_t **tokens,
                           struct mx_error *err)
{
    *tokens = NULL;
    mx_sequence_clear(sequence);
    struct mx_map map;
    MX_TRY(mx_map_open(&map, path, err));
    const mx_status status = load_map(sequence, &map, path, fingerprint, tokens, err);
    if (status != MX_OK) mx_sequence_clear(sequence);
    mx_map_close(&map);
    return status;
}
