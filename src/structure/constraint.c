/* Masks: each thread walks the trie of tokens. Within a text (a string's content, above all) nearly all tokens end
 * within its automaton, and which do so depends on its state alone: these are found once and kept. The few tokens that
 * go on beyond the text's end are walked each time, from there on. */
#include "structure/constraint.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "structure/machine.h"

enum {
    KEPT = 24,         /* masks */
    MOST_EXITS = 1024, /* of one: places in the trie where a text may end and a token goes on */
    LEVELS = MX_TOKEN_BYTES + 1,
};

/* What depends on the state of an automaton alone. */
struct kept {
    uint32_t dfa, state;
    uint64_t used;  /* when; 0: empty */
    uint64_t *bits; /* [words]: tokens that end within the text */
    uint32_t *exits;
    uint32_t exit_count; /* more than MOST_EXITS: too many to keep */
};

/* A grammar of several constraints. */
struct shared {
    atomic_int holds;
    struct mx_grammar grammar;
};

struct mx_constraint {
    struct shared *shared;
    const struct mx_grammar *grammar;
    const struct mx_token_trie *trie;
    struct mx_machine machine;
    struct mx_frame *spare; /* the other half of the frames */
    uint32_t *moved;        /* [MX_MACHINE_FRAMES]: where a frame went */
    uint32_t threads[MX_MACHINE_THREADS], thread_count;
    uint32_t *lists; /* [LEVELS + 1][MX_MACHINE_THREADS]: threads behind each byte of a token */
    uint64_t clock;
    uint64_t *bits;             /* of all kept */
    uint32_t *exits;            /* likewise; the last that is allocated */
    struct kept kept[KEPT + 1]; /* the last is for what isn't kept */
};

/* --- opening --- */

static void free_run(struct mx_constraint *constraint)
{
    free(constraint->machine.frames);
    free(constraint->spare);
    free(constraint->moved);
    free(constraint->lists);
    free(constraint->bits);
    free(constraint->exits);
    constraint->machine.frames = constraint->spare = NULL;
    constraint->moved = constraint->lists = constraint->exits = NULL;
    constraint->bits = NULL;
}

void mx_constraint_close(struct mx_constraint *constraint)
{
    if (!constraint) return;
    if (atomic_fetch_sub(&constraint->shared->holds, 1) == 1) {
        mx_grammar_free(&constraint->shared->grammar);
        free(constraint->shared);
    }
    free_run(constraint);
    free(constraint);
}

static mx_status allocate(struct mx_constraint *constraint, struct mx_error *err)
{
    const size_t words = mx_mask_words(constraint->trie->vocab);
    const size_t frames = MX_MACHINE_FRAMES * sizeof(struct mx_frame), exits = (KEPT + 1) * MOST_EXITS;
    if (constraint->exits) return MX_OK;
    constraint->machine.frames = malloc(frames);
    constraint->spare = malloc(frames);
    constraint->moved = malloc(MX_MACHINE_FRAMES * sizeof *constraint->moved);
    constraint->lists = malloc((size_t)(LEVELS + 1) * MX_MACHINE_THREADS * sizeof *constraint->lists);
    constraint->bits = malloc((KEPT + 1) * (words + 1) * sizeof *constraint->bits);
    constraint->exits = malloc(exits * sizeof *constraint->exits);
    if (!constraint->machine.frames || !constraint->spare || !constraint->moved || !constraint->lists ||
        !constraint->bits || !constraint->exits) {
        free_run(constraint);
        return mx_fail_memory(err, "a constraint", 2 * frames + (KEPT + 1) * words * sizeof *constraint->bits);
    }
    for (size_t i = 0; i <= KEPT; i++) {
        constraint->kept[i].bits = constraint->bits + i * words;
        constraint->kept[i].exits = constraint->exits + i * MOST_EXITS;
    }
    return MX_OK;
}

static mx_status open_on(struct mx_constraint **out, struct shared *shared, const struct mx_token_trie *trie,
                         struct mx_error *err)
{
    struct mx_constraint *constraint = calloc(1, sizeof *constraint);
    *out = constraint;
    if (!constraint) return mx_fail_memory(err, "a constraint", sizeof *constraint);
    constraint->shared = shared;
    constraint->grammar = constraint->machine.grammar = &shared->grammar;
    constraint->trie = trie;
    if (shared->grammar.string_dfa != MX_GRAMMAR_NONE) {
        constraint->machine.inside = mx_dfa_step(&shared->grammar.dfas[shared->grammar.string_dfa], MX_DFA_START, '"');
    }
    return MX_OK;
}

