/* The page at /, driven in a headless browser over its debugging pipe: it writes, streams, stops, survives a reload,
 * and shows what the server does. */
#include "serve/running.h"

#include <poll.h>
#include <time.h>

struct browser {
    pid_t process;
    int to, from;
    char profile[40];
    struct mx_str unread;
    char session[64];
    int next;
};

/* --- the browser's protocol: JSON with a NUL behind each message, in on descriptor 3, out on 4 --- */

static void open_browser(struct browser *browser)
{
    int in[2], out[2];
    char profile[80];
    *browser = (struct browser){.next = 1};
    strcpy(browser->profile, "/tmp/mlxcel-page-XXXXXX");
    assert_non_null(mkdtemp(browser->profile));
    snprintf(profile, sizeof profile, "--user-data-dir=%s", browser->profile);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    browser->process = fork();
    assert_true(browser->process >= 0);
    if (browser->process == 0) {
        setpgid(0, 0);
        dup2(in[0], 100);
        dup2(out[1], 101);
        dup2(100, 3);
        dup2(101, 4);
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        execlp("chromium", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
               "--no-first-run", profile, "about:blank", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    browser->to = in[1];
    browser->from = out[0];
}

static void close_browser(struct browser *browser)
{
    char command[100];
    kill(-browser->process, SIGKILL);
    waitpid(browser->process, NULL, 0);
    close(browser->to);
    close(browser->from);
    mx_str_free(&browser->unread);
    snprintf(command, sizeof command, "rm -rf %s", browser->profile);
    assert_int_equal(system(command), 0);
}

static cJSON *next_message(struct browser *browser)
{
    for (;;) {
        char *end = browser->unread.length ? memchr(browser->unread.data, 0, browser->unread.length) : NULL;
        if (end) {
            cJSON *root = cJSON_Parse(browser->unread.data);
            const size_t used = (size_t)(end + 1 - browser->unread.data);
            memmove(browser->unread.data, end + 1, browser->unread.length - used);
            browser->unread.length -= used;
            assert_non_null(root);
            return root;
        }
        char piece[65536];
        struct pollfd one = {.fd = browser->from, .events = POLLIN};
        if (poll(&one, 1, 60000) != 1) fail_msg("the browser says nothing");
        const ssize_t got = read(browser->from, piece, sizeof piece);
        if (got <= 0) fail_msg("the browser has ended");
        mx_str_append(&browser->unread, piece, (size_t)got);
    }
}

/* Calls a method; `parameters` is JSON. The result is the caller's. */
static cJSON *call(struct browser *browser, const char *method, const char *parameters)
{
    struct mx_str text = {0};
    const int id = browser->next++;
    mx_str_printf(&text, "{\"id\": %d, \"method\": \"%s\", \"params\": %s", id, method, parameters);
    if (browser->session[0]) mx_str_printf(&text, ", \"sessionId\": \"%s\"", browser->session);
    mx_str_puts(&text, "}");
    assert_true(write(browser->to, text.data, text.length + 1) == (ssize_t)text.length + 1);
    mx_str_free(&text);
    for (;;) {
        cJSON *message = next_message(browser);
        const cJSON *own = mx_json_get(message, "id");
        if (own && own->valuedouble == id) {
            if (mx_json_get(message, "error")) fail_msg("%s: %s", method, cJSON_PrintUnformatted(message));
            cJSON *result = cJSON_DetachItemFromObjectCaseSensitive(message, "result");
            cJSON_Delete(message);
            return result;
        }
        cJSON_Delete(message);
    }
}

/* What an expression of JavaScript gives, as text (an exception: what it says); to be freed. */
static char *evaluate(struct browser *browser, const char *expression)
{
    struct mx_str parameters = {0};
    mx_str_puts(&parameters, "{\"awaitPromise\": true, \"returnByValue\": true, \"expression\": ");
    mx_json_quote(&parameters, expression);
    mx_str_puts(&parameters, "}");
    cJSON *result = call(browser, "Runtime.evaluate", mx_str_text(&parameters));
    mx_str_free(&parameters);
    const bool thrown = mx_json_get(result, "exceptionDetails");
    const cJSON *value = mx_json_get(mx_json_get(result, "result"), thrown ? "description" : "value");
    char *text = cJSON_IsString(value) ? strdup(value->valuestring) : cJSON_PrintUnformatted(value);
    cJSON_Delete(result);
    return text ? text : strdup("undefined");
}

/* Runs statements. */
static void act(struct browser *browser, const char *statements)
{
    char code[600];
    snprintf(code, sizeof code, "(() => { %s; return 'done'; })()", statements);
    char *text = evaluate(browser, code);
    assert_string_equal(text, "done");
    free(text);
}

/* Waits for an expression to have a value. */
static void expect(struct browser *browser, const char *expression, const char *expected)
{
    char *text = NULL;
    for (int i = 0; i < 300; i++) {
        free(text);
        text = evaluate(browser, expression);
        if (strcmp(text, expected) == 0) {
            free(text);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    fail_msg("%s is %s, not %s", expression, text, expected);
}

static void press(struct browser *browser, const char *key, int code)
{
    char parameters[200];
    static const char *const types[] = {"keyDown", "keyUp"};
    for (int i = 0; i < 2; i++) {
        snprintf(parameters, sizeof parameters, "{\"type\": \"%s\", \"key\": \"%s\", \"windowsVirtualKeyCode\": %d%s}",
                 types[i], key, code, i == 0 && strcmp(key, "Enter") == 0 ? ", \"text\": \"\\r\"" : "");
        cJSON_Delete(call(browser, "Input.dispatchKeyEvent", parameters));
    }
}

static void type(struct browser *browser, const char *text)
{
    struct mx_str parameters = {0};
    mx_str_puts(&parameters, "{\"text\": ");
    mx_json_quote(&parameters, text);
    mx_str_puts(&parameters, "}");
    cJSON_Delete(call(browser, "Input.insertText", mx_str_text(&parameters)));
    mx_str_free(&parameters);
}

static void open_page(struct browser *browser, int port)
{
    char url[100];
    snprintf(url, sizeof url, "{\"url\": \"http://127.0.0.1:%d/\"}", port);
    cJSON *target = call(browser, "Target.createTarget", url);
    char attach[200];
    snprintf(attach, sizeof attach, "{\"targetId\": \"%s\", \"flatten\": true}", text_of(target, "targetId"));
    cJSON_Delete(target);
    cJSON *attached = call(browser, "Target.attachToTarget", attach);
    snprintf(browser->session, sizeof browser->session, "%s", text_of(attached, "sessionId"));
    cJSON_Delete(attached);
}

/* --- the test --- */

static void the_page_talks(void **state)
{
    (void)state;
    struct server server;
    struct browser browser;
    static const char *const more[] = {"--ctx", "4096", NULL};
    start(&server, more);
    open_browser(&browser);
    open_page(&browser, server.port);
    expect(&browser, "document.readyState", "complete");
    expect(&browser, "document.getElementById('model').textContent", "demo-llama-7m, 4,096 tokens");
    expect(&browser, "document.activeElement.id", "input"); /* who comes can type at once */

    /* It writes, and the answer comes; the settings count. */
    act(&browser, "['temperature', 'max_tokens'].forEach((id, i) => { const e = "
                  "document.getElementById(id); e.value = [0, 12][i]; e.dispatchEvent(new "
                  "Event('change')); })");
    type(&browser, "What is a file?");
    press(&browser, "Enter", 13);
    expect(&browser, "[...document.querySelectorAll('article')].map(a => a.className).join()", "user,assistant");
    expect(&browser, "document.getElementById('send').disabled", "false");
    cJSON *root = ask(&server, "/v1/chat/completions",
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"What is a file?\"}], \"max_tokens\": 12, "
                      "\"temperature\": 0}",
                      200);
    const char *said = text_of(mx_json_get(choice_of(root, 0), "message"), "content");
    expect(&browser, "document.querySelector('article.assistant span').textContent", said);

    /* It survives a reload. */
    cJSON_Delete(call(&browser, "Page.reload", "{}"));
    expect(&browser, "document.readyState + document.querySelectorAll('article').length", "complete2");
    expect(&browser, "document.querySelector('article.assistant span').textContent", said);
    expect(&browser, "document.getElementById('max_tokens').value", "12");
    cJSON_Delete(root);

    /* A long answer streams, and Escape stops it; the server hears of it. */
    act(&browser, "document.getElementById('max_tokens').value = 3500; "
                  "document.getElementById('temperature').value = 1.5");
    expect(&browser, "document.activeElement.id", "input");
    type(&browser, "Go on.");
    press(&browser, "Enter", 13);
    expect(&browser, "document.querySelectorAll('article').length", "4");
    expect(&browser, "document.querySelectorAll('article span')[3].textContent.length > 20", "true");
    press(&browser, "Escape", 27);
    expect(&browser, "document.getElementById('stop').disabled && !document.getElementById('send').disabled", "true");
    expect(&browser, "fetch('/metrics').then(r => r.text()).then(t => /sequences_running 0/.test(t))", "true");

    /* What the server refuses is said; the view of the server is alive; the ground turns. */
    act(&browser, "document.getElementById('max_tokens').value = -3");
    type(&browser, "x");
    press(&browser, "Enter", 13);
    expect(&browser, "document.querySelectorAll('article.error').length", "1");
    expect(&browser, "document.getElementById('m-mode').textContent", "fp16");
    expect(&browser, "document.getElementById('m-running').textContent", "0 of 16");
    act(&browser, "document.getElementById('theme').click()");
    expect(&browser, "getComputedStyle(document.body).backgroundColor", "rgb(22, 23, 26)");

    /* Every field has a name that a screen reader says. */
    expect(&browser,
           "[...document.querySelectorAll('input, textarea')].filter(e => !e.labels.length).length + "
           "[...document.querySelectorAll('button')].filter(e => !e.textContent.trim()).length",
           "0");
    act(&browser, "document.getElementById('fresh').click()");
    expect(&browser, "document.querySelectorAll('article').length", "0");
    close_browser(&browser);
    assert_int_equal(stop(&server), 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    program = argv[1];
    signal(SIGPIPE, SIG_IGN);
    if (system("command -v chromium >/dev/null") != 0) {
        puts("page: 0 passed, 0 failed, 1 skipped");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_talks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
