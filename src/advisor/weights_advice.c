/* Candidates, the choice among them, and what to warn about. */
#include "advisor/weights_advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cache/size.h"

enum { GROUP = 64, BEST_UNQUESTIONED = 4 }; /* below 4 bits the loss is plain to see: never the first advice */

static const int widths[] = {8, 6, 5, 4, 3, 2};

double mx_decode_weight_bytes(const struct mx_subject *subject, double parameter_bytes)
{
    const bool counted = subject->parameters.complete && subject->parameters.read > 0;
    return (double)(counted ? subject->parameters.read : subject->count) * parameter_bytes;
}

static int stored_bits(const struct mx_subject *subject)
{
    if (subject->quant_kind != MX_QUANT_NONE && subject->quant.bits > 0) return subject->quant.bits;
    if (subject->quant_kind != MX_QUANT_NONE) /* a scheme that doesn't say: what the bytes tell */
        return subject->parameter_bytes > 0 ? (int)ceil(8 * subject->parameter_bytes) : 16;
    if (!strcmp(subject->dtype, "float32")) return 32;
    if (!strncmp(subject->dtype, "float8", 6)) return 8;
    return 16;
}

static mx_status add(struct mx_weights_advice *advice, const struct mx_subject *subject,
                     const struct mx_weights_request *request, const char *name, int bits, double parameter_bytes,
                     struct mx_error *err)
{
    struct mx_weight_candidate *one = &advice->candidates[advice->count++];
    *one = (struct mx_weight_candidate){.bits = bits};
    snprintf(one->name, sizeof one->name, "%s", name);
    const bool as_is = !strcmp(name, "as-is");
    one->exact = as_is && subject->basis == MX_BASIS_EXACT;
    one->bytes = as_is ? subject->weights : (uint64_t)((double)subject->count * parameter_bytes);
    one->needs_original = !as_is && bits > stored_bits(subject);
    struct mx_estimate estimate;
    MX_TRY(mx_estimate_with(&estimate, subject, one->bytes, &request->estimate, err));
    one->total = estimate.total;
    one->fits = estimate.fits;
    one->roomy = estimate.fits == MX_FIT_YES && estimate.spare >= estimate.available / 100 * MX_HEADROOM;
    if (request->bandwidth > 0 && one->bytes) {
        const double weights = mx_decode_weight_bytes(subject, parameter_bytes);
        const double cache = (double)estimate.cache / request->estimate.batch;
        one->bound = request->bandwidth / weights;
        one->bound_far = request->bandwidth / (weights + cache);
    }
    return MX_OK;
}

/* The 16-bit format that loses nothing of this checkpoint's range: bf16, unless it is fp16 already. */
static const char *half_name(const struct mx_subject *subject)
{
    return !strcmp(subject->dtype, "float16") ? "fp16" : "bf16";
}

static void warn(struct mx_weights_advice *advice, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct mx_weights_advice *advice, const char *format, ...)
{
    if (advice->warning_count == MX_MAX_WARNINGS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(advice->warnings[advice->warning_count++], sizeof advice->warnings[0], format, arguments);
    va_end(arguments);
}

/* What the processor lacks for the dtype that the products would read. */
static void warn_of_machine(struct mx_weights_advice *advice, const struct mx_subject *subject,
                            const struct mx_machine *machine)
{
    const bool vectors = machine->isa & (MX_ISA_AVX2 | MX_ISA_NEON);
    const bool half = !strcmp(subject->dtype, "float16"), brain = !strcmp(subject->dtype, "bfloat16");
    if (!vectors) {
        warn(advice, "this CPU has no AVX2: every format runs on the portable path, far below the bounds given");
        return;
    }
    if (half && !(machine->isa & (MX_ISA_F16C | MX_ISA_NEON)))
        warn(advice, "this CPU has no F16C: fp16 numbers are widened one by one; 8 bits will be faster than fp16");
    if (brain && subject->quant_kind == MX_QUANT_NONE && !(machine->isa & (MX_ISA_AVX512_BF16 | MX_ISA_AMX)))
        warn(advice, "this CPU multiplies no bf16: it is widened to f32, so a prefill runs at f32 speed (decoding, "
                     "bound by memory, is not slower); it is never turned into fp16");
    if (subject->quant_kind == MX_QUANT_MLX && !(machine->isa & (MX_ISA_AVX512_VNNI | MX_ISA_DOTPROD)))
        warn(advice, "this CPU has no VNNI: quantized products take several instructions for one, and a prefill is "
                     "slower than on one that has");
}

static void warn_of_checkpoint(struct mx_weights_advice *advice, const struct mx_subject *subject)
{
    if (subject->foreign)
        warn(advice,
             "the weights are in another program's format (%s), which this one does not run: take the original or an "
             "MLX checkpoint",
             subject->quant_method);
    else if (subject->quant_kind != MX_QUANT_FOREIGN && !strncmp(subject->dtype, "float8", 6))
        warn(advice, "no fast path for 8-bit floats: take a bf16 or an MLX checkpoint");
}

/* The widest candidate with headroom that can be made from this checkpoint, but at least BEST_UNQUESTIONED bits; else
 * the widest that fits at all; never another program's format. -1: none. */
static int widest(const struct mx_weights_advice *advice, const struct mx_subject *subject)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < advice->count; i++) {
            const struct mx_weight_candidate *one = &advice->candidates[i];
            if (one->needs_original || (i == 0 && subject->foreign)) continue;
            const bool good = one->roomy && one->bits >= BEST_UNQUESTIONED;
            if (good || (pass == 1 && one->fits == MX_FIT_YES)) return i;
        }
    return -1;
}

