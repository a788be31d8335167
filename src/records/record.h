/* A measurement, the one noun of everything that is measured: a figure of one model, stored in one way, run through
 * one cache plan at one context on one machine by one version of the program.
 *
 * Benchmarks, evaluations and sweeps write records; reports and the advisor query them. The store is a database
 * (store.h), what is shipped and exchanged is JSON (exchange.h); both accept only what mx_record_check accepts. Each
 * figure has one unit everywhere: the table of measures below.
 */
#ifndef MX_RECORDS_RECORD_H
#define MX_RECORDS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What was measured. Qualities are of a cache plan against the same model's fp16 cache on the same tokens. */
enum mx_measure {
    MX_MEASURE_DECODE,            /* tokens per second of one sequence, or of all of a batch together */
    MX_MEASURE_PREFILL,           /* tokens per second */
    MX_MEASURE_DECODE_RATIO,      /* decode speed over fp16's in the same run */
    MX_MEASURE_PREFILL_RATIO,     /* prefill speed over fp16's in the same run */
    MX_MEASURE_FLOOR_SHARE,       /* decode speed over what the memory's bandwidth allows */
    MX_MEASURE_CACHE_BYTES,       /* that one sequence's cache takes at the context */
    MX_MEASURE_BYTES_PER_TOKEN,   /* that one more token adds to it */
    MX_MEASURE_RESIDENT,          /* peak resident memory of the process, bytes */
    MX_MEASURE_PERPLEXITY,        /* exp of the mean negative log-likelihood */
    MX_MEASURE_PERPLEXITY_CHANGE, /* over fp16's, minus 1 */
    MX_MEASURE_KL_MEAN,           /* mean KL divergence from fp16, nats */
    MX_MEASURE_KL_P99,            /* its 99th and 99.9th percentile */
    MX_MEASURE_KL_P999,
    MX_MEASURE_KL_AT,          /* its mean over a stretch of positions that begins at `at` */
    MX_MEASURE_TOP1,           /* share of positions with the same likeliest token */
    MX_MEASURE_WORST_CHANGE,   /* the largest change of the right token's probability */
    MX_MEASURE_GREEDY_SAME,    /* share of prompts whose greedy continuation never parts from fp16's */
    MX_MEASURE_GREEDY_LENGTH,  /* tokens until the two part, mean */
    MX_MEASURE_RETRIEVAL,      /* share of hidden keys that are found again */
    MX_MEASURE_RETRIEVAL_AT,   /* the same for keys hidden at `at` per cent of the context */
    MX_MEASURE_RETRIEVAL_FP16, /* the share that fp16 finds, of the same prompts */
    MX_MEASURE_COUNT,
};

struct mx_measure_info {
    const char *name; /* as the store, JSON and reports call it: "kl_mean" */
    const char *unit; /* "nat", "1", "tok/s", "B", "tok" */
    double low, high; /* what is possible; nothing else is recorded */
    bool positioned;  /* one figure for each `at` */
};
const struct mx_measure_info *mx_measure_info(enum mx_measure measure);

/* MX_MEASURE_COUNT if there is none of this name. */
enum mx_measure mx_measure_find(const char *name);

/* The model that was measured, and what its kin is known by. */
struct mx_record_model {
    char name[96];        /* for people: the folder's name */
    char fingerprint[17]; /* of the checkpoint, 16 hex digits */
    char type[64];        /* model_type */
    char class_[24];      /* "standard", "sliding_window", ... */
    char weights[48];     /* how they are stored: "bf16", "4 bits, groups of 64" */
    uint64_t parameters;
    uint32_t head_dim;
    bool qk_norm, key_bias;
};

struct mx_record_machine {
    char name[96];        /* the processor */
    char fingerprint[17]; /* of what tells machines apart whose figures must not be mixed up */
    uint32_t cores;
    uint64_t memory;         /* bytes */
    uint64_t read_bandwidth; /* bytes per second; 0: not measured */
};

/* How the cache stores keys and values. */
struct mx_record_plan {
    char name[96]; /* a mode, or "plan:" and the plan file's fingerprint */
    uint32_t recent, sink, boundary_v;
    char center[8]; /* "off", "on", "auto" */
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): members stand in the order of what they say
struct mx_record {
    struct mx_record_model model;
    struct mx_record_machine machine;
    struct mx_record_plan plan;
    uint64_t context; /* tokens */
    uint32_t batch;   /* sequences at once, 1 as a rule */
    char text[17];    /* of the tokens that were read, 16 hex digits; empty where no text decides the figure */
    enum mx_measure measure;
    uint32_t at;      /* of a positioned measure, else 0 */
    double value;     /* in the measure's unit */
    double error;     /* standard error, or half the spread of the repeats; 0: unknown */
    uint32_t repeats; /* runs, windows or prompts that the value is of */
    char version[24]; /* of the program */
    char date[11];    /* "2026-11-26" */
    char command[256];
};

/* A text's identity as records name it: of `count` token ids, into text. */
void mx_record_text(char text[17], const int32_t *tokens, size_t count);

/* Fails with MX_ERR_FORMAT, naming the member, where a record is not whole: a name is empty or not UTF-8, a figure is
 * no number or out of its measure's range, a date is none. */
mx_status mx_record_check(const struct mx_record *record, struct mx_error *err);

/* 0 where two records are the same figure of the same thing by the same version, so that the later one replaces the
 * earlier; else their order. Both must have passed mx_record_check. */
int mx_record_compare(const struct mx_record *a, const struct mx_record *b);

/* Sorts by mx_record_compare, in place. */
void mx_record_sort(struct mx_record *records, size_t count);

/* Keeps one of the records that mx_record_compare calls the same: the newest by date, of one day the last. Those that
 * are kept move to the front, in their order; *count is how many. */
mx_status mx_record_merge(struct mx_record *records, size_t *count, struct mx_error *err);

/* Called once per record, which is valid during the call; anything but MX_OK ends the walk and is its result. */
typedef mx_status mx_record_visitor(void *context, const struct mx_record *record, struct mx_error *err);

#endif
