/* Evidence files: a round trip, and what is refused. */
#include "records/exchange.h"

#include "samples.h"

static struct mx_error err;

static void round_trip(void **state)
{
    (void)state;
    char path[] = "/tmp/mlxcel-evidence-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    struct mx_record records[5];
    for (size_t i = 0; i < 5; i++) records[i] = sample();
    records[0].measure = MX_MEASURE_KL_AT;
    records[0].at = 2048;
    records[1].measure = MX_MEASURE_KL_AT;
    records[2].context = 512;
    strcpy(records[3].machine.fingerprint, "0123456789abcdef");
    records[3].machine.memory = 25276026880;
    records[4].error = 0;
    assert_ok(mx_exchange_write(path, records, 5, &err));
    struct kept kept = {0};
    assert_ok(mx_exchange_read(path, keep, &kept, &err));
    assert_int_equal(kept.count, 5);
    for (size_t i = 0; i < 5; i++) assert_same_record(&kept.items[i], &records[i]); /* sorted by the write */
    struct kept stopped = {.stop_at = 3};
    assert_fails(mx_exchange_read(path, keep, &stopped, &err), MX_ERR_INTERRUPTED, "stopped");

    struct mx_record bad = sample();
    bad.value = -1;
    assert_fails(mx_exchange_write(path, &bad, 1, &err), MX_ERR_FORMAT, "record 0");
    kept.count = 0;
    assert_ok(mx_exchange_read(path, keep, &kept, &err)); /* the old file is whole */
    assert_int_equal(kept.count, 5);
    unlink(path);
}

#define MODEL                                                                                                          \
    "{\"fingerprint\":\"00112233aabbccdd\",\"name\":\"m\",\"type\":\"llama\",\"class\":\"standard\",\"weights\":"      \
    "\"bf16\"}"
#define MACHINE "{\"fingerprint\":\"ffeeddcc00000001\",\"name\":\"cpu\"}"
#define CELL(figures)                                                                                                  \
    "{\"model\":\"00112233aabbccdd\",\"machine\":\"ffeeddcc00000001\",\"version\":\"1\",\"plan\":\"int8\","            \
    "\"recent\":0,\"sink\":0,\"boundary_v\":0,\"center\":\"off\",\"context\":4096,\"batch\":1,"                        \
    "\"date\":\"2026-11-26\",\"figures\":" figures "}"
#define FILE_OF(cells) "{\"mlxcel_evidence\":2,\"models\":[" MODEL "],\"machines\":[" MACHINE "],\"cells\":[" cells "]}"

static mx_status parse(const char *text, struct kept *kept)
{
    *kept = (struct kept){0};
    return mx_exchange_parse(text, strlen(text), "a.json", keep, kept, &err);
}

static void reads_what_is_least(void **state)
{
    (void)state;
    struct kept kept;
    assert_ok(parse(FILE_OF(CELL("{\"kl_mean\":{\"value\":0.25}}")), &kept));
    assert_int_equal(kept.count, 1);
    assert_true(kept.items[0].value == 0.25 && kept.items[0].error == 0 && kept.items[0].repeats == 0);
    assert_ok(parse(FILE_OF(""), &kept));
    assert_int_equal(kept.count, 0);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mx_status status;
        const char *message;
    } cases[] = {
        {"[]", MX_ERR_FORMAT, "a.json: not an evidence file"},
        {"{\"mlxcel_evidence\":1,\"cells\":[]}", MX_ERR_UNSUPPORTED, "version 1"},
        {"{\"mlxcel_evidence\":3,\"cells\":[]}", MX_ERR_UNSUPPORTED, "version 3"},
        {"{\"mlxcel_evidence\":2}", MX_ERR_FORMAT, "cells"},
        {"{\"mlxcel_evidence\":2,\"cells\":[{}]}", MX_ERR_FORMAT, "cell 0: \"model\""},
        {"{\"mlxcel_evidence\":2,\"cells\":[{\"model\":\"00112233aabbccdd\"}]}", MX_ERR_FORMAT, "none of the file's"},
        {FILE_OF(CELL("{\"kl_mean\":{\"value\":-1}}")), MX_ERR_FORMAT, "kl_mean"},
        {FILE_OF(CELL("{\"kl_mean\":{\"value\":null}}")), MX_ERR_FORMAT, "\"value\" must be a number, not missing"},
        {FILE_OF(CELL("{\"kl_mean\":{\"value\":\"1\"}}")), MX_ERR_FORMAT, "\"value\" must be a number"},
        {FILE_OF(CELL("{\"kl_mean\":[]}")), MX_ERR_FORMAT, "not an object"},
        {FILE_OF(CELL("{\"kl_mean\":{\"value\":1,\"error\":\"x\"}}")), MX_ERR_FORMAT, "error"},
        {FILE_OF(CELL("{\"kl_mean\":{\"value\":1,\"repeats\":1.5}}")), MX_ERR_FORMAT, "repeats"},
        {FILE_OF(CELL("{\"kl_at\":[{\"value\":1}]}")), MX_ERR_FORMAT, "kl_at: \"at\""},
        {FILE_OF(CELL("{\"colour\":{\"value\":1}}")), MX_ERR_UNSUPPORTED, "colour"},
        {FILE_OF(CELL("7")), MX_ERR_FORMAT, "figures"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kept kept;
        assert_fails(parse(cases[i].text, &kept), cases[i].status, cases[i].message);
        assert_int_equal(kept.count, 0);
    }
    struct kept kept; /* a late fault leaves nothing of the file */
    assert_fails(parse(FILE_OF(CELL("{\"kl_mean\":{\"value\":0.25}}") "," CELL("{\"top1\":{\"value\":2}}")), &kept),
                 MX_ERR_FORMAT, "cell 1: top1");
    assert_int_equal(kept.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(reads_what_is_least),
        cmocka_unit_test(refuses_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
