/* Records to store and exchange, and a visitor that keeps what it sees. */
#ifndef MX_TESTS_RECORDS_SAMPLES_H
#define MX_TESTS_RECORDS_SAMPLES_H

#include "records/record.h"
#include "support.h"

static inline struct mx_record sample(void)
{
    return (struct mx_record){
        .model = {.name = "tiny",
                  .fingerprint = "00112233aabbccdd",
                  .type = "llama",
                  .class_ = "standard",
                  .weights = "bf16",
                  .parameters = 7000000,
                  .head_dim = 64,
                  .key_bias = true},
        .machine = {.name = "a processor", .fingerprint = "ffeeddcc00000001", .cores = 2, .memory = 1ull << 40},
        .plan = {.name = "turbo4", .recent = 64, .sink = 4, .center = "auto"},
        .context = 4096,
        .batch = 1,
        .text = "fedcba9876543210",
        .measure = MX_MEASURE_KL_MEAN,
        .value = 0.00123456789,
        .error = 0.0001,
        .repeats = 8,
        .version = "0.1.0",
        .date = "2026-11-26",
        .command = "mlxcel eval -m tiny",
    };
}

struct kept {
    struct mx_record items[64];
    size_t count, stop_at; /* stop_at: fail at this record, from 1 */
};

static inline mx_status keep(void *context, const struct mx_record *record, struct mx_error *err)
{
    struct kept *kept = context;
    if (kept->stop_at && kept->count + 1 == kept->stop_at) return mx_fail(err, MX_ERR_INTERRUPTED, "stopped");
    assert_true(kept->count < 64);
    kept->items[kept->count++] = *record;
    return MX_OK;
}

/* All members equal, padding aside. */
static inline void assert_same_record(const struct mx_record *a, const struct mx_record *b)
{
    assert_int_equal(mx_record_compare(a, b), 0);
    assert_string_equal(a->model.name, b->model.name);
    assert_string_equal(a->model.type, b->model.type);
    assert_string_equal(a->model.class_, b->model.class_);
    assert_string_equal(a->model.weights, b->model.weights);
    assert_true(a->model.parameters == b->model.parameters && a->model.head_dim == b->model.head_dim);
    assert_true(a->model.qk_norm == b->model.qk_norm && a->model.key_bias == b->model.key_bias);
    assert_string_equal(a->machine.name, b->machine.name);
    assert_true(a->machine.cores == b->machine.cores && a->machine.memory == b->machine.memory);
    assert_true(a->machine.read_bandwidth == b->machine.read_bandwidth);
    assert_true(a->value == b->value && a->error == b->error && a->repeats == b->repeats);
    assert_string_equal(a->text, b->text);
    assert_string_equal(a->date, b->date);
    assert_string_equal(a->command, b->command);
}

#endif
