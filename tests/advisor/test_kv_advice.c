/* advisor/kv_advice: the rules' table, advice against the resolver over every class, type, range and head dimension,
 * and evidence over rules. */
#include "advisor/kv_advice.h"

#include "models.h"

#include "cache/hadamard.h"
#include "cache/size.h"

static struct mx_error err;
enum { LAYERS = 8 };

static const char *const types[] = {"llama",        "qwen3",    "qwen3_5",     "qwen3_5_moe", "qwen3_next",
                                    "qwen3_5_text", "qwen3_50", "gemma3_text", "deepseek_v3", "unheard_of"};
enum { TYPES = sizeof types / sizeof *types };

static const struct mx_kv_advice_request rules_alone = {.parameters = 7000000000};

static const struct mx_kv_advice_request careful = {.parameters = 7000000000, .rules = MX_RULES_CONSERVATIVE};

/* The table of docs/advisor.md. */
static enum mx_mode expected(enum mx_rules rules, enum mx_class class_, uint32_t head_dim, enum mx_range range)
{
    const bool power = (head_dim & (head_dim - 1)) == 0, turbo = head_dim <= 512 && mx_hadamard_exists(head_dim);
    if (range == MX_RANGE_SHORT || class_ == MX_CLASS_RECURRENT) return MX_MODE_FP16;
    if (class_ == MX_CLASS_MLA) return MX_MODE_INT8;
    if (rules == MX_RULES_CONSERVATIVE ? !power : !turbo) return MX_MODE_INT8;
    return rules == MX_RULES_CONSERVATIVE ? MX_MODE_FP16_TURBO4 : MX_MODE_INT8_TURBO4;
}

static enum mx_mode runs(const struct mx_arch *arch, enum mx_mode mode)
{
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_kv_setup setup;
    options.mode = mode;
    assert_ok(mx_kv_resolve(&setup, &options, arch, &err));
    return setup.mode;
}

/* Calls `check` for every class, type, head dimension and range, under each set of rules. */
static void each_line(void (*check)(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range,
                                    const struct mx_kv_advice_line *line))
{
    struct mx_layer rows[LAYERS];
    for (int rules = MX_RULES_MEASURED; rules <= MX_RULES_CONSERVATIVE; rules++)
        for (int class_ = MX_CLASS_STANDARD; class_ <= MX_CLASS_RECURRENT; class_++)
            for (int type = 0; type < TYPES; type++)
                for (uint32_t head_dim = 8; head_dim <= 600; head_dim += head_dim < 130 ? 1 : 2) {
                    const struct mx_arch arch = plain_arch((enum mx_class)class_, types[type], head_dim, rows, LAYERS);
                    struct mx_kv_advice advice;
                    assert_ok(mx_kv_advise(&advice, &arch, rules ? &careful : &rules_alone, &err));
                    for (int range = 0; range < MX_RANGE_COUNT; range++)
                        check((enum mx_rules)rules, &arch, (enum mx_range)range, &advice.lines[range]);
                }
}

static void check_rule(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range,
                       const struct mx_kv_advice_line *line)
{
    const enum mx_mode wanted = expected(rules, arch->class_, arch->head_dim, range);
    if (line->suggested != wanted)
        fail_msg("%s, head dimension %u, range %d: %s, not %s", arch->model_type, arch->head_dim, range,
                 mx_mode_info(line->suggested)->name, mx_mode_info(wanted)->name);
    assert_int_equal(runs(arch, line->suggested), line->suggested);
    assert_true(line->reason[0] != '\0');
    assert_false(line->from_evidence);
    for (int i = 0; i < line->alternative_count; i++) {
        assert_int_equal(runs(arch, line->alternatives[i]), line->alternatives[i]);
        assert_int_not_equal(line->alternatives[i], line->suggested);
    }
}

static void rules_agree_with_the_resolver(void **state)
{
    each_line(check_rule);
}

