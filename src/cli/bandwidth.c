/* The kept bandwidth: one small JSON file for each machine, since home folders are shared among machines. */
#include "cli/bandwidth.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/user_cache.h"
#include "evidence/bandwidth.h"

enum { VERSION = 2, FILE_LIMIT = 1 << 16 };
static const uint64_t MEMORY_TO_MEASURE = 1u << 30; /* the measurement takes 256 MiB: keep clear of the limit */

/* The file of this machine; false where there is no home. */
static bool kept_path(const char *key, char path[MX_USER_CACHE_PATH])
{
    char name[64];
    snprintf(name, sizeof name, "bandwidth-%016llx.json", (unsigned long long)XXH3_64bits(key, strlen(key)));
    return mx_user_cache_path(path, name);
}

/* A member that must be a number from `low` to `high`. */
static bool read_number(const cJSON *root, const char *key, double low, double high, double *value)
{
    const cJSON *item = mx_json_get(root, key);
    *value = cJSON_GetNumberValue(item);
    return cJSON_IsNumber(item) && *value >= low && *value <= high;
}

static bool read_kept(const char *path, const char *key, struct mx_bandwidth_figure *figure)
{
    cJSON *root = NULL;
    const struct mx_json_rules rules = {0};
    if (mx_json_read_file(&root, path, FILE_LIMIT, &rules, NULL) != MX_OK) return false;
    const cJSON *machine = mx_json_get(root, "machine");
    int64_t version;
    double when = 0, doubted_when = 0;
    const bool good = mx_json_whole(mx_json_get(root, "version"), VERSION, VERSION, &version) &&
                      cJSON_IsString(machine) && !strcmp(machine->valuestring, key) &&
                      read_number(root, "read_bandwidth", 1, 1e18, &figure->rate) &&
                      read_number(root, "busy", -1, 1, &figure->busy) && read_number(root, "when", 0, 1e12, &when) &&
                      read_number(root, "doubted", 0, 1e18, &figure->doubted) &&
                      read_number(root, "doubted_when", 0, 1e12, &doubted_when);
    figure->when = (int64_t)when;
    figure->doubted_when = (int64_t)doubted_when;
    if (!good) *figure = (struct mx_bandwidth_figure){0};
    cJSON_Delete(root);
    return good;
}

static void keep(const char *path, const char *key, const struct mx_bandwidth_figure *figure)
{
    struct mx_str text = {0};
    mx_str_printf(&text, "{\"version\": %d, \"machine\": \"", VERSION);
    for (const char *c = key; *c; c++) { /* a processor's name is plain text, but it comes from outside */
        if (*c == '"' || *c == '\\') mx_str_putc(&text, '\\');
        mx_str_putc(&text, *c);
    }
    mx_str_printf(&text,
                  "\", \"when\": %lld, \"read_bandwidth\": %.0f, \"busy\": %.3f, \"doubted\": %.0f, "
                  "\"doubted_when\": %lld}\n",
                  (long long)figure->when, figure->rate, figure->busy, figure->doubted,
                  (long long)figure->doubted_when);
    if (!mx_str_failed(&text)) (void)mx_file_write(path, text.data, text.length, NULL);
    mx_str_free(&text);
}

static mx_status measure(const struct mx_machine *machine, const struct mx_cli *cli, struct mx_bandwidth_figure *figure,
                         struct mx_error *err)
{
    struct mx_pool *pool;
    MX_TRY(mx_pool_open(&pool, mx_machine_threads(machine), err));
    if (cli->terminal_err) fputs("measuring the read bandwidth ...", stderr);
    const mx_status status = mx_bandwidth_take(figure, pool, err);
    if (cli->terminal_err) fputs("\r\033[K", stderr);
    mx_pool_close(pool);
    return status;
}

static void describe(struct mx_bandwidth *bandwidth, const struct mx_bandwidth_figure *figure)
{
    char date[16];
    const time_t when = (time_t)figure->when;
    struct tm local;
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&when, &local));
    bandwidth->bytes_per_second = figure->rate;
    snprintf(bandwidth->from, sizeof bandwidth->from, "measured %s", date);
    const size_t length = strlen(bandwidth->from), room = sizeof bandwidth->from - length;
    if (figure->doubted > 0)
        snprintf(bandwidth->from + length, room, "; a later figure of %.3g is doubted", figure->doubted / 1e9);
    else if (mx_bandwidth_loaded(figure))
        snprintf(bandwidth->from + length, room, ", others had %.0f %% of the CPUs", 100 * figure->busy);
}

mx_status mx_bandwidth_of(struct mx_bandwidth *bandwidth, const struct mx_machine *machine, bool again,
                          const struct mx_cli *cli, struct mx_error *err)
{
    *bandwidth = (struct mx_bandwidth){.from = "not measured"};
    struct mx_bandwidth_figure kept = {0}, fresh;
    char key[192], path[MX_USER_CACHE_PATH];
    mx_machine_key(machine, key);
    const bool has_path = kept_path(key, path), has_kept = has_path && read_kept(path, key, &kept);
    if (has_kept) describe(bandwidth, &kept);
    if (has_kept && !again && !mx_bandwidth_due(&kept, (int64_t)time(NULL))) return MX_OK;
    if (machine->available && machine->available < MEMORY_TO_MEASURE) return MX_OK;
    MX_TRY(measure(machine, cli, &fresh, err));
    const struct mx_bandwidth_figure chosen = mx_bandwidth_choose(&kept, &fresh);
    describe(bandwidth, &chosen);
    if (has_path) keep(path, key, &chosen);
    return MX_OK;
}
