/* Saved caches: a header, the token ids, one word per layer, then the regions (regions.h) as they are in memory.
 *
 * All numbers are in the machine's byte order, which the header states. The checksum (XXH3, 64 bits) covers the whole
 * file but its own place. A change of any layout, codebook or rotation raises VERSION: old files are refused, not
 * misread. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "cache/constant.h"
#include "cache/regions.h"

enum { VERSION = 3, ORDER = 0x01020304 };

static const char magic[8] = "mxkvsave";

struct header {
    char magic[8];
    uint32_t version, order;
    uint64_t checksum;
    uint64_t fingerprint; /* of the weights */
    uint64_t shapes;      /* a hash of every layer's layout */
    uint64_t length;
    uint32_t mode, recent, sink, boundary_v, center, layers;
};

/* Encoded blocks, and whether the constant of K is decided, of one layer. */
static uint64_t pack_layer(const struct kv_layer *layer)
{
    return layer->encoded << 1 | layer->constant.known;
}

/* What must agree for the regions to mean the same. The length of a full layer's run need not. */
static uint64_t hash_shapes(const struct mx_cache *cache)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        const struct kv_layer *layer = &cache->layers[i];
        const struct mx_layer *row = layer->row;
        const bool full = row->attention == MX_ATTENTION_FULL;
        const struct mx_kv_side *k = &layer->k.layout, *v = &layer->v.layout;
        const uint64_t shape[] = {(uint64_t)row->attention,
                                  row->window,
                                  row->kv_heads,
                                  row->k_dim,
                                  row->v_dim,
                                  layer->owner,
                                  (uint64_t)k->repr,
                                  (uint64_t)v->repr,
                                  k->near,
                                  v->near,
                                  k->sinks,
                                  v->sinks,
                                  full ? 0 : k->blocks,
                                  full ? 0 : v->blocks,
                                  layer->constant.mean != NULL,
                                  layer->constant.turning != NULL,
                                  layer->k.rotated || layer->v.rotated ? cache->setup.sign_seed : 0};
        hash = XXH3_64bits_withSeed(shape, sizeof shape, hash);
    }
    return hash;
}

static struct header make_header(const struct mx_cache *cache, uint64_t fingerprint)
{
    struct header header;
    memset(&header, 0, sizeof header); /* padding too: it is written */
    memcpy(header.magic, magic, sizeof magic);
    header.version = VERSION;
    header.order = ORDER;
    header.fingerprint = fingerprint;
    header.shapes = hash_shapes(cache);
    header.length = cache->length;
    header.mode = (uint32_t)cache->setup.mode;
    header.recent = cache->setup.recent;
    header.sink = cache->setup.sink;
    header.boundary_v = cache->setup.boundary_v;
    header.center = (uint32_t)cache->setup.center;
    header.layers = cache->arch->layer_count;
    return header;
}

/* One pass over what is saved: hashed, or written, or counted. */
struct saving {
    XXH3_state_t *hash;
    struct mx_writer *writer;
    uint64_t bytes;
};

static bool save_bytes(void *context, uint8_t *bytes, size_t length)
{
    struct saving *saving = context;
    saving->bytes += length;
    if (saving->hash) XXH3_64bits_update(saving->hash, bytes, length);
    if (saving->writer) mx_writer_write(saving->writer, bytes, length, NULL); /* remembered until the commit */
    return true;
}

static void save_parts(const struct mx_cache *cache, const struct header *header, const int32_t *tokens,
                       struct saving *saving)
{
    save_bytes(saving, (uint8_t *)(uintptr_t)header, sizeof *header);
    save_bytes(saving, (uint8_t *)(uintptr_t)tokens, cache->length * sizeof *tokens);
    for (uint32_t i = 0; i < header->layers; i++) {
        uint64_t packed = pack_layer(&cache->layers[i]);
        save_bytes(saving, (uint8_t *)&packed, sizeof packed);
    }
    mx_cache_visit(cache, save_bytes, saving);
}

mx_status mx_cache_save(const struct mx_cache *cache, const char *path, uint64_t fingerprint, const int32_t *tokens,
                        struct mx_error *err)
{
    struct header header = make_header(cache, fingerprint);
    XXH3_state_t *hash = XXH3_createState();
    if (!hash) return mx_fail_memory(err, "a checksum", sizeof(void *));
    XXH3_64bits_reset(hash);
    struct saving hashing = {.hash = hash};
    save_parts(cache, &header, tokens, &hashing);
    header.checksum = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);

    struct mx_writer writer;
    MX_TRY(mx_writer_open_private(&writer, path, err));
    struct saving writing = {.writer = &writer};
    save_parts(cache, &header, tokens, &writing);
    const mx_status status = mx_writer_commit(&writer, err);
    if (status != MX_OK) mx_writer_abort(&writer);
    return status;
}

