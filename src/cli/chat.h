/* `mlxcel chat`: what its parts share. A talk is a list of turns and a session whose cache holds what was said. */
#ifndef MX_CLI_CHAT_H
#define MX_CLI_CHAT_H

#include "base/str.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/sampler_flags.h"
#include "engine/generate.h"

struct mx_chat_options {
    struct mx_engine_flags engine;
    const char *system, *template, *load;
    int64_t tokens, context;
    int think;
    bool force, no_history, echo;
    struct mx_sampler_flags sampler;
    struct mx_kv_flags kv;
};

struct mx_turn {
    bool user; /* else the assistant */
    struct mx_str text;
};

struct mx_talk {
    struct mx_cli *cli;
    const struct mx_chat_options *options;
    struct mx_session *session;
    uint64_t context;   /* tokens that the cache holds */
    struct mx_str mode; /* given with /mode; empty: that of the flags */
    struct mx_str system;
    struct mx_turn *turns;
    size_t count, capacity;
    bool terminal; /* a person is there */
    bool shown;    /* of the answer in the making, some text came out */
    bool unheard;  /* some could not be written: the talk ends */
    bool left;     /* /quit */
    struct mx_generation last;
};

/* Adds a turn; takes a copy of the text. */
mx_status mx_talk_add(struct mx_talk *talk, bool user, const char *text, size_t length, struct mx_error *err);
/* Takes the newest turns back until `count` are left. */
void mx_talk_cut(struct mx_talk *talk, size_t count);
/* The conversation as a JSON list, appended. */
mx_status mx_talk_list(const struct mx_talk *talk, struct mx_str *out, struct mx_error *err);
/* Makes the cache anew, in the mode that is set. */
mx_status mx_talk_begin(struct mx_talk *talk, struct mx_error *err);

/* A line that begins with a slash. */
mx_status mx_talk_command(struct mx_talk *talk, const char *line, struct mx_error *err);
/* Reads a conversation that /save or an API's client wrote, in place of what was said. */
mx_status mx_talk_load(struct mx_talk *talk, const char *path, struct mx_error *err);
/* Takes the cache that /save kept beside that file, if there is one that belongs to this model and mode; says so in a
 * note where it doesn't. The cache then holds nothing, and the conversation is computed once more. */
void mx_talk_load_cache(struct mx_talk *talk, const char *path);

#endif
