#include "evidence/kept.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"

static const size_t FILE_LIMIT = (size_t)1 << 32;

struct header {
    char magic[16];
    uint64_t key, length, check; /* of what follows */
};
static const char magic[16] = "mlxcel kept 1";

static size_t total_of(const struct mx_kept_part *parts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += parts[i].length;
    return total;
}

bool mx_kept_read(const char *path, uint64_t key, const struct mx_kept_part *parts, size_t count)
{
    char *data;
    size_t length;
    struct header header;
    struct mx_error ignored;
    const size_t total = total_of(parts, count);
    if (mx_file_read(path, FILE_LIMIT, &data, &length, &ignored) != MX_OK) return false;
    const char *at = data + sizeof header;
    bool good = length == sizeof header + total;
    if (good) {
        memcpy(&header, data, sizeof header);
        good = !memcmp(header.magic, magic, sizeof magic) && header.key == key && header.length == total &&
               header.check == XXH3_64bits(at, total);
    }
    for (size_t i = 0; good && i < count; at += parts[i++].length) memcpy(parts[i].bytes, at, parts[i].length);
    free(data);
    return good;
}

mx_status mx_kept_write(const char *path, uint64_t key, const struct mx_kept_part *parts, size_t count,
                        struct mx_error *err)
{
    struct header header = {.key = key, .length = total_of(parts, count)};
    char *data = malloc(sizeof header + header.length);
    if (!data) return mx_fail_memory(err, "what was measured", header.length);
    char *at = data + sizeof header;
    for (size_t i = 0; i < count; at += parts[i++].length) memcpy(at, parts[i].bytes, parts[i].length);
    memcpy(header.magic, magic, sizeof magic);
    header.check = XXH3_64bits(data + sizeof header, header.length);
    memcpy(data, &header, sizeof header);
    const mx_status status = mx_file_write(path, data, sizeof header + header.length, err);
    free(data);
    return status;
}
