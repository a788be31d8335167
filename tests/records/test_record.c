/* What a record may say. */
#include "samples.h"

#include <math.h>

static struct mx_error err;

static void accepts_whole_records(void **state)
{
    (void)state;
    struct mx_record record = sample();
    assert_ok(mx_record_check(&record, &err));
    record.measure = MX_MEASURE_KL_AT;
    record.at = 2048;
    assert_ok(mx_record_check(&record, &err));
    strcpy(record.machine.name, "Gr\xc3\xb6\xc3\x9f"
                                "e \xe2\x82\xac\xf0\x9f\x98\x80"); /* of 2, 3 and 4 bytes */
    assert_ok(mx_record_check(&record, &err));
}

static void refuses_what_is_no_figure(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY, -0.5};
    for (size_t i = 0; i < 4; i++) {
        struct mx_record record = sample();
        record.value = bad[i];
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "kl_mean");
        record = sample();
        record.error = bad[i];
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "error of");
    }
    struct mx_record record = sample();
    record.measure = MX_MEASURE_TOP1;
    record.value = 1;
    assert_ok(mx_record_check(&record, &err));
    record.value = 1.001;
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "from 0 to 1");
    record = sample();
    record.at = 5;
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "no positions");
    record = sample();
    record.measure = MX_MEASURE_COUNT;
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "unknown");
}

static void refuses_bad_fingerprints(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdeg",
                                      "0123456789abcde "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mx_record record = sample();
        strcpy(record.model.fingerprint, bad[i]);
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "16 hexadecimal digits");
        record = sample();
        strcpy(record.machine.fingerprint, bad[i]);
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "16 hexadecimal digits");
    }
}

static void refuses_bad_texts(void **state)
{
    (void)state;
    struct mx_record record;
    const struct {
        char *text;
        const char *member;
    } needed[] = {{record.model.name, "model.name"},     {record.model.type, "model.type"},
                  {record.model.class_, "model.class"},  {record.model.weights, "model.weights"},
                  {record.machine.name, "machine.name"}, {record.plan.name, "plan"},
                  {record.plan.center, "center"},        {record.version, "version"}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        record = sample();
        needed[i].text[0] = '\0';
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, needed[i].member);
    }
    record = sample();
    memcpy(record.plan.name, "a\x1b[2J", 6);
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "control");
    record = sample();
    memcpy(record.machine.name, "\xff\xfe", 3);
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "UTF-8");
    record = sample();
    memset(record.version, 'x', sizeof record.version);
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "longer");
    record = sample();
    record.command[0] = '\0'; /* not needed */
    assert_ok(mx_record_check(&record, &err));
    record.model.fingerprint[3] = 'G';
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "hexadecimal");
    const char *const dates[] = {"2026-13-01", "2026-00-01", "2026-01-32", "2026-1-01", "26-11-2026", ""};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        record = sample();
        snprintf(record.date, sizeof record.date, "%s", dates[i]);
        assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "date");
    }
    record = sample();
    record.context = 0;
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "context");
    record = sample();
    record.batch = 0;
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "batch");
}

static void each_measure_is_found_by_its_name(void **state)
{
    (void)state;
    for (enum mx_measure measure = 0; measure < MX_MEASURE_COUNT; measure++) {
        const struct mx_measure_info *info = mx_measure_info(measure);
        assert_non_null(info->name);
        assert_non_null(info->unit);
        assert_true(info->low < info->high);
        assert_int_equal(mx_measure_find(info->name), measure);
    }
    assert_int_equal(mx_measure_find("no such"), MX_MEASURE_COUNT);
}

static void names_texts_by_their_tokens(void **state)
{
    (void)state;
    const int32_t tokens[3] = {1, 2, 3};
    char whole[17], part[17];
    mx_record_text(whole, tokens, 3);
    mx_record_text(part, tokens, 2);
    assert_string_not_equal(whole, part);
    struct mx_record record = sample();
    memcpy(record.text, whole, sizeof whole);
    assert_ok(mx_record_check(&record, &err));
    record.text[0] = 'g';
    assert_fails(mx_record_check(&record, &err), MX_ERR_FORMAT, "text");
    record.text[0] = '\0';
    assert_ok(mx_record_check(&record, &err));
}

static void compares_by_what_was_measured(void **state)
{
    (void)state;
    const struct mx_record record = sample();
    struct mx_record other = record;
    other.value = 5;
    other.error = 1;
    snprintf(other.date, sizeof other.date, "2027-01-01");
    assert_int_equal(mx_record_compare(&record, &other), 0);
    struct mx_record variants[10];
    for (size_t i = 0; i < 10; i++) variants[i] = record;
    variants[0].context++;
    variants[1].batch++;
    variants[2].plan.recent++;
    variants[3].plan.sink++;
    variants[4].plan.boundary_v++;
    variants[5].measure = MX_MEASURE_TOP1;
    variants[6].at++;
    variants[7].version[0] = '1';
    variants[8].plan.name[0] = 'x';
    variants[9].text[15]++; /* another text is another measurement */
    for (size_t i = 0; i < 10; i++) {
        assert_true(mx_record_compare(&record, &variants[i]) < 0);
        assert_true(mx_record_compare(&variants[i], &record) > 0);
    }
}

static void the_newest_of_the_same_figure_is_kept(void **state)
{
    (void)state;
    enum { COUNT = 6 };
    struct mx_record records[COUNT];
    size_t count = COUNT;
    for (size_t i = 0; i < COUNT; i++) {
        records[i] = sample();
        records[i].value = (double)i;
    }
    records[0].context = records[3].context = 8192; /* of one day: the later one */
    snprintf(records[2].date, sizeof records[2].date, "2026-12-01");
    records[4].measure = MX_MEASURE_TOP1; /* alone */
    records[4].value = 0.5;
    assert_ok(mx_record_merge(records, &count, &err));
    assert_int_equal(count, 3);
    assert_true(records[0].value == 2 && records[1].value == 3 && records[2].measure == MX_MEASURE_TOP1);
    assert_int_equal(records[1].context, 8192);
    assert_ok(mx_record_merge(records, &count, &err));
    assert_int_equal(count, 3);
    count = 0;
    assert_ok(mx_record_merge(NULL, &count, &err));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_whole_records),
        cmocka_unit_test(refuses_what_is_no_figure),
        cmocka_unit_test(refuses_bad_texts),
        cmocka_unit_test(refuses_bad_fingerprints),
        cmocka_unit_test(each_measure_is_found_by_its_name),
        cmocka_unit_test(names_texts_by_their_tokens),
        cmocka_unit_test(compares_by_what_was_measured),
        cmocka_unit_test(the_newest_of_the_same_figure_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
