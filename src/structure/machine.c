/* A case for each kind of frame. A frame whose value ends becomes its parent, which was made for what comes then. */
#include "structure/machine.h"

#include <string.h>

#include "structure/constraint.h"

/* --- threads --- */

static void emit_thread(struct mx_machine *machine, uint32_t thread)
{
    if (machine->out_count == MX_MACHINE_THREADS) return;
    for (uint32_t i = 0; i < machine->out_count; i++) {
        if (machine->out[i] == thread) return;
    }
    machine->out[machine->out_count++] = thread;
}

/* A frame that is to be a parent; MX_GRAMMAR_NONE where there is no room. */
static uint32_t push(struct mx_machine *machine, struct mx_frame frame)
{
    if (machine->used == MX_MACHINE_FRAMES || frame.parent == MX_GRAMMAR_NONE) return MX_GRAMMAR_NONE;
    machine->frames[machine->used] = frame;
    return machine->used++;
}

static bool same(const struct mx_frame *a, const struct mx_frame *b)
{
    return a->parent == b->parent && a->node == b->node && a->at == b->at && a->count == b->count && a->dfa == b->dfa &&
           a->depth == b->depth && a->kind == b->kind && a->space == b->space;
}

static void emit(struct mx_machine *machine, struct mx_frame frame)
{
    if (frame.parent == MX_GRAMMAR_NONE || machine->out_count == MX_MACHINE_THREADS) return;
    for (uint32_t i = 0; i < machine->out_count; i++) {
        if (same(&machine->frames[machine->out[i]], &frame)) return;
    }
    const uint32_t thread = push(machine, frame);
    if (thread != MX_GRAMMAR_NONE) emit_thread(machine, thread);
}

/* Whether a value of the node can end before the document nests too deep. */
static bool fits(const struct mx_machine *machine, uint32_t node, uint32_t depth)
{
    return node != MX_GRAMMAR_NONE && depth + machine->grammar->nodes[node].height <= MX_GRAMMAR_DEPTH;
}

static bool reads_space(struct mx_machine *machine, const struct mx_frame *frame, uint8_t byte)
{
    struct mx_frame next = *frame;
    if (byte == ' ' && frame->space == 0)
        next.space = 1;
    else if (byte == '\n' && frame->space == 0)
        next.space = 2;
    else if ((byte == ' ' || byte == '\t') && frame->space >= 2 && frame->space < 2 + MX_CONSTRAINT_INDENT)
        next.space++;
    else
        return false;
    emit(machine, next);
    return true;
}

/* --- texts --- */

static void emit_text(struct mx_machine *machine, struct mx_frame frame, uint32_t state)
{
    if (state == MX_DFA_DEAD || frame.parent == MX_GRAMMAR_NONE) return;
    frame.at = state;
    if (machine->grammar->dfas[frame.dfa].flags[state] & MX_DFA_GOES_ON)
        emit(machine, frame);
    else
        emit_thread(machine, frame.parent);
}

static void step_text(struct mx_machine *machine, const struct mx_frame *frame, uint8_t byte)
{
    const struct mx_dfa *dfa = &machine->grammar->dfas[frame->dfa];
    emit_text(machine, *frame, mx_dfa_step(dfa, frame->at, byte));
    if (dfa->flags[frame->at] & MX_DFA_ACCEPTS) mx_machine_step(machine, frame->parent, byte);
}

static void step_string(struct mx_machine *machine, struct mx_frame frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame.node];
    const bool between = frame.at == machine->inside;
    frame.at = mx_dfa_step(&machine->grammar->dfas[frame.dfa], frame.at, byte);
    if (frame.at == MX_DFA_DEAD) return;
    if (between && byte == '"') {
        if (frame.count >= node->least) emit_thread(machine, frame.parent);
        return;
    }
    if (between && frame.count >= node->most) return;
    if (frame.at == machine->inside && (node->most != UINT32_MAX || frame.count < node->least)) frame.count++;
    emit(machine, frame);
}

/* --- values --- */

