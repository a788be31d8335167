/* Made-up measurements that fill each section of a report, or only some of them. */
#ifndef MX_TESTS_REPORT_SAMPLES_H
#define MX_TESTS_REPORT_SAMPLES_H

#include "report/report.h"
#include "support.h"

enum { SPEED = 1, QUALITY = 2, RETRIEVAL = 4, POSITION = 8, DRIFT = 16, ALL = 31, MOST_RECORDS = 512 };

struct samples {
    struct mx_record records[MOST_RECORDS];
    size_t count;
};

static inline void add_sample(struct samples *samples, struct mx_record record, enum mx_measure measure, double value)
{
    assert_true(samples->count < MOST_RECORDS);
    record.measure = measure;
    record.value = value;
    samples->records[samples->count++] = record;
}

static inline void fill_samples(struct samples *samples, unsigned sections)
{
    static const struct {
        const char *name;
        double bytes, kl, ratio;
    } modes[] = {{"fp16", 512, 0, 1}, {"int8", 260, 0.00002, 1.3}, {"turbo4", 132, 0.002, 2.4}};
    samples->count = 0;
    for (int m = 0; m < 3; m++) {
        for (uint64_t context = 4096; context <= 16384; context *= 4) {
            struct mx_record record = {
                .model = {"a <model> & \"more\"", "00112233aabbccdd", "llama", "standard", "bf16"},
                .machine = {"cpu", "ffeeddcc00000001", 2, 1 << 30},
                .context = context,
                .batch = 1,
                .repeats = 8,
                .version = "0.1.0",
                .date = "2026-11-26"};
            snprintf(record.plan.name, sizeof record.plan.name, "%s", modes[m].name);
            snprintf(record.plan.center, sizeof record.plan.center, "off");
            if (sections & SPEED) add_sample(samples, record, MX_MEASURE_DECODE_RATIO, modes[m].ratio);
            if (sections & QUALITY) {
                add_sample(samples, record, MX_MEASURE_KL_MEAN, modes[m].kl);
                add_sample(samples, record, MX_MEASURE_TOP1, 1 - modes[m].kl);
                add_sample(samples, record, MX_MEASURE_PERPLEXITY_CHANGE, modes[m].kl);
                add_sample(samples, record, MX_MEASURE_BYTES_PER_TOKEN, modes[m].bytes);
            }
            if (sections & RETRIEVAL) {
                add_sample(samples, record, MX_MEASURE_RETRIEVAL, 1 - 0.25 * m);
                add_sample(samples, record, MX_MEASURE_RETRIEVAL_FP16, 1);
            }
            for (int version = 1; sections & DRIFT && version <= 3; version++) {
                snprintf(record.version, sizeof record.version, "0.%d.0", version);
                add_sample(samples, record, MX_MEASURE_KL_MEAN, modes[m].kl / version);
            }
            /* the second half's stretches alone: the plot begins at 0 all the same */
            for (record.at = context / 2; sections & POSITION && record.at < context; record.at += context / 8)
                add_sample(samples, record, MX_MEASURE_KL_AT, modes[m].kl * (1 + record.at / 4096.0));
        }
    }
}

#endif
