/* Records in SQLite: one flat table, made from the list of columns, and one of jobs that are done. */
#include "records/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "records/columns.h"

enum {
    APPLICATION = 0x6d786b76, /* "mxkv": the file header's mark of whose database it is */
    VERSION = 2,
    BUSY_MILLISECONDS = 10000,
};

struct mx_store {
    sqlite3 *database;
    char *path;
};

static mx_status fail(const struct mx_store *store, struct mx_error *err)
{
    const int code = sqlite3_errcode(store->database);
    const mx_status status = code == SQLITE_NOMEM                              ? MX_ERR_MEMORY
                             : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? MX_ERR_FORMAT
                                                                               : MX_ERR_IO;
    return mx_fail(err, status, "%s: evidence store: %s", store->path, sqlite3_errmsg(store->database));
}

mx_status mx_store_path(char *buffer, size_t size, struct mx_error *err)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length;
    if (data && data[0] == '/') {
        length = snprintf(buffer, size, "%s/mlxcel/evidence.db", data);
    } else if (home && home[0] == '/') {
        length = snprintf(buffer, size, "%s/.local/share/mlxcel/evidence.db", home);
    } else {
        return mx_fail(err, MX_ERR_ARGUMENT, "no place for the evidence store: neither XDG_DATA_HOME nor HOME is set");
    }
    if (length >= (int)size) return mx_fail(err, MX_ERR_LIMIT, "the evidence store's path is longer than %zu", size);
    return MX_OK;
}

/* --- opening --- */

static mx_status run(const struct mx_store *store, const char *sql, struct mx_error *err)
{
    return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ? MX_OK : fail(store, err);
}

