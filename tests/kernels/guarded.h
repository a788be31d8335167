/* Memory that ends exactly at a page that nobody may touch: reading or writing one byte too many is a crash. */
#ifndef MX_TESTS_GUARDED_H
#define MX_TESTS_GUARDED_H

#include <stdint.h>
#include <sys/mman.h>

struct guarded {
    uint8_t *pages, *data; /* data: `bytes` bytes, as unaligned as their number makes them */
    size_t mapped, bytes;
};

static inline struct guarded guarded_alloc(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded memory = {.mapped = (bytes + page - 1) / page * page + page, .bytes = bytes};
    memory.pages = mmap(NULL, memory.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory.pages != MAP_FAILED);
    assert_int_equal(mprotect(memory.pages + memory.mapped - page, page, PROT_NONE), 0);
    memory.data = memory.pages + memory.mapped - page - bytes;
    return memory;
}

static inline void guarded_free(struct guarded *memory)
{
    munmap(memory->pages, memory->mapped);
}

#endif