/* What the careful rules promise, whatever their table says. */
static void check_careful(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range,
                          const struct mx_kv_advice_line *line)
{
    if (rules != MX_RULES_CONSERVATIVE) return;
    static const enum mx_mode known[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_FP16_TURBO4, MX_MODE_FP16_TURBO3};
    enum mx_mode told[1 + MX_MAX_ALTERNATIVES] = {line->suggested};
    for (int i = 0; i < line->alternative_count; i++) told[1 + i] = line->alternatives[i];
    for (int i = 0; i <= line->alternative_count; i++) {
        bool one_of_them = false;
        for (int k = 0; k < 4; k++) one_of_them |= told[i] == known[k];
        assert_true(one_of_them);
        const bool turbo = told[i] != MX_MODE_FP16 && told[i] != MX_MODE_INT8;
        if (arch->head_dim & (arch->head_dim - 1)) assert_false(turbo);
        if (arch->class_ == MX_CLASS_MLA || arch->class_ == MX_CLASS_RECURRENT) assert_false(turbo);
        assert_int_not_equal(told[i], MX_MODE_TURBO4); /* that takes evidence */
    }
    if (range == MX_RANGE_SHORT) assert_int_equal(line->suggested, MX_MODE_FP16);
}

static void careful_rules_keep_their_promises(void **state)
{
    each_line(check_careful);
}

/* No other mode that runs on this model takes no more bytes, is no slower and loses no more. */
static void check_dominance(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range,
                            const struct mx_kv_advice_line *line)
{
    if (rules != MX_RULES_MEASURED || arch->class_ == MX_CLASS_RECURRENT) return;
    const struct mx_mode_figures own = mx_mode_figures(line->suggested);
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_kv_setup setup;
    options.mode = line->suggested;
    assert_ok(mx_kv_resolve(&setup, &options, arch, &err));
    const uint64_t bytes = mx_cache_bytes(arch, &setup, line->end);
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        if (mode == (int)line->suggested || runs(arch, (enum mx_mode)mode) != (enum mx_mode)mode) continue;
        options.mode = (enum mx_mode)mode;
        assert_ok(mx_kv_resolve(&setup, &options, arch, &err));
        const struct mx_mode_figures other = mx_mode_figures((enum mx_mode)mode);
        if (mx_cache_bytes(arch, &setup, line->end) <= bytes && other.speed >= own.speed && other.loss <= own.loss)
            fail_msg("%s dominates %s (%s, head dimension %u)", mx_mode_info((enum mx_mode)mode)->name,
                     mx_mode_info(line->suggested)->name, arch->model_type, arch->head_dim);
    }
}

static void nothing_dominated_is_suggested(void **state)
{
    each_line(check_dominance);
}

static void alternatives_are_the_table(void **state)
{
    struct mx_layer rows[LAYERS];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    assert_ok(mx_kv_advise(&advice, &arch, &careful, &err));
    assert_int_equal(advice.lines[MX_RANGE_SHORT].alternative_count, 0);
    for (int range = MX_RANGE_MEDIUM; range <= MX_RANGE_LONG; range++) {
        assert_int_equal(advice.lines[range].alternative_count, 2);
        assert_int_equal(advice.lines[range].alternatives[0], MX_MODE_INT8);
        assert_int_equal(advice.lines[range].alternatives[1], MX_MODE_FP16_TURBO3);
    }
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].alternative_count, 1);
    assert_int_equal(advice.lines[MX_RANGE_LONG].alternatives[0], MX_MODE_INT8);
}

/* K and V of different widths, or wider heads in some layers. */
static void uneven_heads(void **state)
{
    struct mx_layer rows[LAYERS];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    rows[5].attention.k_dim = 192;
    assert_ok(mx_kv_advise(&advice, &arch, &careful, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8);
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8_TURBO4);
    rows[5].attention.k_dim = rows[5].attention.v_dim = 600; /* one wide layer takes nothing from the others */
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8_TURBO4);
    for (int i = 0; i < LAYERS; i++) rows[i].attention.k_dim = rows[i].attention.v_dim = 600;
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8);
}

