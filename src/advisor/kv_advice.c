/* Rules and evidence of kv_advice.h. */
#include "advisor/kv_advice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "advisor/subject.h"
#include "base/units.h"
#include "cache/size.h"

enum {
    ALTERNATIVES = 2, /* of what was measured: beside each other they fit a line */
    SCALE = 8,        /* a model so many times larger or smaller decodes at other ratios where weights dominate */
};

static const struct mx_range_info ranges[MX_RANGE_COUNT] = {
    [MX_RANGE_SHORT] = {"short", 1, 4096},
    [MX_RANGE_MEDIUM] = {"medium", 4097, 32768},
    [MX_RANGE_LONG] = {"long", 32769, 131072},
};

const struct mx_range_info *mx_range_info(enum mx_range range)
{
    return &ranges[range];
}

enum mx_range mx_range_of(uint64_t context)
{
    return context <= ranges[MX_RANGE_SHORT].to    ? MX_RANGE_SHORT
           : context <= ranges[MX_RANGE_MEDIUM].to ? MX_RANGE_MEDIUM
                                                   : MX_RANGE_LONG;
}

uint64_t mx_range_end(enum mx_range range, const struct mx_arch *arch)
{
    const uint64_t limit = arch->max_context, from = ranges[range].from, to = ranges[range].to;
    return limit >= from && (limit < to || range == MX_RANGE_LONG) ? limit : to;
}

/* The setup that runs for a plain request of `mode`, whose proof is that evidence passed it. */
static mx_status resolve(struct mx_kv_setup *setup, enum mx_mode mode, bool passed, const struct mx_arch *arch,
                         struct mx_error *err)
{
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = mode;
    options.proof = passed ? MX_PROOF_PASSED : MX_PROOF_NONE;
    return mx_kv_resolve(setup, &options, arch, err);
}

/* Adds an alternative if it is not there yet. */
static void add_alternative(struct mx_kv_advice_line *line, enum mx_mode mode)
{
    bool fresh = mode != line->suggested && line->alternative_count < MX_MAX_ALTERNATIVES;
    for (int i = 0; i < line->alternative_count; i++) fresh = fresh && line->alternatives[i] != mode;
    if (fresh) line->alternatives[line->alternative_count++] = mode;
}

static mx_status apply_rule(struct mx_kv_advice_line *line, const struct mx_kv_rule *rule, const struct mx_arch *arch,
                            struct mx_error *err)
{
    struct mx_kv_setup setup;
    MX_TRY(resolve(&setup, rule->suggested, false, arch, err));
    line->suggested = setup.mode;
    if (setup.mode == rule->suggested)
        snprintf(line->reason, sizeof line->reason, "%s", rule->reason);
    else
        snprintf(line->reason, sizeof line->reason, "%s", setup.reason);
    for (int i = 0; i < rule->alternative_count; i++) { /* those that run as they are on this model */
        MX_TRY(resolve(&setup, rule->alternatives[i], false, arch, err));
        if (setup.mode == rule->alternatives[i]) add_alternative(line, setup.mode);
    }
    return MX_OK;
}

static enum mx_kin kin_of(const struct mx_evidence *evidence, const struct mx_arch *arch,
                          const struct mx_kv_advice_request *request)
{
    return mx_evidence_kin(evidence, arch, request->name, request->parameters);
}

/* How far two quantities of a kind are from each other, by their ratio; one that is not known is as far as can be. */
static double distance(double a, double b)
{
    return a > 0 && b > 0 ? fabs(log(a / b)) : INFINITY;
}

/* Positive if a is nearer than b, 0 if about the same. */
static int compare_distances(double a, double b)
{
    if (a == b || fabs(a - b) <= 1e-6) return 0; /* two infinities are the same, too */
    return a < b ? 1 : -1;
}

/* How well evidence fits: by kinship, measured on this machine's processor, weights stored alike, nearest in their
 * width, nearest in size, newest. Positive if a is better than b. */