mx_status mx_constraint_open(struct mx_constraint **out, struct mx_grammar *grammar, const struct mx_token_trie *trie,
                             struct mx_error *err)
{
    struct shared *shared = malloc(sizeof *shared);
    *out = NULL;
    if (!shared) {
        mx_grammar_free(grammar);
        return mx_fail_memory(err, "a constraint", sizeof *shared);
    }
    atomic_init(&shared->holds, 1);
    shared->grammar = *grammar;
    *grammar = (struct mx_grammar){0};
    const mx_status status = open_on(out, shared, trie, err);
    if (status == MX_OK) return MX_OK;
    mx_grammar_free(&shared->grammar);
    free(shared);
    return status;
}

mx_status mx_constraint_fork(struct mx_constraint **out, const struct mx_constraint *from, struct mx_error *err)
{
    MX_TRY(open_on(out, from->shared, from->trie, err));
    atomic_fetch_add(&from->shared->holds, 1);
    return MX_OK;
}

static mx_status from_schema(struct mx_constraint **out, const cJSON *schema, const struct mx_token_trie *trie,
                             struct mx_error *err)
{
    struct mx_grammar grammar;
    *out = NULL;
    MX_TRY(schema ? mx_grammar_from_schema(&grammar, schema, err) : mx_grammar_any_object(&grammar, err));
    return mx_constraint_open(out, &grammar, trie, err);
}

mx_status mx_constraint_from_schema(struct mx_constraint **out, const char *text, size_t length, const char *name,
                                    const struct mx_token_trie *trie, struct mx_error *err)
{
    *out = NULL;
    if (!text) return from_schema(out, NULL, trie, err);
    cJSON *schema;
    MX_TRY(mx_json_parse(&schema, text, length, name, &(struct mx_json_rules){.refuse_nul = true}, err));
    const mx_status status = from_schema(out, schema, trie, err);
    cJSON_Delete(schema);
    return status == MX_OK ? MX_OK : mx_fail_prefix(err, "%s", name);
}

/* Refuses members of an object that nobody reads. */
static mx_status check_members(const cJSON *object, const char *const *known, const char *name, struct mx_error *err)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, object) {
        const char *const *one = known;
        while (*one && strcmp(item->string, *one) != 0) one++;
        if (!*one) return mx_fail(err, MX_ERR_FORMAT, "%s: \"%.60s\" has no meaning there", name, item->string);
    }
    return MX_OK;
}

mx_status mx_response_format(const cJSON *format, const char *name, bool *any_object, const cJSON **schema,
                             struct mx_error *err)
{
    static const char *const plain[] = {"type", NULL}, *const described[] = {"type", "json_schema", NULL},
                             *const members[] = {"name", "description", "schema", "strict", NULL};
    const cJSON *item = mx_json_get(format, "type"), *content = mx_json_get(format, "json_schema");
    const char *type = cJSON_IsString(item) ? item->valuestring : "";
    *any_object = strcmp(type, "json_object") == 0;
    *schema = NULL;
    if (strcmp(type, "text") == 0 || *any_object) return check_members(format, plain, name, err);
    if (strcmp(type, "json_schema") != 0) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: its \"type\" must be \"text\", \"json_object\" or \"json_schema\"",
                       name);
    }
    MX_TRY(check_members(format, described, name, err));
    MX_TRY(check_members(content, members, name, err));
    *schema = mx_json_get(content, "schema");
    if (*schema) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT, "%s: \"json_schema\" must be an object with a \"schema\"", name);
}

mx_status mx_constraint_from_format(struct mx_constraint **out, const cJSON *format, const char *name,
                                    const struct mx_token_trie *trie, struct mx_error *err)
{
    bool any_object;
    const cJSON *schema;
    *out = NULL;
    MX_TRY(mx_response_format(format, name, &any_object, &schema, err));
    if (!any_object && !schema) return MX_OK;
    if (from_schema(out, schema, trie, err) == MX_OK) return MX_OK;
    return mx_fail_prefix(err, "%s", name);
}

mx_status mx_constraint_begin(struct mx_constraint *constraint, struct mx_error *err)
{
    struct mx_machine *machine = &constraint->machine;
    MX_TRY(allocate(constraint, err));
    machine->frames[0] = (struct mx_frame){.kind = MX_FRAME_END};
    machine->frames[1] = (struct mx_frame){.kind = MX_FRAME_VALUE, .space = 1}; /* none before the document */
    machine->used = 2;
    constraint->threads[0] = 1;
    constraint->thread_count = 1;
    return MX_OK;
}

/* --- masks --- */

static void add_tokens(const struct mx_token_trie *trie, uint32_t node, uint64_t *bits)
{
    for (int32_t token = trie->token[node]; token >= 0; token = trie->next[token])
        bits[token / 64] |= 1ull << token % 64;
}

