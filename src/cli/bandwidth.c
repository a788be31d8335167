/* The kept bandwidth: one small JSON file for each machine, since home folders are shared among machines. */
#include "cli/bandwidth.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/str.h"
#include "cli/output.h"
#include "evidence/bandwidth.h"

enum { VERSION = 1, FILE_LIMIT = 1 << 16 };
static const uint64_t MEMORY_TO_MEASURE = 1u << 30; /* the measurement takes 256 MiB: keep clear of the limit */

/* The file of this machine, its folders made; false where there is no home. */
static bool kept_path(const char *key, char path[1024])
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[900];
    if (cache && *cache == '/')
        snprintf(folder, sizeof folder, "%.800s", cache);
    else if (home && *home == '/')
        snprintf(folder, sizeof folder, "%.800s/.cache", home);
    else
        return false;
    mkdir(folder, 0700);
    snprintf(path, 1024, "%s/mlxcel", folder);
    mkdir(path, 0700);
    snprintf(path, 1024, "%s/mlxcel/bandwidth-%016llx.json", folder, (unsigned long long)XXH3_64bits(key, strlen(key)));
    return true;
}

static bool read_kept(const char *path, const char *key, struct mx_bandwidth *bandwidth)
{
    cJSON *root = NULL;
    const struct mx_json_rules rules = {0};
    if (mx_json_read_file(&root, path, FILE_LIMIT, &rules, NULL) != MX_OK) return false;
    const cJSON *machine = mx_json_get(root, "machine"), *rate = mx_json_get(root, "read_bandwidth");
    const cJSON *date = mx_json_get(root, "date");
    int64_t version;
    const bool good = mx_json_whole(mx_json_get(root, "version"), VERSION, VERSION, &version) &&
                      cJSON_IsString(machine) && !strcmp(machine->valuestring, key) && cJSON_IsNumber(rate) &&
                      rate->valuedouble > 0 && cJSON_IsString(date);
    if (good) {
        bandwidth->bytes_per_second = rate->valuedouble;
        snprintf(bandwidth->from, sizeof bandwidth->from, "measured %.20s", date->valuestring);
    }
    cJSON_Delete(root);
    return good;
}

static void keep(const char *path, const char *key, const char *date, double rate)
{
    struct mx_str text = {0};
    mx_str_printf(&text, "{\"version\": %d, \"machine\": \"", VERSION);
    for (const char *c = key; *c; c++) { /* a processor's name is plain text, but it comes from outside */
        if (*c == '"' || *c == '\\') mx_str_putc(&text, '\\');
        mx_str_putc(&text, *c);
    }
    mx_str_printf(&text, "\", \"date\": \"%s\", \"read_bandwidth\": %.0f}\n", date, rate);
    if (!mx_str_failed(&text)) (void)mx_file_write(path, text.data, text.length, NULL);
    mx_str_free(&text);
}

static mx_status measure(const struct mx_machine *machine, double *rate, struct mx_error *err)
{
    struct mx_pool *pool;
    MX_TRY(mx_pool_open(&pool, mx_machine_threads(machine), err));
    const mx_status status = mx_read_bandwidth(pool, rate, err);
    mx_pool_close(pool);
    return status;
}

mx_status mx_bandwidth_of(struct mx_bandwidth *bandwidth, const struct mx_machine *machine, bool again,
                          const struct mx_cli *cli, struct mx_error *err)
{
    *bandwidth = (struct mx_bandwidth){.from = "not measured"};
    char key[192], path[1024], date[16];
    mx_machine_key(machine, key);
    const bool has_path = kept_path(key, path);
    if (has_path && !again && read_kept(path, key, bandwidth)) return MX_OK;
    if (machine->available && machine->available < MEMORY_TO_MEASURE) return MX_OK;
    if (cli->terminal_err) fputs("measuring the read bandwidth ...", stderr);
    const mx_status status = measure(machine, &bandwidth->bytes_per_second, err);
    if (cli->terminal_err) fputs("\r\033[K", stderr);
    MX_TRY(status);
    const time_t now = time(NULL);
    struct tm local;
    strftime(date, sizeof date, "%Y-%m-%d", localtime_r(&now, &local));
    snprintf(bandwidth->from, sizeof bandwidth->from, "measured %s", date);
    if (has_path) keep(path, key, date, bandwidth->bytes_per_second);
    return MX_OK;
}