static int compare_evidence(const struct mx_evidence *a, const struct mx_evidence *b, const struct mx_arch *arch,
                            const struct mx_kv_advice_request *request)
{
    const int kinship = (int)kin_of(a, arch, request) - (int)kin_of(b, arch, request);
    if (kinship) return kinship;
    const bool a_here = request->machine && !strcmp(a->machine, request->machine);
    const bool b_here = request->machine && !strcmp(b->machine, request->machine);
    if (a_here != b_here) return a_here ? 1 : -1;
    const bool a_alike = request->weights && !strcmp(a->model.weights, request->weights);
    const bool b_alike = request->weights && !strcmp(b->model.weights, request->weights);
    if (a_alike != b_alike) return a_alike ? 1 : -1;
    const double bits = request->weights ? mx_storage_bits(request->weights) : 0, size = (double)request->parameters;
    const int width = compare_distances(distance(mx_storage_bits(a->model.weights), bits),
                                        distance(mx_storage_bits(b->model.weights), bits));
    if (width) return width;
    const int nearer =
        compare_distances(distance((double)a->model.parameters, size), distance((double)b->model.parameters, size));
    return nearer ? nearer : strcmp(a->date, b->date);
}

static bool in_range(const struct mx_evidence_cell *cell, enum mx_range range)
{
    return cell->context >= ranges[range].from && (range == MX_RANGE_LONG || cell->context <= ranges[range].to);
}

/* The setup with which a mode is measured and runs on this model; false where no layer can hold it. */
static bool resolve_forced(struct mx_kv_setup *setup, enum mx_mode mode, const struct mx_arch *arch)
{
    struct mx_error ignored;
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = mode;
    options.force = true;
    return mx_kv_resolve(setup, &options, arch, &ignored) == MX_OK && setup->mode == mode;
}

/* Whether a cell is of this mode with the protections that it runs with. */
static bool is_plain(const struct mx_evidence_cell *cell, const struct mx_kv_setup *setup)
{
    return cell->mode == setup->mode && cell->plan.recent == setup->recent && cell->plan.sink == setup->sink &&
           cell->plan.boundary_v == setup->boundary_v && !strcmp(cell->plan.center, mx_center_name(setup->center));
}

enum verdict { VERDICT_NONE, VERDICT_FAILED, VERDICT_PASSED };

/* What one source says about one setup in one range: quality at the longest context measured there, unless any context
 * or text there failed; speed at the longest. */
static struct mx_mode_evidence find_cells(const struct mx_evidence *evidence, const struct mx_kv_setup *setup,
                                          enum mx_range range, enum mx_grade bar, enum verdict *verdict)
{
    struct mx_mode_evidence found = {.evidence = evidence};
    *verdict = VERDICT_NONE;
    for (size_t i = 0; i < evidence->cell_count; i++) {
        const struct mx_evidence_cell *cell = &evidence->cells[i];
        if (!in_range(cell, range) || !is_plain(cell, setup)) continue;
        if (cell->decode_ratio >= 0 && (!found.speed || cell->context >= found.speed->context)) found.speed = cell;
        if (cell->grade == MX_GRADE_NONE) continue;
        const enum verdict one = cell->grade <= bar || setup->mode == MX_MODE_FP16 ? VERDICT_PASSED : VERDICT_FAILED;
        if (*verdict != VERDICT_FAILED &&
            (one == VERDICT_FAILED || !found.quality || cell->context >= found.quality->context))
            found.quality = cell;
        if (*verdict != VERDICT_FAILED) *verdict = one;
    }
    return found;
}

struct mx_mode_evidence mx_mode_evidence(enum mx_mode mode, uint64_t context, const struct mx_arch *arch,
                                         const struct mx_kv_advice_request *request)
{
    struct mx_mode_evidence best = {0};
    struct mx_kv_setup setup;
    if (!request->evidence || !resolve_forced(&setup, mode, arch)) return best;
    for (size_t i = 0; i < request->evidence->count; i++) {
        const struct mx_evidence *evidence = &request->evidence->items[i];
        if (kin_of(evidence, arch, request) == MX_KIN_NONE) continue;
        enum verdict verdict;
        const struct mx_mode_evidence found =
            find_cells(evidence, &setup, mx_range_of(context), request->bar, &verdict);
        if (!found.quality && !found.speed) continue;
        if (!best.evidence || compare_evidence(evidence, best.evidence, arch, request) > 0) best = found;
    }
    if (best.evidence) best.kin = kin_of(best.evidence, arch, request);
    return best;
}