/* The tokens whose bytes from node `above` of the trie on (its root: nodes 0 to all) a thread can read. */
static void walk(struct mx_constraint *constraint, uint32_t begin, uint32_t end, uint32_t above, uint32_t thread,
                 uint64_t *bits)
{
    const struct mx_token_trie *trie = constraint->trie;
    struct mx_machine *machine = &constraint->machine;
    uint32_t counts[LEVELS + 1], used[LEVELS + 1];
    constraint->lists[0] = thread;
    counts[0] = 1;
    used[0] = machine->used;
    for (uint32_t node = begin; node < end;) {
        const uint32_t level = trie->depth[node] - above;
        const uint32_t *from = &constraint->lists[(level - 1) * MX_MACHINE_THREADS];
        machine->used = used[level - 1];
        machine->out = &constraint->lists[level * MX_MACHINE_THREADS];
        machine->out_count = 0;
        for (uint32_t i = 0; i < counts[level - 1]; i++) mx_machine_step(machine, from[i], trie->byte[node]);
        counts[level] = machine->out_count;
        used[level] = machine->used;
        if (machine->out_count) add_tokens(trie, node, bits);
        node = machine->out_count ? node + 1 : trie->end[node];
    }
    machine->used = used[0];
}

/* Characters of a string: how many, and what is allowed. */
struct counted {
    bool counts;
    uint32_t inside, count, least, most;
};

/* Whether a byte may be read, as machine.c has it; counts the character that it ends. */
static bool count_character(struct counted *counted, uint32_t state, uint32_t next, uint8_t byte)
{
    const bool between = state == counted->inside;
    if (between && byte == '"') return counted->count >= counted->least;
    if (between && counted->count >= counted->most) return false;
    counted->count += next == counted->inside;
    return true;
}

/* The tokens that end within a text, and where others leave it. */
static void fill(const struct mx_token_trie *trie, const struct mx_dfa *dfa, uint32_t state, struct counted counted,
                 struct kept *kept)
{
    uint32_t states[LEVELS + 1];
    uint32_t counts[LEVELS + 1];
    memset(kept->bits, 0, mx_mask_words(trie->vocab) * sizeof *kept->bits);
    kept->exit_count = 0;
    states[0] = state;
    counts[0] = counted.count;
    for (uint32_t node = 0; node < trie->nodes;) {
        const uint32_t level = trie->depth[node], from = states[level - 1];
        const uint32_t next = mx_dfa_step(dfa, from, trie->byte[node]);
        counted.count = counts[level - 1];
        if (next == MX_DFA_DEAD || (counted.counts && !count_character(&counted, from, next, trie->byte[node]))) {
            node = trie->end[node];
            continue;
        }
        states[level] = next;
        counts[level] = counted.count;
        add_tokens(trie, node, kept->bits);
        if (dfa->flags[next] & MX_DFA_ACCEPTS && trie->end[node] > node + 1) {
            if (kept->exit_count < MOST_EXITS) kept->exits[kept->exit_count] = node;
            kept->exit_count++;
        }
        node = dfa->flags[next] & MX_DFA_GOES_ON ? node + 1 : trie->end[node];
    }
}

/* The kept one of a state, filled now where it is not there. */
static const struct kept *keep(struct mx_constraint *constraint, uint32_t dfa, uint32_t state)
{
    struct kept *oldest = &constraint->kept[0];
    for (size_t i = 0; i < KEPT; i++) {
        struct kept *kept = &constraint->kept[i];
        if (kept->used && kept->dfa == dfa && kept->state == state) {
            kept->used = ++constraint->clock;
            return kept;
        }
        if (kept->used < oldest->used) oldest = kept;
    }
    fill(constraint->trie, &constraint->grammar->dfas[dfa], state, (struct counted){.counts = false}, oldest);
    oldest->dfa = dfa;
    oldest->state = state;
    oldest->used = ++constraint->clock;
    return oldest;
}

static void add_text(struct mx_constraint *constraint, uint32_t thread, const struct kept *kept, uint64_t *mask)
{
    const struct mx_token_trie *trie = constraint->trie;
    const struct mx_frame frame = constraint->machine.frames[thread];
    if (kept->exit_count > MOST_EXITS) {
        walk(constraint, 0, trie->nodes, 0, thread, mask);
        return;
    }
    for (size_t i = 0; i < mx_mask_words(trie->vocab); i++) mask[i] |= kept->bits[i];
    if (frame.parent == 0) return;
    for (uint32_t i = 0; i < kept->exit_count; i++) {
        const uint32_t node = kept->exits[i];
        walk(constraint, node + 1, trie->end[node], trie->depth[node], frame.parent, mask);
    }
    if (constraint->grammar->dfas[frame.dfa].flags[frame.at] & MX_DFA_ACCEPTS) {
        walk(constraint, 0, trie->nodes, 0, frame.parent, mask);
    }
}

