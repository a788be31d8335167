/* Memory, limits and the way out. */
#include "jinja/run.h"

#include <stdio.h>

#include "base/checked.h"

const struct mx_jinja_limits mx_jinja_default_limits = {
    .steps = 50u * 1000 * 1000,
    .memory = (size_t)512 << 20,
    .depth = 800,
};

enum { WORK_UNIT = 64 };

void mxj_fail(struct run *run, mx_status status, const char *format, ...)
{
    char message[sizeof run->err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (run->place.line)
        mx_fail(run->err, status, "%s:%u:%u: %s", run->name, run->place.line, run->place.column, message);
    else
        mx_fail(run->err, status, "%s: %s", run->name, message);
    longjmp(run->out, (int)status);
}

void *mxj_alloc(struct run *run, size_t size)
{
    if (size > run->limits.memory - run->memory)
        mxj_fail(run, MX_ERR_LIMIT, "the template needs more than %zu MB of memory", run->limits.memory >> 20);
    void *memory = mx_arena_alloc(&run->arena, size);
    if (!memory) mxj_fail(run, MX_ERR_MEMORY, "out of memory for a template's values (%zu bytes)", size);
    run->memory += size;
    return memory;
}

void *mxj_array(struct run *run, size_t count, size_t size)
{
    size_t bytes;
    if (!mx_mul_size(count, size, &bytes)) bytes = SIZE_MAX;
    return mxj_alloc(run, bytes);
}

void mxj_step(struct run *run)
{
    if (++run->steps > run->limits.steps)
        mxj_fail(run, MX_ERR_LIMIT, "the template takes more than %llu steps", (unsigned long long)run->limits.steps);
}

void mxj_work(struct run *run, size_t bytes)
{
    run->steps += bytes / WORK_UNIT;
    mxj_step(run);
}

void mxj_enter(struct run *run)
{
    if (++run->depth > run->limits.depth)
        mxj_fail(run, MX_ERR_LIMIT, "the template nests deeper than %u levels", run->limits.depth);
}

void mxj_leave(struct run *run)
{
    run->depth--;
}

void mxj_run_free(struct run *run)
{
    mx_arena_free(&run->arena);
}
