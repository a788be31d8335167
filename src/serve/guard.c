/* Checking who asks. */
#include "serve/guard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"

enum { LEAST_KEY = 8, MOST_KEY = 512 };
static const size_t KEY_FILE_LIMIT = (size_t)1 << 20;

/* Packs the keys of `text` to its front, a NUL behind each. */
static mx_status pack_keys(struct mx_guard *guard, const char *path, struct mx_error *err)
{
    char *save, *text = guard->keys;
    size_t packed = 0, number = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        number++;
        size_t length = strlen(line);
        while (length > 0 && strchr(" \t\r", line[length - 1])) line[--length] = '\0';
        if (length == 0 || line[0] == '#') continue;
        bool visible = true;
        for (size_t i = 0; i < length; i++) visible &= line[i] > ' ' && line[i] < 127;
        if (!visible || length < LEAST_KEY || length > MOST_KEY) {
            return mx_fail(err, MX_ERR_FORMAT, "%s: key %zu is not one word of %d to %d visible characters", path,
                           number, LEAST_KEY, MOST_KEY);
        }
        memmove(text + packed, line, length + 1);
        packed += length + 1;
    }
    guard->keys_length = packed;
    return packed ? MX_OK : mx_fail(err, MX_ERR_FORMAT, "%s: holds no API keys; write one a line", path);
}

mx_status mx_guard_open(struct mx_guard *guard, const char *key_file, struct mx_error *err)
{
    if (!key_file) return MX_OK;
    size_t length;
    MX_TRY(mx_file_read(key_file, KEY_FILE_LIMIT, &guard->keys, &length, err));
    if (strlen(guard->keys) != length) return mx_fail(err, MX_ERR_FORMAT, "%s: holds NUL bytes", key_file);
    return pack_keys(guard, key_file, err);
}

void mx_guard_close(struct mx_guard *guard)
{
    free(guard->keys);
    guard->keys = NULL;
}

/* Looks at every byte of every key, whatever differs. */
static bool knows(const struct mx_guard *guard, const char *given)
{
    const size_t length = strlen(given);
    bool known = false;
    for (const char *key = guard->keys; key < guard->keys + guard->keys_length; key += strlen(key) + 1) {
        const size_t own = strlen(key);
        unsigned differs = own != length;
        for (size_t i = 0; i < own; i++) {
            differs |= (unsigned char)key[i] ^ (unsigned char)(i < length ? given[i] : 0);
        }
        known |= differs == 0;
    }
    return known;
}

static bool check_key(const struct mx_guard *guard, const char *authorization, struct mx_refusal *refusal)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return mx_refuse(refusal, MX_REFUSE_KEY, NULL,
                         "this server wants an API key: send the header \"Authorization: Bearer KEY\"");
    }
    return knows(guard, authorization + sizeof scheme - 1) ||
           mx_refuse(refusal, MX_REFUSE_KEY, NULL, "the API key is not one that this server knows");
}

/* Length of a host without its port. */
static size_t host_length(const char *host)
{
    const char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    if (bracket) return (size_t)(bracket + 1 - host);
    const char *colon = strrchr(host, ':');
    return colon ? (size_t)(colon - host) : strlen(host);
}

static bool is_own_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const size_t length = host_length(host);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == length && strncasecmp(host, names[i], length) == 0) return true;
    }
    return false;
}

/* A page that this server sent itself. */
static bool is_same_origin(const char *origin, const char *host)
{
    const char *slashes = strstr(origin, "://");
    return slashes && host && strcasecmp(slashes + 3, host) == 0;
}

const char *mx_guard_allow_origin(const struct mx_guard *guard, const char *origin)
{
    if (!origin) return NULL;
    for (size_t i = 0; i < guard->origin_count; i++) {
        if (strcmp(guard->origins[i], "*") == 0) return "*";
        if (strcasecmp(guard->origins[i], origin) == 0) return origin;
    }
    return NULL;
}

bool mx_guard_check(const struct mx_guard *guard, const struct mx_guard_head *head, struct mx_refusal *refusal)
{
    if (guard->loopback && !guard->keys && head->host && !is_own_name(head->host)) {
        return mx_refuse(refusal, MX_REFUSE_ORIGIN, NULL,
                         "this server answers to localhost only, not to %.100s; give it API keys to reach it by a name",
                         head->host);
    }
    if (head->origin && !is_same_origin(head->origin, head->host) && !mx_guard_allow_origin(guard, head->origin)) {
        return mx_refuse(refusal, MX_REFUSE_ORIGIN, NULL, "pages of %.100s may not ask here; see --cors", head->origin);
    }
    return head->open || !guard->keys || check_key(guard, head->authorization, refusal);
}
