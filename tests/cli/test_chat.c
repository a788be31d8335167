/* `mlxcel chat` in a pseudo-terminal, as a person uses it: typing, editing, history, Ctrl-C, commands. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/str.h"

enum { PATIENCE_MS = 30000 };

static const char *program;
static char folder[] = "/tmp/mlxcel-talk-XXXXXX";
static struct mx_error err;

/* The other end of the terminal. */
struct screen {
    pid_t child;
    int fd;
    struct mx_str text; /* all that came */
    size_t seen;        /* of it, up to what was waited for last */
};

static void start(struct screen *screen, const char *const *more)
{
    const char *arguments[32] = {program,    "chat",           "-t", "1", "--template", "examples/questions.jinja",
                                 "--system", "The file system"};
    size_t count = 8;
    while (*more) arguments[count++] = *more++;
    *screen = (struct screen){0};
    const struct winsize size = {.ws_row = 24, .ws_col = 100};
    screen->child = forkpty(&screen->fd, NULL, NULL, &size);
    assert_true(screen->child >= 0);
    if (screen->child == 0) {
        setenv("TERM", "vt100", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        setenv("HOME", folder, 1);
        unsetenv("XDG_STATE_HOME");
        execv(program, (char *const *)arguments);
        _exit(127);
    }
}

static void type(const struct screen *screen, const char *text)
{
    for (size_t sent = 0, length = strlen(text); sent < length;) {
        const ssize_t wrote = write(screen->fd, text + sent, length - sent);
        if (wrote < 0 && errno == EINTR) continue;
        assert_true(wrote > 0);
        sent += (size_t)wrote;
    }
}

/* Reads some more; false at the end. */
static bool look(struct screen *screen)
{
    char bytes[4096];
    struct pollfd waiting = {.fd = screen->fd, .events = POLLIN};
    if (poll(&waiting, 1, PATIENCE_MS) <= 0) fail_msg("nothing comes any more behind \"%s\"", screen->text.data);
    const ssize_t got = read(screen->fd, bytes, sizeof bytes);
    if (got <= 0) return false;         /* EIO: the child has closed its end */
    for (ssize_t i = 0; i < got; i++) { /* terminals are sent NUL bytes to gain time */
        if (bytes[i]) mx_str_putc(&screen->text, bytes[i]);
    }
    return true;
}

/* Waits until `text` stands behind what was seen before. */
static void await(struct screen *screen, const char *text)
{
    for (;;) {
        const char *found = screen->text.data ? strstr(screen->text.data + screen->seen, text) : NULL;
        if (found) {
            screen->seen = (size_t)(found - screen->text.data) + strlen(text);
            return;
        }
        if (!look(screen)) fail_msg("it ended before \"%s\": \"%s\"", text, mx_str_text(&screen->text));
    }
}

/* Waits for the end: its exit code, or 128 and the signal's number. */
static int end(struct screen *screen)
{
    int status;
    while (look(screen)) continue;
    assert_int_equal(waitpid(screen->child, &status, 0), screen->child);
    close(screen->fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void say(struct screen *screen, const char *line)
{
    type(screen, line);
    type(screen, "\r");
    await(screen, "\n");
}

/* The number behind `label` in the statistics. */
static long figure(struct screen *screen, const char *label)
{
    await(screen, label);
    while (!strchr(screen->text.data + screen->seen, '\n')) look(screen);
    return strtol(screen->text.data + screen->seen, NULL, 10);
}

static void turns_cost_their_own_tokens(void **state)
{
    struct screen screen;
    start(&screen, (const char *[]){"-n", "12", NULL});
    await(&screen, "/help");
    await(&screen, "> ");
    say(&screen, "What is a page of memory, and who owns it?");
    await(&screen, "> ");
    say(&screen, "/stats");
    const long first = figure(&screen, "prefill   ");
    await(&screen, "> ");
    say(&screen, "And why?");
    await(&screen, "> ");
    say(&screen, "/stats");
    await(&screen, "talk      4 turns; the cache holds ");
    const long held = figure(&screen, "");
    const long second = figure(&screen, "prefill   "), reused = figure(&screen, "tok/s (");
    assert_true(first > 15);
    assert_true(second < first); /* the turn alone, however long the talk */
    assert_true(reused >= first && second + reused <= held);
    await(&screen, "> ");
    type(&screen, "\4");
    assert_int_equal(end(&screen), 0);
    mx_str_free(&screen.text);
}

static void lines_are_edited_and_remembered(void **state)
{
    struct screen screen;
    char path[128];
    struct stat info;
    start(&screen, (const char *[]){"-n", "2", NULL});
    await(&screen, "> ");
    say(&screen, "/system Bee\177\177\303\266\001\005 brief"); /* backspaces, an umlaut, to the front and back */
    await(&screen, "> ");
    say(&screen, "/system");
    await(&screen, "B\303\266 brief");
    await(&screen, "> ");
    type(&screen, "\033[A\033[A"); /* up, up */
    type(&screen, "!\r");
    await(&screen, "> ");
    say(&screen, "/system");
    await(&screen, "B\303\266 brief!");
    await(&screen, "> ");
    say(&screen, "/system one \\");
    await(&screen, "... ");
    say(&screen, "two");
    await(&screen, "> ");
    say(&screen, "/system");
    await(&screen, "one \r\ntwo");
    await(&screen, "> ");
    say(&screen, "/quit");
    assert_int_equal(end(&screen), 0);
    mx_str_free(&screen.text);
    /* The next talk knows them. */
    snprintf(path, sizeof path, "%s/.local/state/mlxcel/history", folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    start(&screen, (const char *[]){"-n", "2", NULL});
    await(&screen, "> ");
    type(&screen, "\033[A\033[A"); /* behind /quit */
    await(&screen, "/system");
    type(&screen, "\r");
    await(&screen, "The file system"); /* --system of this talk */
    await(&screen, "> ");
    type(&screen, "\4");
    assert_int_equal(end(&screen), 0);
    mx_str_free(&screen.text);
}

static void ctrl_c_ends_an_answer_alone(void **state)
{
    struct screen screen;
    start(&screen, (const char *[]){"-m", folder, "-n", "8000", "--no-history", NULL});
    await(&screen, "> ");
    for (int i = 0; i < 3; i++) {
        say(&screen, "Tell me about everything");
        await(&screen, " ");
        usleep(200000);
        type(&screen, "\3");
        await(&screen, "interrupted");
        await(&screen, "> ");
    }
    say(&screen, "/stats");
    await(&screen, "talk      ");
    await(&screen, "ended by: interrupted");
    await(&screen, "> ");
    type(&screen, "half a line\3"); /* at the prompt it takes the line away */
    await(&screen, "> ");
    say(&screen, "/help");
    await(&screen, "/undo");
    await(&screen, "> ");
    say(&screen, "On and on");
    await(&screen, " ");
    usleep(200000);
    assert_int_equal(kill(screen.child, SIGTERM), 0); /* that is for the program */
    assert_int_equal(end(&screen), 130);
    mx_str_free(&screen.text);
}

static void commands_do_what_they_say(void **state)
{
    struct screen screen;
    char line[160], *text;
    size_t length;
    start(&screen, (const char *[]){"-n", "6", "--no-history", NULL});
    await(&screen, "> ");
    say(&screen, "First question");
    await(&screen, "> ");
    say(&screen, "Second question");
    await(&screen, "> ");
    say(&screen, "/undo");
    await(&screen, "> ");
    snprintf(line, sizeof line, "/save %s/talk.json", folder);
    say(&screen, line);
    await(&screen, "> ");
    say(&screen, "/reset");
    await(&screen, "> ");
    say(&screen, "/undo");
    await(&screen, "nothing was said yet");
    await(&screen, "> ");
    snprintf(line, sizeof line, "/load %s/talk.json", folder);
    say(&screen, line);
    await(&screen, "2 turns");
    await(&screen, "> ");
    say(&screen, "/mode int8");
    await(&screen, "int8, applied to 8 of 8 layers");
    await(&screen, "> ");
    say(&screen, "/mode nonsense");
    await(&screen, "nonsense");
    await(&screen, "> ");
    say(&screen, "/mode");
    await(&screen, "int8, applied to 8 of 8 layers");
    await(&screen, "> ");
    say(&screen, "//odd start");
    await(&screen, "> ");
    say(&screen, "/stats");
    await(&screen, "talk      4 turns");
    await(&screen, "> ");
    say(&screen, "/unod");
    await(&screen, "did you mean /undo?");
    await(&screen, "> ");
    say(&screen, "/load /nowhere/at/all");
    await(&screen, "/nowhere/at/all");
    await(&screen, "> ");
    say(&screen, "/save");
    await(&screen, "wants a file's name");
    await(&screen, "> ");
    snprintf(line, sizeof line, "%s/talk.json", folder);
    assert_ok(mx_file_read(line, 1 << 20, &text, &length, &err));
    assert_non_null(strstr(text, "{\"messages\": [{\"role\": \"system\", \"content\": \"The file system\"}"));
    assert_non_null(strstr(text, "{\"role\": \"user\", \"content\": \"First question\"}"));
    assert_non_null(strstr(text, "{\"role\": \"assistant\""));
    assert_null(strstr(text, "Second"));
    free(text);
    say(&screen, "/quit");
    assert_int_equal(end(&screen), 0);
    mx_str_free(&screen.text);
}

/* A talk that fills its context says so and goes on once something was taken back. */
static void a_full_context_is_said(void **state)
{
    struct screen screen;
    start(&screen, (const char *[]){"-m", folder, "-n", "4000", "-c", "64", "--no-history", NULL});
    await(&screen, "> ");
    say(&screen, "A question");
    await(&screen, "the answer was cut: context");
    await(&screen, "> ");
    say(&screen, "Another");
    await(&screen, "the context holds 64: /undo or /reset");
    await(&screen, "> ");
    say(&screen, "/undo");
    await(&screen, "> ");
    say(&screen, "Another");
    await(&screen, "the answer was cut: context");
    await(&screen, "> ");
    type(&screen, "\4");
    assert_int_equal(end(&screen), 0);
    mx_str_free(&screen.text);
}

/* The bundled model under `folder`, but without a token that ends a text: its answers go on. */
static int make_folder(void **state)
{
    static const char *const files[] = {"model.safetensors", "tokenizer.json"};
    char from[PATH_MAX], *here = realpath("models/demo-llama-7m", NULL), *text;
    size_t length;
    if (!here || !mkdtemp(folder)) return -1;
    for (size_t i = 0; i < 2; i++) {
        char *to = mx_path_join(folder, files[i]);
        snprintf(from, sizeof from, "%s/%s", here, files[i]);
        if (symlink(from, to) != 0) return -1;
        free(to);
    }
    free(here);
    char *config = mx_path_join(folder, "config.json");
    if (mx_file_read("models/demo-llama-7m/config.json", 1 << 20, &text, &length, &err) != MX_OK) return -1;
    char *end_token = strstr(text, "\"eos_token_id\": 1,");
    if (!end_token) return -1;
    memset(end_token, ' ', strlen("\"eos_token_id\": 1,"));
    const mx_status status = mx_file_write(config, text, length, &err);
    free(config);
    free(text);
    return status != MX_OK;
}

static int remove_folder(void **state)
{
    static const char *const left[] = {
        "model.safetensors",   "tokenizer.json", "config.json", "talk.json", ".local/state/mlxcel/history",
        ".local/state/mlxcel", ".local/state",   ".local",      ""};
    int failed = 0;
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        char *path = mx_path_join(folder, left[i]);
        failed = remove(path);
        free(path);
    }
    return failed;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_cost_their_own_tokens), cmocka_unit_test(lines_are_edited_and_remembered),
        cmocka_unit_test(ctrl_c_ends_an_answer_alone), cmocka_unit_test(commands_do_what_they_say),
        cmocka_unit_test(a_full_context_is_said),
    };
    program = argv[1];
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