/* Whether a cell speaks for a setup: its mode, protected no better. */
static bool covers(const struct mx_evidence_cell *cell, const struct mx_kv_setup *setup)
{
    return cell->mode == setup->mode && cell->plan.recent <= setup->recent && cell->plan.sink <= setup->sink &&
           cell->plan.boundary_v <= setup->boundary_v && !strcmp(cell->plan.center, mx_center_name(setup->center));
}

/* The worst that one source graded in the range; NULL: it graded nothing there. */
static const struct mx_evidence_cell *find_worst(const struct mx_evidence *evidence, const struct mx_kv_setup *setup,
                                                 enum mx_range range)
{
    const struct mx_evidence_cell *worst = NULL;
    for (size_t i = 0; i < evidence->cell_count; i++) {
        const struct mx_evidence_cell *cell = &evidence->cells[i];
        if (cell->grade == MX_GRADE_NONE || !in_range(cell, range) || !covers(cell, setup)) continue;
        if (!worst || cell->grade > worst->grade) worst = cell;
    }
    return worst;
}

enum mx_proof mx_turbo4_proof(const struct mx_kv_options *options, uint64_t context, const struct mx_arch *arch,
                              const struct mx_kv_advice_request *request, struct mx_mode_evidence *found)
{
    struct mx_kv_options forced = *options;
    struct mx_kv_setup setup;
    struct mx_error ignored;
    *found = (struct mx_mode_evidence){0};
    forced.mode = MX_MODE_TURBO4;
    forced.force = true;
    if (!request->evidence) return MX_PROOF_NONE;
    if (mx_kv_resolve(&setup, &forced, arch, &ignored) != MX_OK) return MX_PROOF_NONE;
    for (size_t i = 0; i < request->evidence->count; i++) {
        const struct mx_evidence *one = &request->evidence->items[i];
        if (kin_of(one, arch, request) == MX_KIN_NONE) continue;
        const struct mx_evidence_cell *worst = find_worst(one, &setup, mx_range_of(context));
        if (!worst || (found->evidence && compare_evidence(one, found->evidence, arch, request) <= 0)) continue;
        *found = (struct mx_mode_evidence){.evidence = one, .kin = kin_of(one, arch, request), .quality = worst};
    }
    if (!found->quality) return MX_PROOF_NONE;
    return found->quality->grade <= MX_GRADE_ACCEPTABLE ? MX_PROOF_PASSED : MX_PROOF_FAILED;
}

/* A mode that passed in one file and range. fp16 always passes and is the measure of speed. */
struct candidate {
    enum mx_mode mode;
    struct mx_mode_evidence cells;
    double ratio; /* decode speed over fp16's; MX_NOT_MEASURED */
    uint64_t bytes;
};

static int list_candidates(struct candidate *candidates, const struct mx_evidence *evidence, enum mx_range range,
                           const struct mx_arch *arch, const struct mx_kv_advice_request *request)
{
    int count = 0;
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct mx_kv_setup setup;
        if (!mx_kv_rules_know(request->rules, (enum mx_mode)mode)) continue;
        if (!resolve_forced(&setup, (enum mx_mode)mode, arch)) continue;
        enum verdict verdict;
        struct candidate one = {.mode = (enum mx_mode)mode, .ratio = 1};
        one.cells = find_cells(evidence, &setup, range, request->bar, &verdict);
        if (mode != MX_MODE_FP16) {
            if (verdict != VERDICT_PASSED) continue;
            one.ratio = one.cells.speed ? one.cells.speed->decode_ratio : MX_NOT_MEASURED;
        }
        one.bytes = mx_cache_bytes(arch, &setup, mx_range_end(range, arch));
        candidates[count++] = one;
    }
    return count;
}

