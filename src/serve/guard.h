/* Who may ask: API keys, pages of other sites, names under which the server is reached.
 *
 * Without keys a server on the loopback device answers to whoever sits at the machine, and a browser sits there, too,
 * with pages of all the world in it. So a request that a page of another origin makes is refused unless that origin is
 * allowed, and so is one that came by a name which is none of this machine's own (DNS rebinding). Where a key is asked
 * for, no such page has it.
 */
#ifndef MX_SERVE_GUARD_H
#define MX_SERVE_GUARD_H

#include "serve/refusal.h"

struct mx_guard {
    char *keys; /* one a line, NUL between them; NULL: none is asked for */
    size_t keys_length;
    const char *const *origins;
    size_t origin_count;
    bool loopback; /* only this machine's own names lead here */
};

/* Reads the keys: one a line, blank lines and those that begin with # aside, each of at least 8 visible characters. */
mx_status mx_guard_open(struct mx_guard *guard, const char *key_file, struct mx_error *err);
void mx_guard_close(struct mx_guard *guard);

/* What of a request's head counts; each may be NULL. */
struct mx_guard_head {
    const char *host, *origin, *authorization;
    bool open; /* the path is for everybody: no key is asked for */
};

/* Thread-safe. The time it takes does not tell how much of a key was right. */
bool mx_guard_check(const struct mx_guard *guard, const struct mx_guard_head *head, struct mx_refusal *refusal);

/* The value of Access-Control-Allow-Origin for a page of this origin; NULL: it is told nothing. */
const char *mx_guard_allow_origin(const struct mx_guard *guard, const char *origin);

#endif
