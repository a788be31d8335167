#include "records/grade.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct mx_grade_limits limits[] = {
    [MX_GRADE_NEAR_LOSSLESS] = {"near-lossless", 0.002, 0.001, 0.99, 1,
                                "below what a change of machine or of kernel order moves: nobody can tell"},
    [MX_GRADE_HIGH] = {"high", 0.005, 0.005, 0.965, 1,
                       "below what 8-bit weights cost: for every use that quantized weights are good for"},
    [MX_GRADE_ACCEPTABLE] = {"acceptable", 0.02, 0.02, 0.93, 1,
                             "about what good 4-bit weights cost: where the memory is needed"},
};

static bool within(const struct mx_grade_limits *limit, const struct mx_quality *quality)
{
    if (!(quality->perplexity_change <= limit->perplexity_change) || !(quality->kl_mean <= limit->kl_mean) ||
        !(quality->kl_mean >= 0) || !(quality->top1 >= limit->top1))
        return false;
    if (!quality->retrieved) return true;
    const double lost = (quality->retrieval_fp16 - quality->retrieval) * quality->prompts;
    return lost <= limit->lost_prompts + 1e-6; /* shares of whole prompts, divided and multiplied again */
}

enum mx_grade mx_grade_of(const struct mx_quality *quality)
{
    if (!quality->measured) return MX_GRADE_NONE;
    for (enum mx_grade grade = MX_GRADE_NEAR_LOSSLESS; grade < MX_GRADE_FAILED; grade++)
        if (within(&limits[grade], quality)) return grade;
    return MX_GRADE_FAILED;
}

const char *mx_grade_name(enum mx_grade grade)
{
    return grade < MX_GRADE_FAILED ? limits[grade].name : grade == MX_GRADE_FAILED ? "failed" : "not measured";
}

enum mx_grade mx_grade_find(const char *name)
{
    for (enum mx_grade grade = MX_GRADE_NEAR_LOSSLESS; grade < MX_GRADE_FAILED; grade++)
        if (strcmp(limits[grade].name, name) == 0) return grade;
    return MX_GRADE_NONE;
}

const struct mx_grade_limits *mx_grade_limits(enum mx_grade grade)
{
    return grade < MX_GRADE_FAILED ? &limits[grade] : NULL;
}