static void enter(struct mx_machine *machine, uint32_t index, uint32_t parent, uint32_t depth, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[index];
    struct mx_frame frame = {.parent = parent, .node = index, .depth = (uint16_t)depth};
    if (!fits(machine, index, depth) || parent == MX_GRAMMAR_NONE) return;
    switch (node->kind) {
    case MX_GRAMMAR_NEVER: return;
    case MX_GRAMMAR_CHOICE:
        for (uint32_t i = 0; i < node->count; i++) enter(machine, node->list[i], parent, depth, byte);
        return;
    case MX_GRAMMAR_SEQUENCE:
        if (node->count > 1) {
            frame.kind = MX_FRAME_SEQUENCE;
            frame.at = 1;
            parent = push(machine, frame);
        }
        enter(machine, node->list[0], parent, depth, byte);
        return;
    case MX_GRAMMAR_TEXT:
        frame.kind = MX_FRAME_TEXT;
        frame.dfa = node->dfa;
        emit_text(machine, frame, mx_dfa_step(&machine->grammar->dfas[node->dfa], MX_DFA_START, byte));
        return;
    case MX_GRAMMAR_STRING:
        frame.kind = MX_FRAME_STRING;
        frame.dfa = node->dfa;
        frame.at = machine->inside;
        if (byte == '"') emit(machine, frame);
        return;
    case MX_GRAMMAR_OBJECT:
    case MX_GRAMMAR_ARRAY:
        frame.kind = node->kind == MX_GRAMMAR_OBJECT ? MX_FRAME_OBJECT : MX_FRAME_ARRAY;
        frame.depth++;
        if (byte == (node->kind == MX_GRAMMAR_OBJECT ? '{' : '[')) emit(machine, frame);
        return;
    }
}

static void step_sequence(struct mx_machine *machine, struct mx_frame frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame.node];
    const uint32_t element = node->list[frame.at++];
    enter(machine, element, frame.at == node->count ? frame.parent : push(machine, frame), frame.depth, byte);
}

/* --- objects --- */

/* The first required member from `at` on; their number: there is none. */
static uint32_t required_from(const struct mx_grammar_node *node, uint32_t at)
{
    return at < node->count ? node->members[at].required_next : node->count;
}

/* May member `index` come where those from `at` on may? */
static bool may_come(const struct mx_machine *machine, const struct mx_frame *frame, uint32_t index)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    return index >= frame->at && index <= required_from(node, frame->at) &&
           fits(machine, node->members[index].node, frame->depth);
}

static bool other_may_come(const struct mx_machine *machine, const struct mx_frame *frame)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    return required_from(node, frame->at) == node->count && fits(machine, node->other, frame->depth);
}

static bool named_may_come(const struct mx_machine *machine, const struct mx_frame *frame)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    for (uint32_t i = frame->at; i < node->count && i <= required_from(node, frame->at); i++) {
        if (may_come(machine, frame, i)) return true;
    }
    return false;
}

/* Behind the first quote of a key. */
static void open_key(struct mx_machine *machine, const struct mx_frame *frame)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    struct mx_frame key = *frame;
    key.kind = MX_FRAME_KEY;
    key.space = 0;
    key.low = 0;
    key.high = (uint16_t)node->count;
    if (named_may_come(machine, frame)) emit(machine, key);
    if (!other_may_come(machine, frame)) return;
    struct mx_frame colon = *frame, text = *frame;
    colon.kind = MX_FRAME_COLON;
    colon.space = 0;
    colon.at = node->count;
    text.kind = MX_FRAME_TEXT;
    text.space = 0;
    text.dfa = node->dfa;
    text.parent = push(machine, colon);
    emit_text(machine, text, mx_dfa_step(&machine->grammar->dfas[node->dfa], MX_DFA_START, '"'));
}

static void step_key(struct mx_machine *machine, struct mx_frame frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame.node];
    uint32_t low = frame.high, high = low;
    bool any = false;
    for (uint32_t i = frame.low; i < frame.high; i++) {
        const struct mx_grammar_member *member = &node->members[node->by_key[i]];
        if (byte == '"' && member->length == frame.count && may_come(machine, &frame, node->by_key[i])) {
            frame.kind = MX_FRAME_COLON;
            frame.at = node->by_key[i];
            frame.count = frame.dfa = 0;
            emit(machine, frame);
            return;
        }
        if (member->length <= frame.count || (uint8_t)member->key[frame.count] != byte) continue;
        if (low == frame.high) low = i;
        high = i + 1;
        any |= may_come(machine, &frame, node->by_key[i]);
    }
    frame.low = (uint16_t)low;
    frame.high = (uint16_t)high;
    frame.count++;
    if (any) emit(machine, frame);
}

