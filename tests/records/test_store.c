/* The store: what goes in comes out, replaced where it is the same, whole or not at all. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "records/store.h"
#include "samples.h"

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-store-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mlxcel-store-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a/b/evidence.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct mx_store *open_store(enum mx_store_access access)
{
    struct mx_store *store;
    assert_ok(mx_store_open(&store, path, access, &err));
    return store;
}

static void keeps_and_replaces(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    struct mx_record records[3] = {sample(), sample(), sample()};
    records[1].measure = MX_MEASURE_KL_AT;
    records[1].at = 1024;
    records[2].context = 512;
    strcpy(records[2].text, "0123456789abcdef");
    assert_ok(mx_store_put(store, records, 3, NULL, &err));
    records[0].value = 0.5;
    assert_ok(mx_store_put(store, records, 1, NULL, &err));
    mx_store_close(store);

    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);

    store = open_store(MX_STORE_READ);
    struct kept kept = {0};
    const struct mx_store_query all = {0};
    assert_ok(mx_store_each(store, &all, keep, &kept, &err));
    assert_int_equal(kept.count, 3);
    assert_same_record(&kept.items[0], &records[2]); /* in the order of their keys: the shorter context first */
    assert_same_record(&kept.items[1], &records[1]);
    assert_same_record(&kept.items[2], &records[0]);
    kept = (struct kept){.stop_at = 2};
    assert_fails(mx_store_each(store, &all, keep, &kept, &err), MX_ERR_INTERRUPTED, "stopped");
    assert_int_equal(kept.count, 1);
    mx_store_close(store);
}

static void queries_by_each_member(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    struct mx_record records[2] = {sample(), sample()};
    strcpy(records[1].model.fingerprint, "1111111111111111");
    strcpy(records[1].model.type, "qwen3");
    strcpy(records[1].model.name, "other");
    strcpy(records[1].machine.fingerprint, "2222222222222222");
    strcpy(records[1].version, "0.2.0");
    records[1].model.head_dim = 128;
    records[1].context = 8192;
    assert_ok(mx_store_put(store, records, 2, NULL, &err));
    const struct mx_store_query queries[] = {
        {.model_fingerprint = "1111111111111111"},
        {.model_type = "qwen3"},
        {.model_name = "other"},
        {.version = "0.2.0"},
        {.machine_fingerprint = "2222222222222222"},
        {.head_dim = 128},
        {.context = 8192},
        {.model_type = "qwen3", .context = 8192},
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct kept kept = {0};
        assert_ok(mx_store_each(store, &queries[i], keep, &kept, &err));
        assert_int_equal(kept.count, 1);
        assert_string_equal(kept.items[0].model.name, "other");
    }
    struct kept none = {0};
    const struct mx_store_query both = {.model_type = "qwen3", .context = 4096};
    assert_ok(mx_store_each(store, &both, keep, &none, &err));
    assert_int_equal(none.count, 0);
    uint64_t removed;
    const struct mx_store_query old = {.version = "0.1.0"};
    assert_ok(mx_store_remove(store, &old, &removed, &err));
    assert_int_equal(removed, 1);
    struct kept rest = {0};
    const struct mx_store_query all = {0};
    assert_ok(mx_store_each(store, &all, keep, &rest, &err));
    assert_int_equal(rest.count, 1);
    mx_store_close(store);
}

static void puts_all_or_nothing(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    struct mx_record records[2] = {sample(), sample()};
    records[1].date[0] = 'x';
    bool done = true;
    assert_fails(mx_store_put(store, records, 2, "job", &err), MX_ERR_FORMAT, "record 1: \"date\"");
    assert_ok(mx_store_has_job(store, "job", &done, &err));
    assert_false(done);
    struct kept kept = {0};
    const struct mx_store_query all = {0};
    assert_ok(mx_store_each(store, &all, keep, &kept, &err));
    assert_int_equal(kept.count, 0);
    assert_ok(mx_store_put(store, records, 1, "job", &err));
    assert_ok(mx_store_has_job(store, "job", &done, &err));
    assert_true(done);
    assert_ok(mx_store_has_job(store, "another", &done, &err));
    assert_false(done);
    mx_store_close(store);
}

