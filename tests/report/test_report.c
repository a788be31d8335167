/* What a report says: each section where it has figures, the same bytes for the same records, and nothing of a record
 * that a page would take for its own. */
#include "base/file.h"
#include "samples.h"

static struct mx_error err;

static struct mx_str write_report(struct samples *samples, enum mx_report_format format)
{
    struct mx_str text = {0};
    assert_ok(mx_report_write(&text, samples->records, samples->count, format, &err));
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) count++;
    return count;
}

static void has_the_sections_that_have_figures(void **state)
{
    (void)state;
    static const struct {
        unsigned section;
        const char *heading;
        size_t plots;
    } sections[] = {
        {SPEED, "Decode speed over context", 1},
        {QUALITY, "Quality against bytes at 4,096 tokens", 2},
        {RETRIEVAL, ">Retrieval<", 1},
        {POSITION, "Divergence by position, 16,384 tokens", 1},
        {DRIFT, "From version to version, 16,384 tokens", 1},
    };
    struct samples samples;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        fill_samples(&samples, sections[i].section);
        struct mx_str alone = write_report(&samples, MX_REPORT_HTML);
        assert_non_null(strstr(mx_str_text(&alone), sections[i].heading));
        assert_int_equal(count_of(mx_str_text(&alone), "<svg"), sections[i].plots);
        mx_str_free(&alone);
        if (sections[i].section == QUALITY) continue; /* drift brings its figures, too */
        fill_samples(&samples, ALL & ~sections[i].section);
        struct mx_str others = write_report(&samples, MX_REPORT_HTML);
        assert_null(strstr(mx_str_text(&others), sections[i].heading));
        mx_str_free(&others);
    }
    samples.count = 0;
    struct mx_str empty = write_report(&samples, MX_REPORT_HTML);
    assert_non_null(strstr(mx_str_text(&empty), "Nothing was measured yet"));
    mx_str_free(&empty);
}

static void is_one_file_without_scripts(void **state)
{
    (void)state;
    struct samples samples;
    fill_samples(&samples, ALL);
    struct mx_str page = write_report(&samples, MX_REPORT_HTML);
    assert_non_null(strstr(mx_str_text(&page), "l5 9h-10z\"/></g>")); /* a mark has one shape */
    assert_null(strstr(mx_str_text(&page), "l5 9h-10z\"/><path"));
    const char *const barred[] = {"<script", "http://", "https://", "url(", "@import", "<model>", "\"more\""};
    for (size_t i = 0; i < sizeof barred / sizeof *barred; i++) assert_null(strstr(mx_str_text(&page), barred[i]));
    assert_non_null(strstr(mx_str_text(&page), "a &lt;model&gt; &amp; &quot;more&quot;"));
    assert_int_equal(count_of(mx_str_text(&page), "<svg"), count_of(mx_str_text(&page), "</svg>"));
    assert_int_equal(count_of(mx_str_text(&page), "<tr>"), count_of(mx_str_text(&page), "</tr>"));
    assert_int_equal(count_of(mx_str_text(&page), "<table>"), count_of(mx_str_text(&page), "</table>"));
    assert_null(strstr(mx_str_text(&page), "nan"));
    assert_null(strstr(mx_str_text(&page), "inf\""));
    assert_non_null(strstr(mx_str_text(&page), ">0.00001</text>")); /* a tick of the divergences' axis */
    mx_str_free(&page);
}

static void gives_the_same_bytes_in_any_order(void **state)
{
    (void)state;
    struct samples samples;
    fill_samples(&samples, ALL & ~DRIFT);
    for (enum mx_report_format format = MX_REPORT_HTML; format <= MX_REPORT_CSV; format++) {
        struct mx_str first = write_report(&samples, format);
        for (size_t i = 0; i < samples.count / 2; i++) {
            const struct mx_record swapped = samples.records[i];
            samples.records[i] = samples.records[samples.count - 1 - i];
            samples.records[samples.count - 1 - i] = swapped;
        }
        struct mx_str second = write_report(&samples, format);
        assert_string_equal(mx_str_text(&first), mx_str_text(&second));
        mx_str_free(&first);
        mx_str_free(&second);
    }
}