static void step_colon(struct mx_machine *machine, struct mx_frame frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame.node];
    if (byte != ':') return;
    const uint32_t value = frame.at < node->count ? node->members[frame.at].node : node->other;
    frame.kind = MX_FRAME_MEMBER_DONE;
    frame.at += frame.at < node->count;
    emit(machine, (struct mx_frame){
                      .kind = MX_FRAME_VALUE, .node = value, .parent = push(machine, frame), .depth = frame.depth});
}

static void step_object(struct mx_machine *machine, const struct mx_frame *frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    const bool may_end = required_from(node, frame->at) == node->count;
    struct mx_frame next = *frame;
    next.kind = MX_FRAME_MEMBER_NEXT;
    next.space = 0;
    if (reads_space(machine, frame, byte)) return;
    if (byte == '"' && frame->kind != MX_FRAME_MEMBER_DONE) open_key(machine, frame);
    if (byte == '}' && frame->kind != MX_FRAME_MEMBER_NEXT && may_end) emit_thread(machine, frame->parent);
    if (byte == ',' && frame->kind == MX_FRAME_MEMBER_DONE &&
        (named_may_come(machine, frame) || other_may_come(machine, frame)))
        emit(machine, next);
}

/* --- arrays --- */

/* The node of the next item; MX_GRAMMAR_NONE: none may come. */
static uint32_t next_item(const struct mx_machine *machine, const struct mx_frame *frame)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    if (frame->at >= node->most) return MX_GRAMMAR_NONE;
    const uint32_t item = frame->at < node->count ? node->list[frame->at] : node->other;
    return fits(machine, item, frame->depth) ? item : MX_GRAMMAR_NONE;
}

/* What is expected behind the next item. Where further items change nothing they are not counted. */
static uint32_t push_item(struct mx_machine *machine, struct mx_frame frame)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame.node];
    const uint32_t counts = node->count > node->least ? node->count : node->least;
    frame.kind = MX_FRAME_ITEM_DONE;
    frame.space = 0;
    if (node->most != UINT32_MAX || frame.at < counts || frame.at == 0) frame.at++;
    return push(machine, frame);
}

static void step_array(struct mx_machine *machine, const struct mx_frame *frame, uint8_t byte)
{
    const struct mx_grammar_node *node = &machine->grammar->nodes[frame->node];
    if (reads_space(machine, frame, byte)) return;
    if (byte == ']') {
        if (frame->at >= node->least) emit_thread(machine, frame->parent);
        return;
    }
    const uint32_t item = next_item(machine, frame);
    if (item == MX_GRAMMAR_NONE) return;
    if (frame->kind == MX_FRAME_ARRAY) {
        enter(machine, item, push_item(machine, *frame), frame->depth, byte);
    } else if (byte == ',') {
        emit(machine,
             (struct mx_frame){
                 .kind = MX_FRAME_VALUE, .node = item, .parent = push_item(machine, *frame), .depth = frame->depth});
    }
}

/* --- all of them --- */

void mx_machine_step(struct mx_machine *machine, uint32_t thread, uint8_t byte)
{
    const struct mx_frame frame = machine->frames[thread];
    switch ((enum mx_frame_kind)frame.kind) {
    case MX_FRAME_END: return;
    case MX_FRAME_VALUE:
        if (!reads_space(machine, &frame, byte)) enter(machine, frame.node, frame.parent, frame.depth, byte);
        return;
    case MX_FRAME_TEXT: step_text(machine, &frame, byte); return;
    case MX_FRAME_STRING: step_string(machine, frame, byte); return;
    case MX_FRAME_SEQUENCE: step_sequence(machine, frame, byte); return;
    case MX_FRAME_KEY: step_key(machine, frame, byte); return;
    case MX_FRAME_COLON: step_colon(machine, frame, byte); return;
    case MX_FRAME_OBJECT:
    case MX_FRAME_MEMBER_DONE:
    case MX_FRAME_MEMBER_NEXT: step_object(machine, &frame, byte); return;
    case MX_FRAME_ARRAY:
    case MX_FRAME_ITEM_DONE: step_array(machine, &frame, byte); return;
    }
}

bool mx_machine_complete(const struct mx_machine *machine, uint32_t thread)
{
    const struct mx_frame *frame = &machine->frames[thread];
    if (frame->kind == MX_FRAME_END) return true;
    return frame->kind == MX_FRAME_TEXT && frame->parent == 0 &&
           machine->grammar->dfas[frame->dfa].flags[frame->at] & MX_DFA_ACCEPTS;
}
