/* The arena: a list of blocks, newest first. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

enum { ALIGNMENT = 16, FIRST_BLOCK = 64 * 1024, LARGEST_STEP = 16 * 1024 * 1024 };

struct mx_arena_block {
    struct mx_arena_block *next;
    size_t used, size; /* of bytes[] */
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

void *mx_arena_alloc(struct mx_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size = mx_round_up(size ? size : 1, ALIGNMENT);
    struct mx_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        size_t block_size = arena->block_size ? arena->block_size : FIRST_BLOCK;
        if (block_size < LARGEST_STEP) arena->block_size = block_size * 2;
        if (block_size < size) block_size = size;
        block = calloc(1, sizeof *block + block_size);
        if (!block) return NULL;
        block->size = block_size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *result = block->bytes + block->used;
    block->used += size;
    return result;
}

void *mx_arena_array(struct mx_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    return mx_mul_size(count, size, &bytes) ? mx_arena_alloc(arena, bytes) : NULL;
}

char *mx_arena_strndup(struct mx_arena *arena, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? mx_arena_alloc(arena, length + 1) : NULL;
    if (copy) memcpy(copy, text, length); /* the arena's bytes are zero, so the terminator stands already */
    return copy;
}

void mx_arena_free(struct mx_arena *arena)
{
    for (struct mx_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *arena = (struct mx_arena){0};
}

void *mx_aligned_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX - 64) return NULL;
    const size_t rounded = mx_round_up(bytes ? bytes : 1, 64);
    void *memory = aligned_alloc(64, rounded);
    if (memory) memset(memory, 0, rounded);
    return memory;
}

void *mx_table_alloc(size_t count, size_t size)
{
    char *memory = calloc(count, size);
    if (!memory || count * size < 2 * MX_HUGE_PAGE) return memory;
    const size_t skip = -(uintptr_t)memory % MX_HUGE_PAGE;
    const size_t whole = (count * size - skip) / MX_HUGE_PAGE * MX_HUGE_PAGE;
    madvise(memory + skip, whole, MADV_HUGEPAGE); /* refused, it is slower */
    return memory;
}
