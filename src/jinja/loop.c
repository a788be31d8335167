/* loop.index, loop.last and the like. Only loop.last, loop.nextitem and loop.length look ahead, and only by what they
 * need, so that a source that depends on what the body does is seen as the body left it. */
#include "jinja/loop.h"

bool mxj_loop_next(struct run *run, struct loop *loop, struct value *out)
{
    if (loop->after.kind != MISSING) {
        *out = loop->after;
        loop->after.kind = MISSING;
    } else if (!mxj_next(run, &loop->source, out)) {
        return false;
    }
    loop->index0++;
    loop->before = loop->current;
    loop->current = *out;
    return true;
}

int64_t mxj_loop_length(struct run *run, struct loop *loop)
{
    size_t length;
    if (loop->length >= 0) return loop->length;
    if (!loop->filtered && mxj_length(run, &loop->iterable, &length)) return loop->length = (int64_t)length;
    struct value rest = mxj_list(run, 0), item;
    while (mxj_next(run, &loop->source, &item)) mxj_push(run, &rest, item);
    loop->source = mxj_iterate(run, &rest);
    return loop->length = (int64_t)rest.list->count + loop->index0 + 1 + (loop->after.kind != MISSING);
}

static bool has_next(struct run *run, struct loop *loop)
{
    if (loop->after.kind == MISSING && !mxj_next(run, &loop->source, &loop->after)) loop->after.kind = MISSING;
    return loop->after.kind != MISSING;
}

struct value mxj_loop_attribute(struct run *run, struct loop *loop, const struct value *name)
{
    const int64_t index = loop->index0 + 1;
    if (mxj_is_text(name, "index")) return mxj_int(index);
    if (mxj_is_text(name, "index0")) return mxj_int(loop->index0);
    if (mxj_is_text(name, "first")) return mxj_bool(loop->index0 == 0);
    if (mxj_is_text(name, "last")) return mxj_bool(!has_next(run, loop));
    if (mxj_is_text(name, "length")) return mxj_int(mxj_loop_length(run, loop));
    if (mxj_is_text(name, "revindex")) return mxj_int(mxj_loop_length(run, loop) - loop->index0);
    if (mxj_is_text(name, "revindex0")) return mxj_int(mxj_loop_length(run, loop) - index);
    if (mxj_is_text(name, "depth")) return mxj_int(loop->depth0 + 1);
    if (mxj_is_text(name, "depth0")) return mxj_int(loop->depth0);
    if (mxj_is_text(name, "previtem")) return loop->index0 > 0 ? loop->before : mxj_hint("there is no previous item");
    if (mxj_is_text(name, "nextitem")) return has_next(run, loop) ? loop->after : mxj_hint("there is no next item");
    return (struct value){.kind = MISSING};
}