static bool is_better(const struct candidate *a, const struct candidate *b, bool prefer_memory)
{
    if (prefer_memory) return a->bytes < b->bytes;
    return a->ratio > b->ratio;
}

/* "a relative, qwen3 (7.34 M parameters)" */
static const char *source_text(char text[192], const struct mx_evidence *evidence, enum mx_kin kin)
{
    char count[32];
    snprintf(text, 192, "%s%.96s (%s parameters)", kin == MX_KIN_LIKE ? "a relative, " : "", evidence->model.name,
             mx_format_count(evidence->model.parameters, count));
    return text;
}

/* "decodes 1.7x as fast as fp16 at 16384 tokens, KL 0.0001, top-1 99.4 %: high; measured on MODEL, MACHINE, DATE" */
static void write_reason(struct mx_kv_advice_line *line, const struct candidate *best, bool prefer_memory)
{
    char speed[64] = "", quality[96] = "", count[32], source[192];
    const struct mx_evidence *evidence = best->cells.evidence;
    source_text(source, evidence, line->kin);
    if (best->mode == MX_MODE_FP16) {
        snprintf(line->reason, sizeof line->reason, "no mode that passed was %s than fp16 on %s, %s, %s",
                 prefer_memory ? "smaller" : "faster", source, evidence->machine, evidence->date);
        return;
    }
    if (best->cells.speed)
        snprintf(speed, sizeof speed, "decodes %.2fx as fast as fp16 at %s tokens", best->cells.speed->decode_ratio,
                 mx_format_count(best->cells.speed->context, count));
    const struct mx_evidence_cell *cell = best->cells.quality;
    if (cell)
        snprintf(quality, sizeof quality, "%sKL %.2g, top-1 %.1f %%: %s", *speed ? ", " : "", cell->kl,
                 100 * cell->top1, mx_grade_name(cell->grade));
    snprintf(line->reason, sizeof line->reason, "%s%s%s; measured on %s, %s, %s",
             prefer_memory ? "smallest that passed; " : "", speed, quality, source, evidence->machine, evidence->date);
}

/* Fills the line from one file; false if it says nothing about this range. */
static mx_status apply_evidence(struct mx_kv_advice_line *line, const struct mx_evidence *evidence, enum mx_range range,
                                const struct mx_arch *arch, const struct mx_kv_advice_request *request, bool *applied,
                                struct mx_error *err)
{
    struct candidate candidates[MX_MODE_COUNT];
    *applied = false;
    int count = list_candidates(candidates, evidence, range, arch, request);
    int best = -1;
    bool measured = false;
    for (int i = 0; i < count; i++) {
        const struct candidate *one = &candidates[i];
        measured = measured || (one->mode != MX_MODE_FP16 && (request->prefer_memory || one->ratio >= 0));
        if (best < 0 || is_better(one, &candidates[best], request->prefer_memory)) best = i;
    }
    if (!measured) return MX_OK; /* fp16 alone is no comparison: the rules speak */
    const struct candidate chosen = candidates[best];
    line->suggested = chosen.mode;
    line->from_evidence = true;
    line->evidence = evidence;
    line->kin = kin_of(evidence, arch, request);
    line->cell = chosen.mode == MX_MODE_FP16 ? NULL : chosen.cells.quality;
    line->speed = chosen.cells.speed;
    write_reason(line, &chosen, request->prefer_memory);
    line->alternative_count = 0;
    for (int added = 0; added < ALTERNATIVES; added++) { /* the next best ones */
        int next = -1;
        for (int i = 0; i < count; i++) {
            const struct candidate *one = &candidates[i];
            if (one->mode == chosen.mode || one->mode == MX_MODE_FP16) continue;
            if (next < 0 || is_better(one, &candidates[next], request->prefer_memory)) next = i;
        }
        if (next < 0) break;
        add_alternative(line, candidates[next].mode);
        candidates[next] = candidates[--count];
    }
    *applied = true;
    return MX_OK;
}

