/* The trie is read off the sorted list of all tokens' bytes. */
#include "structure/token_trie.h"

#include <stdlib.h>
#include <string.h>

void mx_token_trie_close(struct mx_token_trie *trie)
{
    if (!trie) return;
    free(trie->byte);
    free(trie->depth);
    free(trie->end);
    free(trie->token);
    free(trie->next);
    free(trie->start);
    free(trie->bytes);
    free(trie);
}

static mx_status read_bytes(struct mx_token_trie *trie, mx_token_bytes *bytes, void *context, struct mx_error *err)
{
    struct mx_str all = {0};
    mx_status status = MX_OK;
    trie->start = malloc((trie->vocab + 1) * sizeof *trie->start);
    if (!trie->start) return mx_fail_memory(err, "the tokens' bytes", trie->vocab * sizeof *trie->start);
    for (size_t token = 0; token < trie->vocab && status == MX_OK; token++) {
        const size_t before = all.length;
        trie->start[token] = (uint32_t)before;
        status = bytes(context, (int32_t)token, &all, err);
        if (all.length - before > MX_TOKEN_BYTES) all.length = before;
        if (all.length > UINT32_MAX / 2) status = mx_fail(err, MX_ERR_LIMIT, "the tokens have more than 2 GB of bytes");
    }
    trie->start[trie->vocab] = (uint32_t)all.length;
    if (status == MX_OK && mx_str_failed(&all)) status = mx_fail_memory(err, "the tokens' bytes", all.length);
    trie->bytes = all.data; /* freed with the trie */
    return status;
}

static size_t length_of(const struct mx_token_trie *trie, int32_t token)
{
    return trie->start[token + 1] - trie->start[token];
}

static int compare(const void *a, const void *b, void *context)
{
    const struct mx_token_trie *trie = context;
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    const size_t of_x = length_of(trie, x), of_y = length_of(trie, y);
    const int order = memcmp(trie->bytes + trie->start[x], trie->bytes + trie->start[y], of_x < of_y ? of_x : of_y);
    if (order) return order;
    return of_x != of_y ? (of_x > of_y) - (of_x < of_y) : (x > y) - (x < y);
}

static size_t common(const struct mx_token_trie *trie, int32_t a, int32_t b)
{
    const size_t of_a = length_of(trie, a), of_b = length_of(trie, b);
    size_t same = 0;
    while (same < of_a && same < of_b && trie->bytes[trie->start[a] + same] == trie->bytes[trie->start[b] + same])
        same++;
    return same;
}

/* Adds the nodes of one token behind those of the one before it. `open` are the nodes on the way to that. */
static void add_token(struct mx_token_trie *trie, int32_t token, size_t same, uint32_t *open, size_t *depth)
{
    const size_t length = length_of(trie, token);
    while (*depth > same) trie->end[open[--*depth]] = trie->nodes;
    for (; *depth < length; ++*depth) {
        const uint32_t node = trie->nodes++;
        trie->byte[node] = (uint8_t)trie->bytes[trie->start[token] + *depth];
        trie->depth[node] = (uint8_t)(*depth + 1);
        trie->token[node] = -1;
        open[*depth] = node;
    }
    trie->next[token] = trie->token[open[length - 1]];
    trie->token[open[length - 1]] = token;
}

static mx_status build(struct mx_token_trie *trie, const int32_t *sorted, size_t count, struct mx_error *err)
{
    size_t nodes = 1;
    for (size_t i = 0; i < count; i++) {
        nodes += length_of(trie, sorted[i]) - (i ? common(trie, sorted[i - 1], sorted[i]) : 0);
    }
    trie->byte = malloc(nodes);
    trie->depth = malloc(nodes);
    trie->end = malloc(nodes * sizeof *trie->end);
    trie->token = calloc(nodes, sizeof *trie->token);
    trie->next = malloc((trie->vocab + 1) * sizeof *trie->next);
    if (!trie->byte || !trie->depth || !trie->end || !trie->token || !trie->next) {
        return mx_fail_memory(err, "the trie of tokens", nodes * 10);
    }
    uint32_t open[MX_TOKEN_BYTES + 1] = {0};
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        add_token(trie, sorted[i], i ? common(trie, sorted[i - 1], sorted[i]) : 0, open, &depth);
    }
    while (depth > 0) trie->end[open[--depth]] = trie->nodes;
    return MX_OK;
}

mx_status mx_token_trie_open(struct mx_token_trie **out, size_t vocab, mx_token_bytes *bytes, void *context,
                             struct mx_error *err)
{
    *out = NULL;
    struct mx_token_trie *trie = calloc(1, sizeof *trie);
    if (!trie) return mx_fail_memory(err, "the trie of tokens", sizeof *trie);
    trie->vocab = vocab;
    mx_status status = read_bytes(trie, bytes, context, err);
    int32_t *sorted = status == MX_OK ? malloc((vocab + 1) * sizeof *sorted) : NULL;
    if (status == MX_OK && !sorted) status = mx_fail_memory(err, "the trie of tokens", vocab * sizeof *sorted);
    size_t count = 0;
    for (size_t token = 0; status == MX_OK && token < vocab; token++) {
        if (length_of(trie, (int32_t)token)) sorted[count++] = (int32_t)token;
    }
    if (status == MX_OK) {
        qsort_r(sorted, count, sizeof *sorted, compare, trie);
        status = build(trie, sorted, count, err);
    }
    free(sorted);
    if (status == MX_OK)
        *out = trie;
    else
        mx_token_trie_close(trie);
    return status;
}
