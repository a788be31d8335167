/* advisor/evidence: reading files, what they cover, verdicts, and what makes a file bad. */
#include "advisor/evidence.h"

#include "models.h"

#include "base/file.h"

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-evidence-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(mx_file_write(path, text, strlen(text), &err));
}

static void clear(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -f '%s'/*", folder);
    assert_int_equal(system(command), 0);
}

#define HEAD                                                                                                           \
    "{\"mlxcel_evidence\": 1, \"model\": {\"name\": \"Demo 1B\", \"parameters\": 1000000000}, "                        \
    "\"machine\": {\"cpu\": \"Some CPU\"}, \"date\": \"2026-11-24\", \"commands\": [\"mlxcel bench -m demo\"], "
#define COVERS "\"covers\": {\"model_type\": \"llama\", \"head_dim\": 64, \"parameters_from\": 500000000}, "
#define GATE "\"gate\": {\"kl_mean\": 0.01, \"top1\": 0.97}, "
#define CELLS                                                                                                          \
    "\"cells\": [{\"mode\": \"int8\", \"context\": 8192, \"decode_ratio\": 1.3, \"kl_mean\": 0.0002, "                 \
    "\"top1\": 0.99, \"perplexity_change\": -0.001}, {\"mode\": \"turbo4-asym\", \"context\": 2048, "                  \
    "\"kl_mean\": 0.02}, {\"mode\": \"int8\", \"context\": 2048, \"decode_ratio\": 1.1, \"kl_mean\": null}]}"

static void a_good_file(void **state)
{
    struct mx_evidence_set set;
    clear();
    assert_ok(mx_evidence_open(&set, folder, &err));
    assert_int_equal(set.count, 0);
    mx_evidence_close(&set);
    put("demo.json", HEAD COVERS GATE CELLS);
    put("notes.txt", "not read");
    assert_ok(mx_evidence_open(&set, folder, &err));
    assert_int_equal(set.count, 1);
    const struct mx_evidence *evidence = &set.items[0];
    assert_string_equal(evidence->file, "demo.json");
    assert_string_equal(evidence->model, "Demo 1B");
    assert_string_equal(evidence->machine, "Some CPU");
    assert_int_equal(evidence->cell_count, 3);
    assert_int_equal(evidence->cells[1].mode, MX_MODE_FP16_TURBO4); /* an alias */
    assert_int_equal(mx_evidence_verdict(evidence, &evidence->cells[0]), MX_VERDICT_PASSED);
    assert_int_equal(mx_evidence_verdict(evidence, &evidence->cells[1]), MX_VERDICT_FAILED);
    assert_int_equal(mx_evidence_verdict(evidence, &evidence->cells[2]), MX_VERDICT_NONE);

    struct mx_layer rows[4];
    struct mx_arch arch = plain_arch(MX_CLASS_STANDARD, "llama", 64, rows, 4);
    assert_true(mx_evidence_covers(evidence, &arch, 1000000000));
    assert_false(mx_evidence_covers(evidence, &arch, 1000000)); /* a toy is not a 1B model */
    arch.head_dim = 128;
    assert_false(mx_evidence_covers(evidence, &arch, 1000000000));
    arch = plain_arch(MX_CLASS_STANDARD, "qwen3", 64, rows, 4);
    assert_false(mx_evidence_covers(evidence, &arch, 1000000000));
    mx_evidence_close(&set);
}

static void bad_files_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{", "bad.json"},
        {"[]", "not an evidence file"},
        {"{\"mlxcel_evidence\": 2}", "version 2"},
        {"{\"mlxcel_evidence\": 1}", "\"name\" must be a text"},
        {HEAD GATE CELLS, "\"covers\" must be an object"},
        {HEAD COVERS CELLS, "\"gate\" must bound"},
        {HEAD COVERS GATE "\"cells\": 3}", "\"cells\" must be a list"},
        {HEAD COVERS GATE "\"cells\": [{\"mode\": \"q8_0\", \"context\": 1}]}", "cell 0: \"q8_0\" is not"},
        {HEAD COVERS GATE "\"cells\": [{\"mode\": \"int8\"}]}", "cell 0: \"context\""},
        {HEAD COVERS GATE "\"cells\": [{\"mode\": \"int8\", \"context\": 1, \"top1\": 99}]}", "\"top1\" must be"},
        {HEAD COVERS GATE "\"cells\": [{\"mode\": \"int8\", \"context\": 1, \"kl_mean\": -1}]}", "\"kl_mean\" must be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_evidence_set set;
        clear();
        put("a-good.json", HEAD COVERS GATE CELLS);
        put("bad.json", cases[i].text);
        err.message[0] = '\0';
        assert_int_not_equal(mx_evidence_open(&set, folder, &err), MX_OK);
        if (!strstr(err.message, cases[i].says) || !strstr(err.message, "bad.json")) fail_msg("%s", err.message);
        assert_null(set.items);
    }
    struct mx_evidence_set set;
    assert_fails(mx_evidence_open(&set, "/nowhere/at/all", &err), MX_ERR_IO, "/nowhere/at/all");
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),
        cmocka_unit_test(bad_files_are_named),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clear();
    rmdir(folder);
    return failed;
}