/* A writer that is killed at any moment leaves whole puts: two records and their job, or neither. */
static void survives_a_killed_writer(void **state)
{
    (void)state;
    mx_store_close(open_store(MX_STORE_WRITE));
    const pid_t child = fork();
    if (child == 0) {
        struct mx_store *store;
        if (mx_store_open(&store, path, MX_STORE_WRITE, &err) != MX_OK) _exit(1);
        for (uint32_t i = 1;; i++) {
            struct mx_record records[2] = {sample(), sample()};
            records[0].context = records[1].context = i;
            records[1].measure = MX_MEASURE_TOP1;
            char job[16];
            snprintf(job, sizeof job, "%u", i);
            if (mx_store_put(store, records, 2, job, &err) != MX_OK) _exit(1);
        }
    }
    usleep(200000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct mx_store *store = open_store(MX_STORE_WRITE);
    for (uint32_t i = 1, was_done = 1; i < 64; i++) {
        bool done;
        char job[16];
        snprintf(job, sizeof job, "%u", i);
        assert_ok(mx_store_has_job(store, job, &done, &err));
        struct kept kept = {0};
        const struct mx_store_query query = {.context = i};
        assert_ok(mx_store_each(store, &query, keep, &kept, &err));
        assert_int_equal(kept.count, done ? 2 : 0);
        assert_true(was_done || !done);
        was_done = done;
    }
    mx_store_close(store);
}

static void refuses_foreign_files(void **state)
{
    (void)state;
    mx_store_close(open_store(MX_STORE_WRITE));
    struct mx_store *store;
    char other[96];
    snprintf(other, sizeof other, "%s/none.db", folder);
    assert_fails(mx_store_open(&store, other, MX_STORE_READ, &err), MX_ERR_IO, "none.db");
    assert_null(store);

    FILE *file = fopen(other, "w");
    assert_non_null(file);
    fputs("this is not a database, but it is long enough to hold the header of one, which takes a hundred bytes\n",
          file);
    fclose(file);
    assert_fails(mx_store_open(&store, other, MX_STORE_WRITE, &err), MX_ERR_FORMAT, "none.db");

    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    assert_fails(mx_store_open(&store, path, MX_STORE_READ, &err), MX_ERR_UNSUPPORTED, "version 99");

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA application_id = 1", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    assert_fails(mx_store_open(&store, path, MX_STORE_READ, &err), MX_ERR_FORMAT, "not an evidence store");
}

/* A store of version 1, whose records had no text: a writer brings it up to date and loses nothing. */
static void upgrades_an_old_store(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    const struct mx_record record = sample();
    assert_ok(mx_store_put(store, &record, 1, "job", &err));
    mx_store_close(store);
    sqlite3 *database;
    const char *const steps[] = {"CREATE TABLE plain AS SELECT * FROM records", "ALTER TABLE plain DROP COLUMN text",
                                 "DROP TABLE records", "ALTER TABLE plain RENAME TO records",
                                 "PRAGMA user_version = 1"};
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_int_equal(sqlite3_exec(database, steps[i], NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
    assert_fails(mx_store_open(&store, path, MX_STORE_READ, &err), MX_ERR_UNSUPPORTED, "version 1");
    for (int i = 0; i < 2; i++) { /* once it is done it stays */
        struct kept kept = {0};
        const struct mx_store_query all = {0};
        bool done;
        store = open_store(MX_STORE_WRITE);
        assert_ok(mx_store_each(store, &all, keep, &kept, &err));
        assert_int_equal(kept.count, 1);
        assert_string_equal(kept.items[0].text, "");
        strcpy(kept.items[0].text, record.text);
        assert_same_record(&kept.items[0], &record);
        assert_ok(mx_store_has_job(store, "job", &done, &err));
        assert_true(done);
        mx_store_close(store);
    }
}

static void lists_jobs(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    struct mx_str names = {0};
    assert_ok(mx_store_put(store, NULL, 0, "first", &err));
    assert_ok(mx_store_put(store, NULL, 0, "second", &err));
    assert_ok(mx_store_jobs(store, &names, &err));
    assert_string_equal(mx_str_text(&names), "\nfirst\nsecond\n");
    mx_str_free(&names);
    mx_store_close(store);
}

static void names_a_record_that_other_hands_wrote(void **state)
{
    (void)state;
    struct mx_store *store = open_store(MX_STORE_WRITE);
    const struct mx_record record = sample();
    assert_ok(mx_store_put(store, &record, 1, NULL, &err));
    mx_store_close(store);
    const char *const edits[] = {
        "UPDATE records SET value = -1",  "UPDATE records SET measure = 'none'",
        "UPDATE records SET context = 0", "UPDATE records SET recent = -5",
        "UPDATE records SET qk_norm = 2", "UPDATE records SET version = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"};
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        sqlite3 *database;
        assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
        assert_int_equal(sqlite3_exec(database, "SAVEPOINT s", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(database, "DELETE FROM records", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(database, "RELEASE s", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(database);
        store = open_store(MX_STORE_WRITE);
        assert_ok(mx_store_put(store, &record, 1, NULL, &err));
        mx_store_close(store);
        assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
        assert_int_equal(sqlite3_exec(database, edits[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(database);
        store = open_store(MX_STORE_READ);
        struct kept kept = {0};
        const struct mx_store_query all = {0};
        assert_fails(mx_store_each(store, &all, keep, &kept, &err), MX_ERR_FORMAT, "record 0");
        assert_int_equal(kept.count, 0);
        mx_store_close(store);
    }
}

static void finds_its_default_place(void **state)
{
    (void)state;
    char buffer[128];
    setenv("XDG_DATA_HOME", "/x/data", 1);
    assert_ok(mx_store_path(buffer, sizeof buffer, &err));
    assert_string_equal(buffer, "/x/data/mlxcel/evidence.db");
    assert_fails(mx_store_path(buffer, 12, &err), MX_ERR_LIMIT, "longer");
    setenv("XDG_DATA_HOME", "relative", 1); /* the XDG rules: then it is ignored */
    setenv("HOME", "/home/x", 1);
    assert_ok(mx_store_path(buffer, sizeof buffer, &err));
    assert_string_equal(buffer, "/home/x/.local/share/mlxcel/evidence.db");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_fails(mx_store_path(buffer, sizeof buffer, &err), MX_ERR_ARGUMENT, "HOME");
}

/* The lowest descriptor that is free. */
static int next_descriptor(void)
{
    const int next = open("/dev/null", O_RDONLY);
    close(next);
    return next;
}

static void closing_leaves_nothing_open(void **state)
{
    (void)state;
    const int before = next_descriptor();
    mx_store_close(open_store(MX_STORE_WRITE));
    assert_int_equal(next_descriptor(), before);
    mx_store_close(NULL);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(keeps_and_replaces),
        IN_FOLDER(queries_by_each_member),
        IN_FOLDER(puts_all_or_nothing),
        IN_FOLDER(survives_a_killed_writer),
        IN_FOLDER(refuses_foreign_files),
        IN_FOLDER(upgrades_an_old_store),
        IN_FOLDER(lists_jobs),
        IN_FOLDER(names_a_record_that_other_hands_wrote),
        IN_FOLDER(closing_leaves_nothing_open),
        cmocka_unit_test(finds_its_default_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