static void grades_each_mode(void **state)
{
    (void)state;
    struct samples samples;
    fill_samples(&samples, QUALITY | RETRIEVAL);
    struct mx_str text = write_report(&samples, MX_REPORT_MARKDOWN);
    /* turbo4: a divergence of 0.002 would be high, but it loses half of the prompts */
    const char *row = strstr(mx_str_text(&text), "| turbo4 | 132 ");
    assert_non_null(row);
    assert_memory_equal(strchr(row, '\n') - strlen(" failed |"), " failed |", strlen(" failed |"));
    assert_memory_not_equal(strchr(row, '\n'), "\n|--", 4); /* that stands below the heading alone */
    row = strstr(mx_str_text(&text), "| fp16 | 512 ");
    assert_non_null(row);
    assert_memory_equal(strchr(row, '\n') - strlen(" near-lossless |"), " near-lossless |", strlen(" near-lossless |"));
    mx_str_free(&text);
}

/* More modes than it has room for: the first ones are there, and the rest harms nothing. */
static void leaves_out_modes_that_have_no_room(void **state)
{
    (void)state;
    enum { ROOM = 64 };
    struct samples samples;
    fill_samples(&samples, QUALITY);
    const struct mx_record first = samples.records[0];
    samples.count = 0;
    for (int i = 0; i <= ROOM; i++) {
        struct mx_record record = first;
        snprintf(record.plan.name, sizeof record.plan.name, "mode%02d", i);
        add_sample(&samples, record, MX_MEASURE_KL_MEAN, 0.001);
    }
    struct mx_str text = write_report(&samples, MX_REPORT_MARKDOWN);
    assert_int_equal(count_of(mx_str_text(&text), "| mode"), ROOM + 1); /* and the heading */
    assert_non_null(strstr(mx_str_text(&text), "| mode63 |"));
    assert_null(strstr(mx_str_text(&text), "| mode64 |"));
    mx_str_free(&text);
}

static void lists_each_record_as_csv(void **state)
{
    (void)state;
    struct samples samples;
    fill_samples(&samples, SPEED);
    struct mx_str text = write_report(&samples, MX_REPORT_CSV);
    assert_int_equal(count_of(mx_str_text(&text), "\r\n"), samples.count + 1);
    assert_non_null(strstr(mx_str_text(&text), ",decode_ratio,0,1.3"));
    assert_non_null(strstr(mx_str_text(&text), ",\"a <model> & \"\"more\"\"\","));
    mx_str_free(&text);
}

static void says_when_memory_ran_out(void **state)
{
    (void)state;
    struct samples samples;
    fill_samples(&samples, SPEED);
    for (int format = MX_REPORT_HTML; format <= MX_REPORT_CSV; format++) {
        struct mx_str text = {.failed = true};
        assert_fails(mx_report_write(&text, samples.records, samples.count, (enum mx_report_format)format, &err),
                     MX_ERR_MEMORY, "a report");
        mx_str_free(&text);
    }
}

/* What a page looks like, in tests/data/report: where each mark and cell stands, too. After a change that is meant:
 * test_report --update, and look at page.html. */
static bool updating;

static void looks_as_it_did(void **state)
{
    (void)state;
    static const char *const files[] = {
        [MX_REPORT_HTML] = "tests/data/report/page.html",
        [MX_REPORT_MARKDOWN] = "tests/data/report/page.md",
    };
    struct samples samples;
    fill_samples(&samples, ALL);
    for (enum mx_report_format format = MX_REPORT_HTML; format <= MX_REPORT_MARKDOWN; format++) {
        struct mx_str text = write_report(&samples, format);
        char *expected;
        size_t length;
        if (updating) assert_ok(mx_file_write(files[format], text.data, text.length, &err));
        assert_ok(mx_file_read(files[format], 1 << 20, &expected, &length, &err));
        assert_string_equal(mx_str_text(&text), expected);
        free(expected);
        mx_str_free(&text);
    }
}

int main(int argc, char **argv)
{
    updating = argc > 1 && strcmp(argv[1], "--update") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_sections_that_have_figures), cmocka_unit_test(is_one_file_without_scripts),
        cmocka_unit_test(gives_the_same_bytes_in_any_order),  cmocka_unit_test(grades_each_mode),
        cmocka_unit_test(leaves_out_modes_that_have_no_room), cmocka_unit_test(lists_each_record_as_csv),
        cmocka_unit_test(says_when_memory_ran_out),           cmocka_unit_test(looks_as_it_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
