/* The program as a server that a test starts, asks and stops. For one test program: everything is static. */
#ifndef MX_TESTS_SERVE_RUNNING_H
#define MX_TESTS_SERVE_RUNNING_H

#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/json.h"
#include "serve/client.h"

static struct mx_error err;
static const char *program;

struct server {
    pid_t process;
    int port;
    FILE *out;
    char log[40];
};

#define TEMPLATE "tests/serve/plain.jinja" /* for the bundled model, which has none */

/* Starts the program with more flags, up to a NULL. */
static inline void start(struct server *server, const char *const *more)
{
    int ends[2];
    const char *arguments[40] = {program, "serve", "--port", "0", "-t", "1", "--template", TEMPLATE, "--log"};
    size_t count = 9;
    strcpy(server->log, "/tmp/mlxcel-serve-XXXXXX");
    close(mkstemp(server->log));
    arguments[count++] = server->log;
    for (; *more; more++) arguments[count++] = *more;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    server->process = fork();
    assert_true(server->process >= 0);
    if (server->process == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(ends[1]);
    server->out = fdopen(ends[0], "r");
    char line[200] = "";
    if (!fgets(line, sizeof line, server->out) ||
        sscanf(line, "listening on %*[a-z]://127.0.0.1:%d", &server->port) != 1) {
        fail_msg("the server does not listen: \"%s\"", line);
    }
}

/* Sends the signal and gives the exit status. */
static inline int stop(struct server *server)
{
    int status;
    kill(server->process, SIGTERM);
    assert_int_equal(waitpid(server->process, &status, 0), server->process);
    fclose(server->out);
    unlink(server->log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The server of a group of tests, whose template knows of tools; a group's setup and teardown. */
static inline int start_tools(void **state)
{
    static struct server server;
    static const char *const more[] = {"--parallel", "8", "--ctx", "1024", "--template", "tests/serve/tools.jinja",
                                       NULL};
    start(&server, more);
    *state = &server;
    return 0;
}

static inline int stop_tools(void **state)
{
    return stop(*state);
}

/* POSTs a body, or GETs where there is none, and expects the status; the answer is the caller's. */
static inline cJSON *ask(const struct server *server, const char *path, const char *body, int expected)
{
    int status;
    char *text = client_ask(server->port, body ? "POST" : "GET", path, "", body, &status);
    cJSON *root = NULL;
    if (status != expected) fail_msg("%s %s: %d %s", path, body ? body : "", status, text ? text : "nothing");
    assert_non_null(text);
    assert_ok(mx_json_parse(&root, text, strlen(text), path, &(struct mx_json_rules){0}, &err));
    free(text);
    return root;
}

static inline const cJSON *choice_of(const cJSON *root, int index)
{
    return cJSON_GetArrayItem(mx_json_get(root, "choices"), index);
}

static inline const char *text_of(const cJSON *item, const char *key)
{
    const cJSON *text = mx_json_get(item, key);
    assert_true(cJSON_IsString(text));
    return text->valuestring;
}

static inline double number_of(const cJSON *item, const char *key)
{
    const cJSON *number = mx_json_get(item, key);
    assert_true(cJSON_IsNumber(number));
    return number->valuedouble;
}

#endif
