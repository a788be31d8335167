/* A bump allocator for things that live and die together (a parsed tokenizer, a tensor index).
 * Blocks grow geometrically; nothing is freed singly. Not thread-safe. Zero-initialize to use. */
#ifndef MX_BASE_ARENA_H
#define MX_BASE_ARENA_H

#include <stddef.h>

struct mx_arena_block;
struct mx_arena {
    struct mx_arena_block *blocks;
    size_t block_size; /* of the next block; 0 means the default, 64 KiB */
};

/* `size` bytes aligned to 16, zeroed; NULL when memory runs out. */
void *mx_arena_alloc(struct mx_arena *arena, size_t size);
/* The same for count * size, checked. */
void *mx_arena_array(struct mx_arena *arena, size_t count, size_t size);
/* A NUL-terminated copy. */
char *mx_arena_strndup(struct mx_arena *arena, const char *text, size_t length);
void mx_arena_free(struct mx_arena *arena);

enum { MX_HUGE_PAGE = 2 * 1024 * 1024 }; /* what memory that is asked for in huge pages comes in */

/* Memory for numbers that vector code reads: `bytes` rounded up to and aligned at 64, zeroed. Free with free(). */
void *mx_aligned_alloc(size_t bytes);
/* Memory for a large table that is read in no order: zeroed, untouched until it is used, in huge pages where the system
 * has them, for else nearly every look-up would also look up a page. Free with free(). */
void *mx_table_alloc(size_t count, size_t size);

#endif