static mx_status read_number(const struct mx_store *store, const char *sql, int64_t *value, struct mx_error *err)
{
    sqlite3_stmt *statement = NULL;
    mx_status status = MX_OK;
    if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *value = sqlite3_column_int64(statement, 0);
    } else {
        status = fail(store, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static const char *column_type(enum mx_column_kind kind)
{
    if (kind == MX_COLUMN_TEXT || kind == MX_COLUMN_MEASURE) return "TEXT";
    return kind == MX_COLUMN_REAL ? "REAL" : "INTEGER";
}

/* "a, b, c" of all columns, or of the key's, each followed by `types`' word and `suffix`. */
static void list_columns(struct mx_str *sql, bool key_only, bool types, const char *suffix)
{
    const char *separator = "";
    for (size_t i = 0; i < MX_COLUMN_COUNT; i++) {
        if (key_only && !mx_columns[i].key) continue;
        mx_str_printf(sql, "%s\"%s\"%s%s%s", separator, mx_columns[i].name, types ? " " : "",
                      types ? column_type(mx_columns[i].kind) : "", suffix);
        separator = ", ";
    }
}

/* Runs statements that are one transaction. */
static mx_status transact(const struct mx_store *store, struct mx_str *sql, struct mx_error *err)
{
    const mx_status status =
        mx_str_failed(sql) ? mx_fail_memory(err, "a statement", sql->length) : run(store, mx_str_text(sql), err);
    if (status != MX_OK) sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    mx_str_free(sql);
    return status;
}

static void create_tables(struct mx_str *sql)
{
    mx_str_puts(sql, "CREATE TABLE IF NOT EXISTS records (");
    list_columns(sql, false, true, " NOT NULL");
    mx_str_puts(sql, ", PRIMARY KEY (");
    list_columns(sql, true, false, "");
    mx_str_puts(sql, ")) WITHOUT ROWID; CREATE INDEX IF NOT EXISTS records_by_type ON records (model_type);"
                     "CREATE TABLE IF NOT EXISTS jobs (name TEXT PRIMARY KEY) WITHOUT ROWID;");
}

static void sign_and_commit(struct mx_str *sql)
{
    mx_str_printf(sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", APPLICATION, VERSION);
}

static mx_status create(const struct mx_store *store, struct mx_error *err)
{
    struct mx_str sql = {0};
    mx_str_puts(&sql, "BEGIN IMMEDIATE;");
    create_tables(&sql);
    sign_and_commit(&sql);
    return transact(store, &sql, err);
}

/* Version 1 had no texts: its records become those of a text that is not known. */
static mx_status upgrade(const struct mx_store *store, struct mx_error *err)
{
    struct mx_str sql = {0}, columns = {0};
    for (size_t i = 0; i < MX_COLUMN_COUNT; i++)
        if (strcmp(mx_columns[i].name, "text") != 0)
            mx_str_printf(&columns, "%s\"%s\"", i ? ", " : "", mx_columns[i].name);
    mx_str_puts(&sql, "BEGIN IMMEDIATE; DROP INDEX IF EXISTS records_by_type; ALTER TABLE records RENAME TO old;");
    create_tables(&sql);
    mx_str_printf(&sql, "INSERT INTO records (%s, text) SELECT %s, '' FROM old; DROP TABLE old;", mx_str_text(&columns),
                  mx_str_text(&columns));
    sign_and_commit(&sql);
    mx_status status = MX_OK;
    if (mx_str_failed(&columns)) status = mx_fail_memory(err, "a statement", columns.length);
    mx_str_free(&columns);
    if (status == MX_OK) return transact(store, &sql, err);
    mx_str_free(&sql);
    return status;
}

/* A database of ours, of a version that is known; an empty file becomes one. */
static mx_status check(const struct mx_store *store, enum mx_store_access access, struct mx_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    MX_TRY(read_number(store, "PRAGMA application_id", &application, err));
    MX_TRY(read_number(store, "PRAGMA user_version", &version, err));
    MX_TRY(read_number(store, "SELECT count(*) FROM sqlite_master", &tables, err));
    if (application == 0 && version == 0 && tables == 0) { /* a full disk left it, or it is being made */
        if (access == MX_STORE_WRITE) return create(store, err);
        return mx_fail(err, MX_ERR_IO, "%s: an empty evidence store: nothing was measured yet", store->path);
    }
    if (application != APPLICATION)
        return mx_fail(err, MX_ERR_FORMAT, "%s: a database, but not an evidence store", store->path);
    if (version > VERSION)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: an evidence store of version %lld; this program reads up to %d",
                       store->path, (long long)version, VERSION);
    if (version == VERSION) return MX_OK;
    if (access == MX_STORE_WRITE) return upgrade(store, err);
    return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: an evidence store of version %lld: what measures next brings it to %d",
                   store->path, (long long)version, VERSION);
}

/* Makes the folders above a file. */
static mx_status make_folders(const char *path, struct mx_error *err)
{
    char *copy = mx_strndup(path, strlen(path));
    if (!copy) return mx_fail_memory(err, "a path", strlen(path));
    mx_status status = MX_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && status == MX_OK; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = mx_fail(err, MX_ERR_IO, "%s: cannot make the folder: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return status;
}

/* The file, made private to its user where it is new: SQLite itself would follow the umask. */
static mx_status make_file(const char *path, struct mx_error *err)
{
    MX_TRY(make_folders(path, err));
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    close(file);
    return MX_OK;
}

mx_status mx_store_open(struct mx_store **out, const char *path, enum mx_store_access access, struct mx_error *err)
{
    *out = NULL;
    if (access == MX_STORE_WRITE) {
        MX_TRY(make_file(path, err));
    } else if (faccessat(AT_FDCWD, path, F_OK, 0) != 0 && errno == ENOENT) {
        return mx_fail(err, MX_ERR_IO, "%s: no evidence store there: nothing was measured yet", path);
    }
    struct mx_store *store = calloc(1, sizeof *store);
    if (!store || !(store->path = mx_strndup(path, strlen(path)))) {
        free(store);
        return mx_fail_memory(err, "a store", sizeof *store);
    }
    const int flags = access == MX_STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    mx_status status = MX_OK;
    if (sqlite3_open_v2(path, &store->database, flags, NULL) != SQLITE_OK) {
        status = store->database ? fail(store, err) : mx_fail_memory(err, "a store", sizeof *store);
    } else {
        sqlite3_busy_timeout(store->database, BUSY_MILLISECONDS);
        sqlite3_db_config(store->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(store->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        status = check(store, access, err);
    }
    if (status != MX_OK) {
        mx_store_close(store);
        return status;
    }
    *out = store;
    return MX_OK;
}

void mx_store_close(struct mx_store *store)
{
    if (!store) return;
    sqlite3_close(store->database);
    free(store->path);
    free(store);
}

/* --- writing --- */

static bool bind(sqlite3_stmt *statement, int index, const struct mx_column *column, const struct mx_record *record)
{
    const void *at = (const char *)record + column->offset;
    switch (column->kind) {
    case MX_COLUMN_TEXT: return sqlite3_bind_text(statement, index, at, -1, SQLITE_TRANSIENT) == SQLITE_OK;
    case MX_COLUMN_U32: return sqlite3_bind_int64(statement, index, *(const uint32_t *)at) == SQLITE_OK;
    case MX_COLUMN_U64: return sqlite3_bind_int64(statement, index, (int64_t) * (const uint64_t *)at) == SQLITE_OK;
    case MX_COLUMN_BOOL: return sqlite3_bind_int64(statement, index, *(const bool *)at) == SQLITE_OK;
    case MX_COLUMN_REAL: return sqlite3_bind_double(statement, index, *(const double *)at) == SQLITE_OK;
    case MX_COLUMN_MEASURE:
        return sqlite3_bind_text(statement, index, mx_measure_info(record->measure)->name, -1, SQLITE_STATIC) ==
               SQLITE_OK;
    }
    return false;
}

static mx_status insert(const struct mx_store *store, const struct mx_record *records, size_t count,
                        struct mx_error *err)
{
    struct mx_str sql = {0};
    mx_str_puts(&sql, "INSERT OR REPLACE INTO records (");
    list_columns(&sql, false, false, "");
    mx_str_puts(&sql, ") VALUES (");
    for (int i = 0; i < MX_COLUMN_COUNT; i++) mx_str_puts(&sql, i ? ", ?" : "?");
    mx_str_puts(&sql, ")");
    sqlite3_stmt *statement = NULL;
    mx_status status = MX_OK;
    if (mx_str_failed(&sql)) {
        status = mx_fail_memory(err, "a statement", sql.length);
    } else if (sqlite3_prepare_v2(store->database, mx_str_text(&sql), -1, &statement, NULL) != SQLITE_OK) {
        status = fail(store, err);
    }
    for (size_t i = 0; status == MX_OK && i < count; i++) {
        bool done = true;
        for (int c = 0; done && c < MX_COLUMN_COUNT; c++) done = bind(statement, c + 1, &mx_columns[c], &records[i]);
        if (!done || sqlite3_step(statement) != SQLITE_DONE || sqlite3_reset(statement) != SQLITE_OK)
            status = fail(store, err);
    }
    sqlite3_finalize(statement);
    mx_str_free(&sql);
    return status;
}

/* Prepares a statement about one job. */
static mx_status prepare_job(const struct mx_store *store, const char *sql, const char *job, sqlite3_stmt **statement,
                             struct mx_error *err)
{
    *statement = NULL;
    if (sqlite3_prepare_v2(store->database, sql, -1, statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(*statement, 1, job, -1, SQLITE_TRANSIENT) == SQLITE_OK)
        return MX_OK;
    const mx_status status = fail(store, err);
    sqlite3_finalize(*statement);
    return status;
}

static mx_status mark_job(const struct mx_store *store, const char *job, struct mx_error *err)
{
    sqlite3_stmt *statement;
    MX_TRY(prepare_job(store, "INSERT OR REPLACE INTO jobs (name) VALUES (?)", job, &statement, err));
    const mx_status status = sqlite3_step(statement) == SQLITE_DONE ? MX_OK : fail(store, err);
    sqlite3_finalize(statement);
    return status;
}

mx_status mx_store_put(struct mx_store *store, const struct mx_record *records, size_t count, const char *job,
                       struct mx_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (mx_record_check(&records[i], err) != MX_OK) return mx_fail_prefix(err, "record %zu", i);
    MX_TRY(run(store, "BEGIN IMMEDIATE", err));
    mx_status status = insert(store, records, count, err);
    if (status == MX_OK && job) status = mark_job(store, job, err);
    if (status == MX_OK) status = run(store, "COMMIT", err);
    if (status != MX_OK) sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

mx_status mx_store_has_job(struct mx_store *store, const char *job, bool *done, struct mx_error *err)
{
    sqlite3_stmt *statement;
    MX_TRY(prepare_job(store, "SELECT 1 FROM jobs WHERE name = ?", job, &statement, err));
    const int step = sqlite3_step(statement);
    *done = step == SQLITE_ROW;
    const mx_status status = step == SQLITE_ROW || step == SQLITE_DONE ? MX_OK : fail(store, err);
    sqlite3_finalize(statement);
    return status;
}

mx_status mx_store_jobs(struct mx_store *store, struct mx_str *names, struct mx_error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->database, "SELECT name FROM jobs", -1, &statement, NULL) != SQLITE_OK)
        return fail(store, err);
    int step;
    mx_str_puts(names, "\n");
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        mx_str_printf(names, "%s\n", (const char *)sqlite3_column_text(statement, 0));
    const mx_status status = step != SQLITE_DONE    ? fail(store, err)
                             : mx_str_failed(names) ? mx_fail_memory(err, "the jobs", names->length)
                                                    : MX_OK;
    sqlite3_finalize(statement);
    return status;
}

/* --- reading --- */

static mx_status read_column(sqlite3_stmt *statement, int index, struct mx_record *record, struct mx_error *err)
{
    const struct mx_column *column = &mx_columns[index];
    void *at = (char *)record + column->offset;
    const int64_t whole = sqlite3_column_int64(statement, index);
    const bool fits = column->kind == MX_COLUMN_BOOL  ? whole == 0 || whole == 1
                      : column->kind == MX_COLUMN_U32 ? whole >= 0 && whole <= UINT32_MAX
                      : column->kind == MX_COLUMN_U64 ? whole >= 0
                                                      : true;
    if (!fits) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is out of range", column->name);
    switch (column->kind) {
    case MX_COLUMN_TEXT: {
        const char *text = (const char *)sqlite3_column_text(statement, index);
        if (!text) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is missing", column->name);
        const size_t length = strlen(text);
        if (length >= column->size)
            return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is longer than %zu bytes", column->name, column->size - 1);
        memcpy(at, text, length + 1);
        break;
    }
    case MX_COLUMN_U32: *(uint32_t *)at = (uint32_t)whole; break;
    case MX_COLUMN_U64: *(uint64_t *)at = (uint64_t)whole; break;
    case MX_COLUMN_BOOL: *(bool *)at = whole == 1; break;
    case MX_COLUMN_REAL: *(double *)at = sqlite3_column_double(statement, index); break;
    case MX_COLUMN_MEASURE: {
        const char *name = (const char *)sqlite3_column_text(statement, index);
        record->measure = name ? mx_measure_find(name) : MX_MEASURE_COUNT;
        break;
    }
    }
    return MX_OK;
}

static mx_status read_record(sqlite3_stmt *statement, struct mx_record *record, struct mx_error *err)
{
    *record = (struct mx_record){0};
    for (int i = 0; i < MX_COLUMN_COUNT; i++) MX_TRY(read_column(statement, i, record, err));
    return mx_record_check(record, err);
}

/* Appends the query's conditions and binds them; with `statement` NULL it only appends. */
static mx_status where(const struct mx_store *store, const struct mx_store_query *query, struct mx_str *sql,
                       sqlite3_stmt *statement, struct mx_error *err)
{
    const struct {
        const char *column, *text;
        uint64_t number;
    } conditions[] = {
        {"model_fingerprint", query->model_fingerprint, 0},
        {"model_type", query->model_type, 0},
        {"model_name", query->model_name, 0},
        {"version", query->version, 0},
        {"machine_fingerprint", query->machine_fingerprint, 0},
        {"head_dim", NULL, query->head_dim},
        {"context", NULL, query->context},
    };
    int bound = 0;
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        if (!conditions[i].text && !conditions[i].number) continue;
        if (sql) mx_str_printf(sql, " %s \"%s\" = ?", bound ? "AND" : "WHERE", conditions[i].column);
        bound++;
        if (!statement) continue;
        const int code = conditions[i].text
                             ? sqlite3_bind_text(statement, bound, conditions[i].text, -1, SQLITE_TRANSIENT)
                             : sqlite3_bind_int64(statement, bound, (int64_t)conditions[i].number);
        if (code != SQLITE_OK) return fail(store, err);
    }
    return MX_OK;
}

/* A statement "HEAD WHERE ... TAIL" with the query's values bound. Consumes `sql`, which holds the head. */
static mx_status prepare_query(const struct mx_store *store, struct mx_str *sql, const struct mx_store_query *query,
                               bool ordered, sqlite3_stmt **statement, struct mx_error *err)
{
    *statement = NULL;
    mx_status status;
    (void)where(store, query, sql, NULL, err); /* binds nothing, so it cannot fail */
    if (ordered) {
        mx_str_puts(sql, " ORDER BY ");
        list_columns(sql, true, false, "");
    }
    if (mx_str_failed(sql)) {
        status = mx_fail_memory(err, "a statement", sql->length);
    } else if (sqlite3_prepare_v2(store->database, mx_str_text(sql), -1, statement, NULL) != SQLITE_OK) {
        status = fail(store, err);
    } else {
        status = where(store, query, NULL, *statement, err);
    }
    mx_str_free(sql);
    if (status != MX_OK) sqlite3_finalize(*statement);
    return status;
}

mx_status mx_store_each(struct mx_store *store, const struct mx_store_query *query, mx_record_visitor *visitor,
                        void *context, struct mx_error *err)
{
    struct mx_str sql = {0};
    mx_str_puts(&sql, "SELECT ");
    list_columns(&sql, false, false, "");
    mx_str_puts(&sql, " FROM records");
    sqlite3_stmt *statement;
    MX_TRY(prepare_query(store, &sql, query, true, &statement, err));
    mx_status status = MX_OK;
    int step = SQLITE_ROW;
    for (size_t i = 0; status == MX_OK && (step = sqlite3_step(statement)) == SQLITE_ROW; i++) {
        struct mx_record record;
        status = read_record(statement, &record, err);
        if (status != MX_OK) {
            mx_fail_prefix(err, "%s: record %zu", store->path, i);
        } else {
            status = visitor(context, &record, err);
        }
    }
    if (status == MX_OK && step != SQLITE_DONE) status = fail(store, err);
    sqlite3_finalize(statement);
    return status;
}

mx_status mx_store_remove(struct mx_store *store, const struct mx_store_query *query, uint64_t *removed,
                          struct mx_error *err)
{
    struct mx_str sql = {0};
    mx_str_puts(&sql, "DELETE FROM records");
    sqlite3_stmt *statement;
    MX_TRY(prepare_query(store, &sql, query, false, &statement, err));
    mx_status status = sqlite3_step(statement) == SQLITE_DONE ? MX_OK : fail(store, err);
    if (status == MX_OK) *removed = (uint64_t)sqlite3_changes64(store->database);
    sqlite3_finalize(statement);
    return status;
}