/* At short contexts the weights decide how fast a step is, so what another model's ratios say depends on its size; at
 * longer ones the cache does. */
static bool speaks_for(const struct mx_evidence *evidence, enum mx_range range, const struct mx_arch *arch,
                       const struct mx_kv_advice_request *request)
{
    const enum mx_kin kin = kin_of(evidence, arch, request);
    const uint64_t one = evidence->model.parameters, other = request->parameters;
    if (kin == MX_KIN_NONE || kin == MX_KIN_SELF || range != MX_RANGE_SHORT || request->prefer_memory)
        return kin != MX_KIN_NONE;
    return one <= other * SCALE && other <= one * SCALE;
}

/* Tries what was measured of the model and its relatives, the nearest first. */
static mx_status consult_evidence(struct mx_kv_advice_line *line, enum mx_range range, const struct mx_arch *arch,
                                  const struct mx_kv_advice_request *request, struct mx_error *err)
{
    const struct mx_evidence *last = NULL;
    for (;;) {
        const struct mx_evidence *next = NULL;
        for (size_t i = 0; i < request->evidence->count; i++) {
            const struct mx_evidence *one = &request->evidence->items[i];
            if (!speaks_for(one, range, arch, request)) continue;
            /* strictly after `last` in the order of fitness, ties by position */
            const int to_last = last ? compare_evidence(one, last, arch, request) : -1;
            if (to_last > 0 || (last && to_last == 0 && one <= last)) continue;
            if (!next || compare_evidence(one, next, arch, request) > 0) next = one;
        }
        if (!next) return MX_OK;
        bool applied;
        MX_TRY(apply_evidence(line, next, range, arch, request, &applied, err));
        if (applied) return MX_OK;
        last = next;
    }
}

static mx_status count_savings(struct mx_kv_advice_line *line, const struct mx_arch *arch, struct mx_error *err)
{
    struct mx_kv_setup plain, setup;
    MX_TRY(resolve(&plain, MX_MODE_FP16, false, arch, err));
    MX_TRY(resolve(&setup, line->suggested, line->from_evidence, arch, err));
    const uint64_t before = mx_cache_bytes(arch, &plain, line->end), after = mx_cache_bytes(arch, &setup, line->end);
    line->bytes_saved = before > after ? before - after : 0;
    return MX_OK;
}

mx_status mx_kv_advise(struct mx_kv_advice *advice, const struct mx_arch *arch,
                       const struct mx_kv_advice_request *request, struct mx_error *err)
{
    *advice = (struct mx_kv_advice){0};
    for (int range = 0; range < MX_RANGE_COUNT; range++) {
        struct mx_kv_advice_line *line = &advice->lines[range];
        line->end = mx_range_end((enum mx_range)range, arch);
        line->reachable = arch->max_context == 0 || arch->max_context >= ranges[range].from;
        MX_TRY(apply_rule(line, mx_kv_rule_of(request->rules, arch, (enum mx_range)range), arch, err));
        if (request->evidence && mx_arch_cache_layers(arch) > 0)
            MX_TRY(consult_evidence(line, (enum mx_range)range, arch, request, err));
        MX_TRY(count_savings(line, arch, err));
    }
    return MX_OK;
}

const struct mx_evidence_cell *mx_plan_evidence(const struct mx_arch *arch, const struct mx_kv_advice_request *request,
                                                const struct mx_evidence **evidence)
{
    const struct mx_evidence_cell *best = NULL;
    for (size_t i = 0; request->evidence && i < request->evidence->count; i++) {
        const struct mx_evidence *one = &request->evidence->items[i];
        if (kin_of(one, arch, request) != MX_KIN_SELF) continue;
        for (size_t j = 0; j < one->cell_count; j++) {
            const struct mx_evidence_cell *cell = &one->cells[j];
            if (cell->mode != MX_MODE_COUNT || cell->grade > request->bar || cell->bytes_per_token < 0) continue;
            if (best && best->bytes_per_token <= cell->bytes_per_token) continue;
            best = cell;
            *evidence = one;
        }
    }
    return best;
}