static const struct mx_weight_candidate *find_bits(const struct mx_weights_advice *advice, int bits)
{
    for (int i = 1; i < advice->count; i++)
        if (advice->candidates[i].bits == bits) return &advice->candidates[i];
    return NULL;
}

/* What stands after the choice: that 8 bits would be twice as fast, or that a wider original would fit as well. */
static void add_hint(struct mx_weights_advice *advice, const struct mx_weight_candidate *best)
{
    const struct mx_weight_candidate *eight = find_bits(advice, 8);
    char *end = advice->reason + strlen(advice->reason);
    const size_t room = sizeof advice->reason - strlen(advice->reason);
    if (best->bits >= 16 && eight && eight->bound > 1.2 * best->bound)
        snprintf(end, room, "; 8 bits would allow %.1fx the decode speed at a loss that is hard to measure",
                 eight->bound / best->bound);
    for (int i = 0; i < advice->count; i++) {
        const struct mx_weight_candidate *one = &advice->candidates[i];
        if (!one->needs_original || !one->roomy) continue;
        snprintf(end, room, "; the original in %s would fit too, if you have it", one->name);
        return;
    }
}

static void choose(struct mx_weights_advice *advice, const struct mx_subject *subject,
                   const struct mx_weights_request *request)
{
    char need[16], have[16], text[32];
    const struct mx_estimate_request *asked = &request->estimate;
    const char *context = mx_format_count(asked->context, text);
    advice->recommended = -1;
    if (subject->basis == MX_BASIS_UNKNOWN) {
        snprintf(advice->reason, sizeof advice->reason, "the size of the weights is unknown (%s)",
                 subject->weights_from);
        return;
    }
    if (asked->available == 0) {
        snprintf(advice->reason, sizeof advice->reason,
                 "the memory of this machine is unknown; say what memory to plan for");
        return;
    }
    mx_format_bytes(asked->available, have);
    const int best = widest(advice, subject);
    if (best < 0) {
        const struct mx_weight_candidate *least = &advice->candidates[advice->count - 1];
        if (least->needs_original) least = &advice->candidates[0];
        snprintf(advice->reason, sizeof advice->reason,
                 "nothing fits: even %s needs %s with %s tokens, and %s is available", least->name,
                 mx_format_bytes(least->total, need), context, have);
        return;
    }
    const struct mx_weight_candidate *chosen = &advice->candidates[best];
    advice->recommended = best;
    snprintf(advice->reason, sizeof advice->reason, "%s: with %s tokens %s of %s%s",
             best == 0 ? "the checkpoint fits as it is" : "the widest that fits", context,
             mx_format_bytes(chosen->total, need), have, chosen->roomy ? "" : ", and little to spare");
    add_hint(advice, chosen);
}

mx_status mx_weights_advise(struct mx_weights_advice *advice, const struct mx_subject *subject,
                            const struct mx_weights_request *request, struct mx_error *err)
{
    *advice = (struct mx_weights_advice){.recommended = -1};
    MX_TRY(add(advice, subject, request, "as-is", stored_bits(subject), subject->parameter_bytes, err));
    MX_TRY(add(advice, subject, request, half_name(subject), 16, 2, err));
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d-bit", widths[i]);
        const struct mx_quant quant = {.mode = MX_QUANT_AFFINE, .bits = widths[i], .group = GROUP};
        MX_TRY(add(advice, subject, request, name, widths[i], mx_quant_parameter_bytes(&quant), err));
    }
    choose(advice, subject, request);
    if (request->machine) warn_of_machine(advice, subject, request->machine);
    warn_of_checkpoint(advice, subject);
    return MX_OK;
}