/* Copies regions out of a mapped file, in the order in which they were written. */
struct loading {
    const uint8_t *at;
};

static bool load_bytes(void *context, uint8_t *bytes, size_t length)
{
    struct loading *loading = context;
    memcpy(bytes, loading->at, length);
    loading->at += length;
    return true;
}

/* Whether the header suits this cache. */
static mx_status check_header(const struct mx_cache *cache, const struct header *header, const char *path,
                              uint64_t fingerprint, struct mx_error *err)
{
    const struct header own = make_header(cache, fingerprint);
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
    if (header->mode >= MX_MODE_COUNT) return mx_fail(err, MX_ERR_FORMAT, "%s: names an unknown mode", path);
    if (header->fingerprint != fingerprint || header->layers != own.layers) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: was saved with another model's weights", path);
    }
    if (header->mode != own.mode) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: was saved in mode %s, and this is %s; take cache mode %s", path,
                       mx_mode_info((enum mx_mode)header->mode)->name, mx_mode_info(cache->setup.mode)->name,
                       mx_mode_info((enum mx_mode)header->mode)->name);
    }
    if (header->recent != own.recent || header->sink != own.sink || header->boundary_v != own.boundary_v ||
        header->center != own.center) {
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "%s: was saved with other protections; take a recent window of %u, %u sinks, %u boundary layers "
                       "and the same centering",
                       path, header->recent, header->sink, header->boundary_v);
    }
    if (header->length > cache->context) {
        return mx_fail(err, MX_ERR_LIMIT, "%s: holds %llu tokens, the context fits %llu", path,
                       (unsigned long long)header->length, (unsigned long long)cache->context);
    }
    if (header->shapes != own.shapes) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: was saved with other layer shapes or windows than this cache has",
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

/* Fills the cache from a file whose header and checksum hold. */
static mx_status load_parts(struct mx_cache *cache, const struct mx_map *map, const struct header *header,
                            const char *path, int32_t **tokens, struct mx_error *err)
{
    const uint64_t fixed = sizeof *header + header->length * sizeof **tokens + header->layers * sizeof(uint64_t);
    if (map->length < fixed) return mx_fail(err, MX_ERR_FORMAT, "%s: is cut short", path);
    const uint8_t *layers = map->data + sizeof *header + header->length * sizeof **tokens;
    cache->length = header->length;
    for (uint32_t i = 0; i < header->layers; i++) {
        uint64_t packed;
        memcpy(&packed, layers + i * sizeof packed, sizeof packed);
        cache->layers[i].encoded = packed >> 1;
        cache->layers[i].constant.known = packed & 1;
        if (packed >> 1 > (header->length + MX_BLOCK - 1) / MX_BLOCK) {
            return mx_fail(err, MX_ERR_FORMAT, "%s: layer %u claims more blocks than there are tokens", path, i);
        }
    }
    struct saving counting = {0};
    mx_cache_visit(cache, save_bytes, &counting);
    if (map->length - fixed != counting.bytes) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: holds %llu bytes of blocks, %llu are expected", path,
                       (unsigned long long)(map->length - fixed), (unsigned long long)counting.bytes);
    }
    *tokens = malloc(header->length * sizeof **tokens + 1);
    if (!*tokens) return mx_fail_memory(err, "the tokens of a saved cache", header->length * sizeof **tokens);
    memcpy(*tokens, map->data + sizeof *header, header->length * sizeof **tokens);
    struct loading loading = {map->data + fixed};
    mx_cache_visit(cache, load_bytes, &loading);
    kv_constant_settle(cache);
    return MX_OK;
}

static mx_status load_map(struct mx_cache *cache, const struct mx_map *map, const char *path, uint64_t fingerprint,
                          int32_t **tokens, struct mx_error *err)
{
    struct header header;
    if (map->length < sizeof header) return mx_fail(err, MX_ERR_FORMAT, "%s: is not a saved cache", path);
    memcpy(&header, map->data, sizeof header);
    MX_TRY(check_header(cache, &header, path, fingerprint, err));
    MX_TRY(check_sum(map, header, path, err));
    return load_parts(cache, map, &header, path, tokens, err);
}

mx_status mx_cache_load(struct mx_cache *cache, const char *path, uint64_t fingerprint, int32_t **tokens,
                        struct mx_error *err)
{
    *tokens = NULL;
    mx_cache_clear(cache);
    struct mx_map map;
    MX_TRY(mx_map_open(&map, path, err));
    const mx_status status = load_map(cache, &map, path, fingerprint, tokens, err);
    if (status != MX_OK) mx_cache_clear(cache);
    mx_map_close(&map);
    return status;
}