static void ranges_and_savings(void **state)
{
    assert_int_equal(mx_range_of(1), MX_RANGE_SHORT);
    assert_int_equal(mx_range_of(4096), MX_RANGE_SHORT);
    assert_int_equal(mx_range_of(4097), MX_RANGE_MEDIUM);
    assert_int_equal(mx_range_of(32768), MX_RANGE_MEDIUM);
    assert_int_equal(mx_range_of(32769), MX_RANGE_LONG);
    struct mx_layer rows[LAYERS];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 80, rows, LAYERS);
    struct mx_kv_advice advice;
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_SHORT].bytes_saved, 0);
    struct mx_kv_setup plain, coded;
    struct mx_kv_options options = mx_kv_options_default();
    assert_ok(mx_kv_resolve(&plain, &options, &arch, &err));
    options.mode = MX_MODE_INT8_TURBO4;
    assert_ok(mx_kv_resolve(&coded, &options, &arch, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].bytes_saved,
                     mx_cache_bytes(&arch, &plain, 32768) - mx_cache_bytes(&arch, &coded, 32768));
    assert_int_equal(advice.lines[MX_RANGE_LONG].end, 131072);
    arch.max_context = 2048;
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_true(advice.lines[MX_RANGE_SHORT].reachable);
    assert_false(advice.lines[MX_RANGE_MEDIUM].reachable);
    assert_int_equal(advice.lines[MX_RANGE_SHORT].end, 2048);
    assert_int_equal(advice.lines[MX_RANGE_LONG].end, 131072);
    arch.max_context = 65536;
    assert_ok(mx_kv_advise(&advice, &arch, &rules_alone, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].end, 65536);
}

/* Quality (none where kl_ is negative) and speed of a mode with the protections that it runs with on plain_arch. */
static struct mx_evidence_cell cell_of(enum mx_mode mode, uint64_t context, double ratio, double kl)
{
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_kv_setup setup;
    struct mx_layer rows[LAYERS];
    const struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    options.mode = mode;
    options.force = true;
    assert_ok(mx_kv_resolve(&setup, &options, &arch, &err));
    struct mx_evidence_cell cell = {.mode = mode,
                                    .plan = {.recent = setup.recent, .sink = setup.sink},
                                    .context = context,
                                    .decode_ratio = ratio,
                                    .kl = kl,
                                    .top1 = 0.98,
                                    .retrieval = MX_NOT_MEASURED,
                                    .retrieval_fp16 = MX_NOT_MEASURED};
    strcpy(cell.plan.center, mx_center_name(setup.center));
    const struct mx_quality quality = {.measured = kl >= 0, .kl_mean = kl, .top1 = 0.98};
    cell.grade = mx_grade_of(&quality);
    return cell;
}
#define CELL(mode, context, ratio, kl) cell_of(mode, context, ratio, kl)

static struct mx_evidence evidence_of(struct mx_evidence_cell *cells, size_t count)
{
    struct mx_evidence evidence = {
        .file = "a.json",
        .model = {.name = "Demo", .type = "llama", .class_ = "standard", .parameters = 7000000000, .head_dim = 128},
        .machine = "CPU",
        .date = "2026-11-24",
        .cells = cells,
        .cell_count = count};
    return evidence;
}

