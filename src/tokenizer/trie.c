/* The trie is built breadth first from the sorted keys: a node is a range of keys that share its bytes. */
#include "tokenizer/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

static int compare_keys(const void *a, const void *b)
{
    const struct mx_trie_key *x = a, *y = b;
    const uint32_t shorter = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->text, y->text, shorter);
    if (order) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return (x->value > y->value) - (x->value < y->value);
}

/* The keys that pass through a node. */
struct range {
    size_t begin, end;
};

static mx_status grow(struct mx_trie *trie, struct range **ranges, size_t *capacity, struct mx_error *err)
{
    const size_t larger = *capacity ? *capacity * 2 : 256;
    struct mx_trie_node *nodes = realloc(trie->nodes, larger * sizeof *nodes);
    if (nodes) trie->nodes = nodes;
    struct range *more = realloc(*ranges, larger * sizeof *more);
    if (more) *ranges = more;
    if (!nodes || !more || larger > UINT32_MAX)
        return mx_fail_memory(err, "the pieces of a tokenizer", larger * sizeof *nodes);
    *capacity = larger;
    return MX_OK;
}

static mx_status build_nodes(struct mx_trie *trie, const struct mx_trie_key *keys, size_t count, struct range **ranges,
                             struct mx_error *err)
{
    size_t capacity = 0;
    MX_TRY(grow(trie, ranges, &capacity, err));
    trie->nodes[0] = (struct mx_trie_node){.value = -1};
    (*ranges)[0] = (struct range){0, count};
    trie->count = 1;
    for (size_t n = 0; n < trie->count; n++) {
        struct range range = (*ranges)[n];
        const uint32_t depth = trie->nodes[n].depth;
        /* Equal keys stand in the order of their values: the last one stays. */
        for (; range.begin < range.end && keys[range.begin].length == depth; range.begin++)
            trie->nodes[n].value = keys[range.begin].value;
        trie->nodes[n].children = (uint32_t)trie->count;
        while (range.begin < range.end) {
            const uint8_t label = (uint8_t)keys[range.begin].text[depth];
            size_t end = range.begin + 1;
            while (end < range.end && (uint8_t)keys[end].text[depth] == label) end++;
            if (trie->count == capacity) MX_TRY(grow(trie, ranges, &capacity, err));
            (*ranges)[trie->count] = (struct range){range.begin, end};
            trie->nodes[trie->count++] = (struct mx_trie_node){.label = label, .value = -1, .depth = depth + 1};
            trie->nodes[n].count++;
            range.begin = end;
        }
    }
    return MX_OK;
}

/* Parents come before children and shorter strings before longer ones, so one pass in order suffices. */
static mx_status build_links(struct mx_trie *trie, struct mx_error *err)
{
    trie->links = calloc(trie->count, sizeof *trie->links);
    if (!trie->links) return mx_fail_memory(err, "the added tokens", trie->count * sizeof *trie->links);
    for (uint32_t n = 0; n < trie->count; n++) {
        const struct mx_trie_node *node = &trie->nodes[n];
        for (uint32_t child = node->children; child < node->children + node->count; child++) {
            uint32_t fail = 0;
            if (n) {
                uint32_t suffix = trie->links[n].fail;
                while (!(fail = mx_trie_step(trie, suffix, trie->nodes[child].label)) && suffix)
                    suffix = trie->links[suffix].fail;
            }
            trie->links[child].fail = fail;
            trie->links[child].output = trie->nodes[fail].value >= 0 ? fail : trie->links[fail].output;
        }
    }
    return MX_OK;
}

mx_status mx_trie_build(struct mx_trie *trie, struct mx_trie_key *keys, size_t count, bool linked, struct mx_error *err)
{
    struct range *ranges = NULL;
    *trie = (struct mx_trie){0};
    if (count) qsort(keys, count, sizeof *keys, compare_keys);
    mx_status status = build_nodes(trie, keys, count, &ranges, err);
    free(ranges);
    if (status == MX_OK) {
        for (uint32_t i = 0; i < trie->nodes[0].count; i++) {
            const uint32_t child = trie->nodes[0].children + i;
            trie->first[trie->nodes[child].label] = child;
        }
        if (linked) status = build_links(trie, err);
    }
    if (status != MX_OK) mx_trie_free(trie);
    return status;
}

void mx_trie_free(struct mx_trie *trie)
{
    free(trie->nodes);
    free(trie->links);
    *trie = (struct mx_trie){0};
}

uint32_t mx_trie_step(const struct mx_trie *trie, uint32_t node, uint8_t byte)
{
    if (!node) return trie->first[byte];
    const struct mx_trie_node *at = &trie->nodes[node];
    uint32_t low = 0, high = at->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const uint8_t label = trie->nodes[at->children + middle].label;
        if (label == byte) return at->children + middle;
        if (label < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

bool mx_trie_search(const struct mx_trie *trie, const char *text, size_t length, size_t from, size_t *start,
                    size_t *end, int32_t *value)
{
    bool found = false;
    uint32_t node = 0;
    for (size_t i = from; i < length; i++) {
        const uint8_t byte = (uint8_t)text[i];
        uint32_t next;
        while (!(next = mx_trie_step(trie, node, byte)) && node) node = trie->links[node].fail;
        node = next;
        /* No key that starts before i + 1 - depth can still come to its end. */
        if (found && i + 1 - trie->nodes[node].depth > *start) return true;
        const uint32_t ends = trie->nodes[node].value >= 0 ? node : trie->links[node].output;
        if (!ends) continue;
        const size_t first = i + 1 - trie->nodes[ends].depth;
        if (found && first > *start) continue;
        found = true;
        *start = first;
        *end = i + 1;
        *value = trie->nodes[ends].value;
    }
    return found;
}
