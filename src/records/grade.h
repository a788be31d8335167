/* Grades: how close a cache plan stays to fp16, from its records at one context. The limits are data (grade.c). */
#ifndef MX_RECORDS_GRADE_H
#define MX_RECORDS_GRADE_H

#include <stdbool.h>
#include <stdint.h>

enum mx_grade {
    MX_GRADE_NEAR_LOSSLESS,
    MX_GRADE_HIGH,
    MX_GRADE_ACCEPTABLE,
    MX_GRADE_FAILED,
    MX_GRADE_NONE, /* a figure that a grade needs was not measured */
};

/* What a grade looks at. A figure that was measured and is not a number fails. */
struct mx_quality {
    bool measured;                    /* the three below */
    double perplexity_change;         /* over fp16's, minus 1 */
    double kl_mean;                   /* nats */
    double top1;                      /* 0 to 1 */
    bool retrieved;                   /* the three below; without them the grade rests on the others */
    double retrieval, retrieval_fp16; /* shares of the same prompts */
    uint32_t prompts;
};

/* The best grade whose every limit holds. */
enum mx_grade mx_grade_of(const struct mx_quality *quality);

/* "near-lossless", "high", "acceptable", "failed", "not measured". */
const char *mx_grade_name(enum mx_grade grade);
/* The first three by name; MX_GRADE_NONE for any other text. */
enum mx_grade mx_grade_find(const char *name);

/* A grade's limits, for tables in help and documents; NULL for FAILED and NONE. */
struct mx_grade_limits {
    const char *name;
    double perplexity_change, kl_mean; /* at most */
    double top1;                       /* at least */
    double lost_prompts;               /* retrieval prompts that fp16 answers and the plan doesn't, at most */
    const char *reason;
};
const struct mx_grade_limits *mx_grade_limits(enum mx_grade grade);

#endif