static void evidence_overrides_rules(void **state)
{
    struct mx_evidence_cell cells[] = {
        CELL(MX_MODE_INT8, 8192, 1.3, 0.0001),           CELL(MX_MODE_INT8_TURBO4, 8192, 1.6, 0.0004),
        CELL(MX_MODE_FP16_TURBO3, 8192, 1.9, 0.5), /* fastest, but failed its gate */
        CELL(MX_MODE_TURBO4, 8192, 1.4, 0.006),    /* failed at this bar */
        CELL(MX_MODE_FP16_TURBO4, 8192, 1.2, 0.002),     CELL(MX_MODE_INT8, 2048, 0.9, 0.0001),
        CELL(MX_MODE_INT8, 65536, 1.7, MX_NOT_MEASURED), /* speed without quality proves nothing */
    };
    struct mx_evidence evidence = evidence_of(cells, sizeof cells / sizeof *cells);
    const struct mx_evidence_set set = {.items = &evidence, .count = 1};
    struct mx_kv_advice_request request = {.evidence = &set, .bar = MX_GRADE_HIGH, .parameters = 8000000000};
    struct mx_layer rows[LAYERS];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_true(advice.lines[MX_RANGE_SHORT].from_evidence);
    assert_int_equal(advice.lines[MX_RANGE_SHORT].suggested, MX_MODE_FP16); /* int8 was slower there */
    const struct mx_kv_advice_line *medium = &advice.lines[MX_RANGE_MEDIUM];
    assert_true(medium->from_evidence);
    assert_int_equal(medium->suggested, MX_MODE_INT8_TURBO4);
    assert_non_null(strstr(medium->reason, "1.60x"));
    assert_non_null(strstr(medium->reason, "Demo (7,000,000,000 parameters), CPU, 2026-11-24"));
    assert_int_equal(medium->alternative_count, 2);
    assert_int_equal(medium->alternatives[0], MX_MODE_INT8);
    assert_int_equal(medium->alternatives[1], MX_MODE_FP16_TURBO4);
    assert_false(advice.lines[MX_RANGE_LONG].from_evidence);
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8_TURBO4);
    request.rules = MX_RULES_CONSERVATIVE; /* knows fewer modes, measured or not */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_INT8);
    request.rules = MX_RULES_MEASURED;

    request.prefer_memory = true; /* the smallest that passed */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_SHORT].suggested, MX_MODE_INT8);
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_INT8_TURBO4);

    request.bar = MX_GRADE_ACCEPTABLE; /* turbo4 passes now */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_TURBO4);
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].cell->grade, MX_GRADE_ACCEPTABLE);
    assert_true(advice.lines[MX_RANGE_MEDIUM].bytes_saved > advice.lines[MX_RANGE_MEDIUM].end * LAYERS * 2 * 128);
    request.bar = MX_GRADE_HIGH;
    cells[1].plan.recent += 16; /* other protections than it runs with say nothing about it */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_INT8);

    cells[1].plan.recent -= 16;
    request.prefer_memory = false; /* a toy's speed at short contexts, where weights decide, is not this model's */
    evidence.model.parameters = 7000000;
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_false(advice.lines[MX_RANGE_SHORT].from_evidence);
    assert_true(advice.lines[MX_RANGE_MEDIUM].from_evidence);
    request.prefer_memory = true; /* its bytes are */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_true(advice.lines[MX_RANGE_SHORT].from_evidence);
    evidence.model.parameters = 7000000000;

    evidence.model.head_dim = 64; /* measured on other heads: the rules again */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_false(advice.lines[MX_RANGE_MEDIUM].from_evidence);
}

static void the_nearest_evidence_speaks(void **state)
{
    struct mx_evidence_cell first[] = {CELL(MX_MODE_INT8, 8192, 1.3, 0.0001)};
    struct mx_evidence_cell second[] = {CELL(MX_MODE_INT8_TURBO4, 8192, 1.1, 0.0001)};
    struct mx_evidence items[] = {evidence_of(first, 1), evidence_of(second, 1)};
    const struct mx_evidence_set set = {.items = items, .count = 2};
    const struct mx_kv_advice_request request = {
        .evidence = &set, .bar = MX_GRADE_HIGH, .parameters = 8000000000, .machine = "Mine"};
    struct mx_layer rows[LAYERS];
    const struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    items[1].model.parameters = 1000000; /* farther from 8e9 than the first */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_INT8);
    strcpy(items[1].machine, "Mine"); /* but measured here */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_MEDIUM].suggested, MX_MODE_INT8_TURBO4);
    first[0].context = second[0].context = 40000;
    strcpy(items[1].machine, "CPU");
    items[1].model.parameters = items[0].model.parameters;
    strcpy(items[1].date, "2027-01-01"); /* newer */
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_int_equal(advice.lines[MX_RANGE_LONG].suggested, MX_MODE_INT8_TURBO4);
    assert_false(advice.lines[MX_RANGE_MEDIUM].from_evidence);
    const struct mx_mode_evidence found = mx_mode_evidence(MX_MODE_INT8, 50000, &arch, &request);
    assert_ptr_equal(found.quality, &first[0]);
    assert_null(mx_mode_evidence(MX_MODE_INT8, 1000, &arch, &request).evidence);
}

