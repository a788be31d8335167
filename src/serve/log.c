/* Lines of JSON, written whole or not at all. */
#include "serve/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"

enum { MOST_OF_A_PROMPT = 1 << 20 };

mx_status mx_log_open(struct mx_log *log, const char *path, bool prompts, struct mx_metrics *metrics,
                      struct mx_error *err)
{
    *log = (struct mx_log){.descriptor = STDERR_FILENO, .prompts = prompts, .metrics = metrics};
    if (!path) return MX_OK;
    log->descriptor = -1;
    if (strcmp(path, "none") == 0) return MX_OK;
    log->descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (log->descriptor >= 0) return MX_OK;
    return mx_fail(err, MX_ERR_IO, "%s: the log cannot be written: %s", path, strerror(errno));
}

void mx_log_close(struct mx_log *log)
{
    if (log->descriptor > STDERR_FILENO) close(log->descriptor);
    log->descriptor = -1;
}

static void put_time(struct mx_str *line)
{
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    mx_str_printf(line, "{\"time\": \"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void put_work(struct mx_str *line, const struct mx_work *work, bool prompts)
{
    mx_str_printf(line,
                  ", \"id\": \"%s\", \"stream\": %s, \"choices\": %zu, \"prompt_tokens\": %zu, \"cached_tokens\": %zu, "
                  "\"completion_tokens\": %zu, \"cancelled\": %s",
                  work->id, work->ask.stream ? "true" : "false", work->choice_count, work->prompt_tokens,
                  work->cached_tokens, work->made_tokens, work->cancelled ? "true" : "false");
    if (work->first_token > 0) mx_str_printf(line, ", \"first_token_s\": %.4f", work->first_token - work->accepted);
    if (work->failure.error.status != MX_OK) {
        mx_str_puts(line, ", \"error\": ");
        mx_json_quote(line, work->failure.error.message);
    }
    if (!prompts) return;
    const size_t length = work->ask.body.length < MOST_OF_A_PROMPT ? work->ask.body.length : MOST_OF_A_PROMPT;
    mx_str_puts(line, ", \"request\": ");
    mx_json_quote_bytes(line, mx_str_text(&work->ask.body), length);
}

/* Whether a line can be written without a wait: a file always, a pipe if it has room. */
static bool writable(int descriptor, size_t length)
{
    struct stat stat;
    struct pollfd poll_one = {.fd = descriptor, .events = POLLOUT};
    if (fstat(descriptor, &stat) == 0 && S_ISREG(stat.st_mode)) return true;
    return length <= PIPE_BUF && poll(&poll_one, 1, 0) == 1 && (poll_one.revents & POLLOUT);
}

void mx_log_request(const struct mx_log *log, const char *method, const char *path, int code, double seconds,
                    const struct mx_work *work)
{
    if (log->descriptor < 0) return;
    struct mx_str line = {0};
    put_time(&line);
    mx_str_puts(&line, ", \"method\": ");
    mx_json_quote(&line, method);
    mx_str_puts(&line, ", \"path\": ");
    mx_json_quote(&line, path);
    mx_str_printf(&line, ", \"status\": %d, \"seconds\": %.4f", code, seconds);
    if (work) put_work(&line, work, log->prompts);
    mx_str_puts(&line, "}\n");
    bool written = false;
    if (!mx_str_failed(&line) && writable(log->descriptor, line.length)) {
        written = write(log->descriptor, line.data, line.length) == (ssize_t)line.length;
    }
    if (!written) atomic_fetch_add(&log->metrics->log_lines_lost, 1);
    mx_str_free(&line);
}