static void add_thread(struct mx_constraint *constraint, uint32_t thread, uint64_t *mask)
{
    const struct mx_frame frame = constraint->machine.frames[thread];
    const struct mx_grammar_node *node = &constraint->grammar->nodes[frame.node];
    if (frame.kind == MX_FRAME_TEXT) {
        add_text(constraint, thread, keep(constraint, frame.dfa, frame.at), mask);
    } else if (frame.kind == MX_FRAME_STRING) {
        /* Where no token can come near a limit, the limits don't matter. */
        const bool free = frame.count >= node->least && node->most - frame.count > MX_TOKEN_BYTES;
        const struct counted counted = {true, constraint->machine.inside, frame.count, node->least, node->most};
        struct kept *scratch = &constraint->kept[KEPT];
        if (!free) fill(constraint->trie, &constraint->grammar->dfas[frame.dfa], frame.at, counted, scratch);
        add_text(constraint, thread, free ? keep(constraint, frame.dfa, frame.at) : scratch, mask);
    } else if (frame.kind != MX_FRAME_END) {
        walk(constraint, 0, constraint->trie->nodes, 0, thread, mask);
    }
}

bool mx_constraint_mask(struct mx_constraint *constraint, uint64_t *mask)
{
    const size_t words = mx_mask_words(constraint->trie->vocab);
    memset(mask, 0, words * sizeof *mask);
    for (uint32_t i = 0; i < constraint->thread_count; i++) add_thread(constraint, constraint->threads[i], mask);
    for (size_t i = 0; i < words; i++) {
        if (mask[i]) return true;
    }
    return false;
}

/* --- tokens --- */

/* Moves a frame and those that it stands on to the spare half; returns where it stands now. */
static uint32_t move(struct mx_constraint *constraint, uint32_t thread, uint32_t *used)
{
    uint32_t chain[4 * MX_GRAMMAR_DEPTH + 64], length = 0, parent;
    while (constraint->moved[thread] == MX_GRAMMAR_NONE) {
        chain[length++] = thread;
        thread = constraint->machine.frames[thread].parent;
    }
    parent = constraint->moved[thread];
    while (length > 0) {
        const uint32_t from = chain[--length];
        constraint->spare[*used] = constraint->machine.frames[from];
        constraint->spare[*used].parent = parent;
        parent = constraint->moved[from] = (*used)++;
    }
    return parent;
}

/* Keeps the frames of these threads and drops all others. */
static void settle(struct mx_constraint *constraint, const uint32_t *threads, uint32_t count)
{
    struct mx_machine *machine = &constraint->machine;
    uint32_t used = 1;
    memset(constraint->moved, 0xff, machine->used * sizeof *constraint->moved);
    constraint->spare[0] = machine->frames[0];
    constraint->moved[0] = 0;
    for (uint32_t i = 0; i < count; i++) constraint->threads[i] = move(constraint, threads[i], &used);
    constraint->thread_count = count;
    struct mx_frame *frames = machine->frames;
    machine->frames = constraint->spare;
    constraint->spare = frames;
    machine->used = used;
}

bool mx_constraint_accept(struct mx_constraint *constraint, int32_t token)
{
    const struct mx_token_trie *trie = constraint->trie;
    struct mx_machine *machine = &constraint->machine;
    const uint32_t used = machine->used, *threads = constraint->threads;
    uint32_t count = constraint->thread_count, half = 0;
    if (token < 0 || (size_t)token >= trie->vocab || trie->start[token] == trie->start[token + 1]) return false;
    for (uint32_t at = trie->start[token]; at < trie->start[token + 1] && count; at++, half ^= 1) {
        machine->out = &constraint->lists[half * MX_MACHINE_THREADS];
        machine->out_count = 0;
        for (uint32_t i = 0; i < count; i++) mx_machine_step(machine, threads[i], (uint8_t)trie->bytes[at]);
        threads = machine->out;
        count = machine->out_count;
    }
    if (count)
        settle(constraint, threads, count);
    else
        machine->used = used;
    return count > 0;
}

bool mx_constraint_complete(const struct mx_constraint *constraint)
{
    for (uint32_t i = 0; i < constraint->thread_count; i++) {
        if (mx_machine_complete(&constraint->machine, constraint->threads[i])) return true;
    }
    return false;
}

bool mx_constraint_ended(const struct mx_constraint *constraint)
{
    return constraint->thread_count == 1 && constraint->threads[0] == 0;
}