/* A checkpoint of few bits quotes what was measured of one, in whatever order the files come. */
static void the_nearer_width_speaks(void **state)
{
    (void)state;
    struct mx_evidence_cell wide[] = {CELL(MX_MODE_INT8, 8192, 1.1, 0.0001)};
    struct mx_evidence_cell narrow[] = {CELL(MX_MODE_INT8_TURBO4, 8192, 1.2, 0.0001)};
    struct mx_layer rows[LAYERS];
    const struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    static const struct {
        const char *weights;
        bool narrow, said; /* whose is nearer; false: as far, and the newer speaks */
    } cases[] = {
        {"4 bits, groups of 32", true, true},
        {"3 bits, groups of 64", true, true},
        {"mxfp4", true, true},
        {"GGUF Q6_K, F32", true, true},
        {"8 bits, groups of 64", false, false},
        {"float16", false, true},
        {"float32", false, true},
        {"16 bits assumed", false, true},
        {"awq (another program's scheme)", true, false},
        {NULL, true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int order = 0; order < 2; order++) {
            struct mx_evidence items[] = {evidence_of(order ? narrow : wide, 1), evidence_of(order ? wide : narrow, 1)};
            const struct mx_evidence_set set = {.items = items, .count = 2};
            const struct mx_kv_advice_request request = {
                .evidence = &set, .bar = MX_GRADE_HIGH, .parameters = 8000000000, .weights = cases[i].weights};
            struct mx_kv_advice advice;
            strcpy(items[order].model.weights, "bfloat16");
            strcpy(items[1 - order].model.weights, "4 bits, groups of 64");
            if (!cases[i].said) strcpy(items[cases[i].narrow ? 1 - order : order].date, "2027-01-01");
            assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
            if (advice.lines[MX_RANGE_MEDIUM].evidence != &items[cases[i].narrow ? 1 - order : order])
                fail_msg("%s, order %d", cases[i].weights ? cases[i].weights : "no word", order);
        }
}

/* The model itself speaks before its family, and the family before other kin, wherever they were measured. */
static void kinship_comes_first(void **state)
{
    (void)state;
    struct mx_evidence_cell own[] = {CELL(MX_MODE_INT8, 8192, 1.1, 0.0001)};
    struct mx_evidence_cell family[] = {CELL(MX_MODE_INT8_TURBO4, 8192, 1.2, 0.0001)};
    struct mx_evidence_cell kin[] = {CELL(MX_MODE_FP16_TURBO4, 8192, 1.3, 0.0001)};
    struct mx_evidence items[] = {evidence_of(kin, 1), evidence_of(family, 1), evidence_of(own, 1)};
    struct mx_evidence_set set = {.items = items, .count = 3};
    const struct mx_kv_advice_request request = {
        .evidence = &set, .bar = MX_GRADE_HIGH, .parameters = 8000000000, .name = "Mine", .machine = "Here"};
    struct mx_layer rows[LAYERS];
    const struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    strcpy(items[0].model.type, "mistral");
    strcpy(items[0].machine, "Here");
    items[0].model.parameters = items[2].model.parameters = 8000000000;
    strcpy(items[2].model.name, "Mine");
    static const enum mx_mode expected[] = {MX_MODE_INT8, MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO4};
    static const enum mx_kin kins[] = {MX_KIN_SELF, MX_KIN_FAMILY, MX_KIN_LIKE};
    for (size_t i = 0; i < 3; i++) {
        set.count = 3 - i; /* the nearest goes */
        assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
        const struct mx_kv_advice_line *line = &advice.lines[MX_RANGE_MEDIUM];
        assert_int_equal(line->suggested, expected[i]);
        assert_int_equal(line->kin, kins[i]);
        assert_int_equal(strstr(line->reason, "a relative") != NULL, kins[i] == MX_KIN_LIKE);
    }
}

static void one_failure_in_a_range_is_a_failure(void **state)
{
    struct mx_evidence_cell cells[] = {CELL(MX_MODE_INT8, 8192, 1.3, 0.5), CELL(MX_MODE_INT8, 16384, 1.3, 0.0001)};
    struct mx_evidence evidence = evidence_of(cells, 2);
    const struct mx_evidence_set set = {.items = &evidence, .count = 1};
    const struct mx_kv_advice_request request = {.evidence = &set, .bar = MX_GRADE_HIGH, .parameters = 8000000000};
    struct mx_layer rows[LAYERS];
    const struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_advice advice;
    assert_ok(mx_kv_advise(&advice, &arch, &request, &err));
    assert_false(advice.lines[MX_RANGE_MEDIUM].from_evidence);
    assert_ptr_equal(mx_mode_evidence(MX_MODE_INT8, 8192, &arch, &request).quality, &cells[0]);
}

/* Symmetric turbo4 runs where the nearest model that was graded in the range passed, protected no better. */
static void evidence_proves_4_bit_keys(void **state)
{
    (void)state;
    struct mx_evidence_cell family[] = {CELL(MX_MODE_TURBO4, 8192, 1.4, 0.002), CELL(MX_MODE_TURBO4, 16384, 1.4, 0.01)};
    struct mx_evidence_cell kin[] = {CELL(MX_MODE_TURBO4, 8192, 1.4, 0.5), CELL(MX_MODE_TURBO4, 2048, 1.4, 0.0001)};
    struct mx_evidence items[] = {evidence_of(kin, 2), evidence_of(family, 2)};
    struct mx_evidence_set set = {.items = items, .count = 2};
    const struct mx_kv_advice_request request = {.evidence = &set, .parameters = 8000000000, .weights = "bf16"};
    struct mx_layer rows[LAYERS];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 128, rows, LAYERS);
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_mode_evidence found;
    strcpy(items[0].model.type, "mistral");
    strcpy(items[0].model.weights, "bf16");
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found), MX_PROOF_PASSED);
    assert_ptr_equal(found.quality, &family[1]); /* the worst of the range */
    assert_int_equal(found.kin, MX_KIN_FAMILY);
    assert_int_equal(mx_turbo4_proof(&options, 4096, &arch, &request, &found), MX_PROOF_PASSED);
    assert_int_equal(found.kin, MX_KIN_LIKE); /* the family was not measured there */
    assert_int_equal(mx_turbo4_proof(&options, 40000, &arch, &request, &found), MX_PROOF_NONE);
    options.recent = 0; /* measured with 64 */
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found), MX_PROOF_NONE);
    options.recent = 256;
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found), MX_PROOF_PASSED);
    snprintf(arch.model_type, sizeof arch.model_type, "qwen2");
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found),
                     MX_PROOF_FAILED); /* like weights first */
    items[0].model.weights[0] = '\0';
    strcpy(items[1].model.weights, "bf16");
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found), MX_PROOF_PASSED);
    arch.head_dim = 64;
    assert_int_equal(mx_turbo4_proof(&options, 8192, &arch, &request, &found), MX_PROOF_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_agree_with_the_resolver),
        cmocka_unit_test(careful_rules_keep_their_promises),
        cmocka_unit_test(nothing_dominated_is_suggested),
        cmocka_unit_test(alternatives_are_the_table),
        cmocka_unit_test(uneven_heads),
        cmocka_unit_test(ranges_and_savings),
        cmocka_unit_test(evidence_overrides_rules),
        cmocka_unit_test(the_nearest_evidence_speaks),
        cmocka_unit_test(the_nearer_width_speaks),
        cmocka_unit_test(kinship_comes_first),
        cmocka_unit_test(one_failure_in_a_range_is_a_failure),
        cmocka_unit_test(evidence_proves_4_bit_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
