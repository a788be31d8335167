/* The program as a server, driven over HTTP: answers equal those of `generate`, alone and in company, and what goes
 * wrong goes wrong as the interface has it. */
#include "serve/running.h"

#include <time.h>

/* --- the server that most share --- */

static int start_plain(void **state)
{
    static struct server server;
    static const char *const none[] = {"--parallel", "16", "--ctx", "2048", NULL};
    start(&server, none);
    *state = &server;
    return 0;
}

static int stop_plain(void **state)
{
    return stop(*state);
}

/* What `generate` says to a prompt: to be freed. */
static char *generate(const char *flag, const char *prompt, int tokens)
{
    char command[1200], *text = calloc(1, 8192);
    snprintf(command, sizeof command, "'%s' generate -t 1 %s -p '%s' -n %d 2>/dev/null", program, flag, prompt, tokens);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t length = fread(text, 1, 8191, pipe);
    assert_int_equal(pclose(pipe), 0);
    assert_true(length > 0);
    text[length - 1] = '\0'; /* the newline that ends its output */
    return text;
}

/* --- answers --- */

static void answers_as_generate_does(void **state)
{
    const struct server *server = *state;
    char *expected = generate("", "The file system", 24);
    cJSON *root = ask(server, "/v1/completions",
                      "{\"prompt\": \"The file system\", \"max_tokens\": 24, \"temperature\": 0}", 200);
    assert_string_equal(text_of(choice_of(root, 0), "text"), expected);
    assert_string_equal(text_of(choice_of(root, 0), "finish_reason"), "length");
    assert_string_equal(text_of(root, "object"), "text_completion");
    assert_true(number_of(mx_json_get(root, "usage"), "completion_tokens") == 24);
    cJSON_Delete(root);
    free(expected);
    expected = generate("--chat --template " TEMPLATE, "What is a file?", 16);
    root = ask(server, "/v1/chat/completions",
               "{\"messages\": [{\"role\": \"user\", \"content\": \"What is a file?\"}], \"max_tokens\": 16, "
               "\"temperature\": 0}",
               200);
    const cJSON *message = mx_json_get(choice_of(root, 0), "message");
    assert_string_equal(text_of(message, "content"), expected);
    assert_string_equal(text_of(message, "role"), "assistant");
    cJSON_Delete(root);
    free(expected);
}

/* Reads a stream to its end: the text of choice 0 (to be freed), and the last finish_reason and usage. */
static char *read_stream(struct client *client, char *finish, double *made)
{
    char *event, *text = calloc(1, 65536);
    bool done = false;
    while ((event = client_read_event(client))) {
        if (strcmp(event, "[DONE]") == 0) {
            done = true;
        } else {
            cJSON *root;
            assert_false(done);
            assert_ok(mx_json_parse(&root, event, strlen(event), "event", &(struct mx_json_rules){0}, &err));
            const cJSON *choice = choice_of(root, 0), *usage = mx_json_get_set(root, "usage");
            const cJSON *delta = mx_json_get(choice, "delta");
            const cJSON *piece = mx_json_get(delta ? delta : choice, delta ? "content" : "text");
            if (cJSON_IsString(piece)) strcat(text, piece->valuestring);
            if (mx_json_get_set(choice, "finish_reason")) strcpy(finish, text_of(choice, "finish_reason"));
            if (usage) *made = number_of(usage, "completion_tokens");
            cJSON_Delete(root);
        }
        free(event);
    }
    assert_true(done);
    return text;
}

static void streams_what_it_says_whole(void **state)
{
    const struct server *server = *state;
    struct client client;
    char finish[20] = "", *expected = generate("", "The file system", 24);
    double made = 0;
    assert_true(client_open(&client, server->port));
    assert_true(
        client_send(&client, "POST", "/v1/completions", "",
                    "{\"prompt\": \"The file system\", \"max_tokens\": 24, \"temperature\": 0, \"stream\": true, "
                    "\"stream_options\": {\"include_usage\": true}}"));
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 200);
    assert_non_null(strstr(client.head, "text/event-stream"));
    char *text = read_stream(&client, finish, &made);
    assert_string_equal(text, expected);
    assert_string_equal(finish, "length");
    assert_true(made == 24);
    free(text);
    /* The same connection goes on. */
    assert_true(client_send(&client, "POST", "/v1/chat/completions", "",
                            "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"max_tokens\": 5, "
                            "\"temperature\": 0, \"stream\": true}"));
    assert_true(client_read_head(&client));
    text = read_stream(&client, finish, &made);
    char *chat = generate("--chat --template " TEMPLATE, "Hi", 5);
    assert_string_equal(text, chat);
    client_close(&client);
    free(text);
    free(chat);
    free(expected);
}

/* Sixteen at once, of which each gets what it gets alone. */
static void company_changes_nothing(void **state)
{
    enum { COUNT = 16, MADE = 20 };
    const struct server *server = *state;
    struct client clients[COUNT];
    static const char *const words[4] = {"The file system", "A user may", "When the disk is full", "Each process"};
    for (int i = 0; i < COUNT; i++) {
        char body[300];
        snprintf(body, sizeof body,
                 "{\"prompt\": \"%s\", \"max_tokens\": %d, \"temperature\": %s, \"seed\": %d, \"stream\": %s}",
                 words[i % 4], MADE, i < 8 ? "0" : "0.8", i, i % 2 ? "true" : "false");
        assert_true(client_open(&clients[i], server->port));
        assert_true(client_send(&clients[i], "POST", "/v1/completions", "", body));
    }
    for (int i = 0; i < COUNT; i++) {
        char flags[60], finish[20], *text;
        double made;
        snprintf(flags, sizeof flags, "--temp %s --seed %d", i < 8 ? "0" : "0.8", i);
        char *expected = generate(flags, words[i % 4], MADE);
        assert_true(client_read_head(&clients[i]));
        assert_int_equal(clients[i].status, 200);
        if (i % 2) {
            text = read_stream(&clients[i], finish, &made);
        } else {
            char *body = client_read_body(&clients[i]);
            cJSON *root;
            assert_non_null(body);
            assert_ok(mx_json_parse(&root, body, strlen(body), "body", &(struct mx_json_rules){0}, &err));
            text = strdup(text_of(choice_of(root, 0), "text"));
            cJSON_Delete(root);
            free(body);
        }
        assert_string_equal(text, expected);
        client_close(&clients[i]);
        free(text);
        free(expected);
    }
}

static void makes_several_choices(void **state)
{
    const struct server *server = *state;
    cJSON *root = ask(server, "/v1/completions",
                      "{\"prompt\": [\"The file system\", \"A user may\"], \"n\": 2, \"max_tokens\": 8, \"seed\": 7, "
                      "\"temperature\": 1}",
                      200);
    assert_int_equal(cJSON_GetArraySize(mx_json_get(root, "choices")), 4);
    for (int i = 0; i < 4; i++) {
        char flags[40];
        snprintf(flags, sizeof flags, "--temp 1 --seed %d", 7 + i % 2);
        char *expected = generate(flags, i < 2 ? "The file system" : "A user may", 8);
        assert_true(number_of(choice_of(root, i), "index") == i);
        assert_string_equal(text_of(choice_of(root, i), "text"), expected);
        free(expected);
    }
    assert_true(number_of(mx_json_get(root, "usage"), "completion_tokens") == 32);
    cJSON_Delete(root);
}

static void obeys_its_settings(void **state)
{
    const struct server *server = *state;
    char *whole = generate("", "The file system", 40), *expected = generate("--stop system", "The file system", 40);
    cJSON *root =
        ask(server, "/v1/completions",
            "{\"prompt\": \"The file system\", \"max_tokens\": 40, \"temperature\": 0, \"stop\": \"system\"}", 200);
    assert_string_equal(text_of(choice_of(root, 0), "finish_reason"), "stop");
    assert_string_equal(text_of(choice_of(root, 0), "text"), expected);
    assert_true(strlen(expected) < strlen(whole));
    cJSON_Delete(root);
    /* A bias of -100 on the first token that would come bars it; log-probabilities are what they were. */
    cJSON *first =
        ask(server, "/v1/completions",
            "{\"prompt\": \"The file system\", \"max_tokens\": 1, \"temperature\": 0, \"logprobs\": 3}", 200);
    const cJSON *logprobs = mx_json_get(choice_of(first, 0), "logprobs");
    const char *best = cJSON_GetArrayItem(mx_json_get(logprobs, "tokens"), 0)->valuestring;
    const cJSON *top = cJSON_GetArrayItem(mx_json_get(logprobs, "top_logprobs"), 0);
    assert_int_equal(cJSON_GetArraySize(top), 3);
    assert_string_equal(top->child->string, best);
    assert_true(top->child->valuedouble < 0 && top->child->valuedouble > top->child->next->valuedouble);
    char body[300];
    snprintf(body, sizeof body, "{\"content\": \"%s\"}", best);
    cJSON *ids = ask(server, "/tokenize", body, 200);
    const int id = (int)cJSON_GetArrayItem(mx_json_get(ids, "tokens"), 0)->valuedouble;
    snprintf(body, sizeof body,
             "{\"prompt\": \"The file system\", \"max_tokens\": 1, \"temperature\": 0, \"logprobs\": 3, "
             "\"logit_bias\": {\"%d\": -100}}",
             id);
    root = ask(server, "/v1/completions", body, 200);
    const cJSON *barred = mx_json_get(choice_of(root, 0), "logprobs");
    assert_string_not_equal(cJSON_GetArrayItem(mx_json_get(barred, "tokens"), 0)->valuestring, best);
    assert_true(cJSON_GetArrayItem(mx_json_get(barred, "top_logprobs"), 0)->child->valuedouble ==
                top->child->valuedouble);
    cJSON_Delete(root);
    cJSON_Delete(ids);
    cJSON_Delete(first);
    /* A frequency penalty keeps a text from repeating itself. */
    root =
        ask(server, "/v1/completions",
            "{\"prompt\": \"The file system\", \"max_tokens\": 40, \"temperature\": 0, \"frequency_penalty\": 2}", 200);
    assert_string_not_equal(text_of(choice_of(root, 0), "text"), whole);
    cJSON_Delete(root);
    free(expected);
    free(whole);
}

static void gives_log_probabilities_of_a_chat(void **state)
{
    const struct server *server = *state;
    cJSON *root =
        ask(server, "/v1/chat/completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"max_tokens\": 6, \"temperature\": 0, "
            "\"logprobs\": true, \"top_logprobs\": 2}",
            200);
    const cJSON *content = mx_json_get(mx_json_get(choice_of(root, 0), "logprobs"), "content"), *one;
    char text[400] = "";
    assert_int_equal(cJSON_GetArraySize(content), 6);
    cJSON_ArrayForEach (one, content) {
        const cJSON *top = mx_json_get(one, "top_logprobs");
        assert_int_equal(cJSON_GetArraySize(top), 2);
        assert_string_equal(text_of(one, "token"), text_of(top->child, "token"));
        assert_true(number_of(one, "logprob") == number_of(top->child, "logprob"));
        assert_int_equal(cJSON_GetArraySize(mx_json_get(one, "bytes")), (int)strlen(text_of(one, "token")));
        strcat(text, text_of(one, "token"));
    }
    assert_string_equal(text, text_of(mx_json_get(choice_of(root, 0), "message"), "content"));
    cJSON_Delete(root);
}

static void shares_beginnings(void **state)
{
    const struct server *server = *state;
    char *body = malloc(8000);
    size_t length = (size_t)sprintf(body, "{\"max_tokens\": 2, \"temperature\": 0, \"prompt\": \"");
    for (int i = 0; i < 300; i++) length += (size_t)sprintf(body + length, "word %d ", i);
    strcpy(body + length, "\"}");
    cJSON *first = ask(server, "/v1/completions", body, 200), *second = ask(server, "/v1/completions", body, 200);
    const cJSON *usage = mx_json_get(second, "usage");
    const double prompt = number_of(usage, "prompt_tokens");
    assert_true(prompt > 600);
    assert_true(number_of(mx_json_get(usage, "prompt_tokens_details"), "cached_tokens") == prompt - 1);
    assert_string_equal(text_of(choice_of(first, 0), "text"), text_of(choice_of(second, 0), "text"));
    cJSON_Delete(first);
    cJSON_Delete(second);
    free(body);
}

/* --- what goes wrong --- */

static void refuses_as_the_interface_does(void **state)
{
    const struct server *server = *state;
    static const struct {
        const char *method, *path, *headers, *body, *message;
        int status;
    } cases[] = {
        {"GET", "/nothing", "", NULL, "there is nothing at /nothing", 404},
        {"GET", "/v1/chat/completions", "", NULL, "doesn't take GET", 405},
        {"POST", "/v1/embeddings", "", "{}", "no embeddings", 501},
        {"POST", "/v1/completions", "", "{", "the body", 400},
        {"POST", "/v1/completions", "", "", "the body", 400},
        {"POST", "/v1/completions", "", "{\"prompt\": \"x\", \"model\": \"gpt\"}", "\"gpt\" is not here", 404},
        {"POST", "/v1/completions", "", "{\"prompt\": [99999999]}", "not in the vocabulary", 400},
        {"POST", "/v1/completions", "", "{\"prompt\": \"x\", \"logit_bias\": {\"99999999\": 1}}", "logit_bias", 400},
        {"GET", "/v1/models/other", "", NULL, "is not here", 404},
        {"POST", "/tokenize", "", "{\"text\": 1}", "content", 400},
        {"POST", "/detokenize", "", "{\"tokens\": [-1]}", "tokens", 400},
        {"GET", "/v1/models", "Origin: https://evil.example\r\n", NULL, "may not ask", 403},
        {"OPTIONS", "/v1/models", "Origin: https://evil.example\r\n", NULL, "may not ask", 403},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status;
        char *text = client_ask(server->port, cases[i].method, cases[i].path, cases[i].headers, cases[i].body, &status);
        cJSON *root;
        assert_non_null(text);
        if (status != cases[i].status) fail_msg("%s: %d %s", cases[i].path, status, text);
        assert_ok(mx_json_parse(&root, text, strlen(text), "error", &(struct mx_json_rules){0}, &err));
        const cJSON *error = mx_json_get(root, "error");
        if (!strstr(text_of(error, "message"), cases[i].message)) fail_msg("%s", text);
        assert_true(cJSON_IsString(mx_json_get(error, "type")));
        cJSON_Delete(root);
        free(text);
    }
}

/* A client that takes every 5xx for a passing trouble is told that this one is none. */
static void says_that_what_it_lacks_will_not_come(void **state)
{
    const struct server *server = *state;
    struct client client;
    assert_true(client_open(&client, server->port));
    assert_true(client_send(&client, "POST", "/v1/embeddings", "", "{}"));
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 501);
    assert_non_null(strstr(client.head, "X-Should-Retry: false"));
    client_close(&client);
}

static void refuses_what_is_too_long(void **state)
{
    const struct server *server = *state;
    const size_t size = (9 << 20) + 100;
    char *body = malloc(size + 1);
    int status;
    memset(body, 'a', size);
    memcpy(body, "{\"prompt\": \"", 12);
    strcpy(body + size - 2, "\"}");
    struct client client;
    assert_true(client_open(&client, server->port));
    (void)client_send(&client, "POST", "/v1/completions", "", body); /* the answer may come first */
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 413);
    client_close(&client);
    /* Longer than the context, not than a body may be. */
    strcpy(body + 20000, "\"}");
    char *text = client_ask(server->port, "POST", "/v1/completions", "", body, &status);
    assert_int_equal(status, 400);
    assert_non_null(strstr(text, "context_length_exceeded"));
    free(text);
    /* In pieces, without a length said before. */
    static const char head[] = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_true(client_open(&client, server->port));
    assert_true(client_send_raw(&client, head, sizeof head - 1));
    for (int i = 0; i < 10; i++) {
        if (!client_send_raw(&client, "100000\r\n", 8) || !client_send_raw(&client, body, 1 << 20)) break;
        if (!client_send_raw(&client, "\r\n", 2)) break;
    }
    (void)client_send_raw(&client, "0\r\n\r\n", 5);
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 413);
    client_close(&client);
    free(body);
}

static double metric(const struct server *server, const char *name)
{
    int status;
    char line[120];
    char *text = client_ask(server->port, "GET", "/metrics", "", NULL, &status);
    assert_int_equal(status, 200);
    snprintf(line, sizeof line, "\nmlxcel_%s ", name);
    const char *found = strstr(text, line);
    if (!found) fail_msg("no metric %s", name);
    const double value = atof(found + strlen(line));
    free(text);
    return value;
}

/* Waits until a metric has a value; fails after a minute. */
static void await_metric(const struct server *server, const char *name, double value)
{
    for (int i = 0; i < 1200; i++) {
        if (metric(server, name) == value) return;
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    fail_msg("%s is %g, not %g", name, metric(server, name), value);
}

static void lets_go_of_who_left(void **state)
{
    const struct server *server = *state;
    static const char body[] = "{\"prompt\": \"The file system\", \"max_tokens\": 100000, \"temperature\": 0.9, "
                               "\"logit_bias\": {\"1\": -100}%s}";
    const double before = metric(server, "cancelled_total");
    for (int stream = 0; stream < 2; stream++) {
        struct client client;
        char text[200];
        snprintf(text, sizeof text, body, stream ? ", \"stream\": true" : "");
        assert_true(client_open(&client, server->port));
        assert_true(client_send(&client, "POST", "/v1/completions", "", text));
        if (stream) {
            assert_true(client_read_head(&client));
            free(client_read_event(&client));
        } else {
            await_metric(server, "sequences_running", 1);
        }
        client_close(&client);
        await_metric(server, "sequences_running", 0);
        await_metric(server, "cancelled_total", before + 1 + stream);
    }
}

/* Whoever doesn't read their streams keeps nobody waiting. */
static void waits_for_no_reader(void **state)
{
    enum { COUNT = 6 };
    const struct server *server = *state;
    struct client clients[COUNT];
    for (int i = 0; i < COUNT; i++) {
        assert_true(client_open(&clients[i], server->port));
        assert_true(client_send(&clients[i], "POST", "/v1/completions", "",
                                "{\"prompt\": \"The file system\", \"max_tokens\": 500, \"temperature\": 0.9, "
                                "\"logit_bias\": {\"1\": -100}, \"stream\": true, \"logprobs\": 20}"));
    }
    cJSON *root = ask(server, "/v1/completions", "{\"prompt\": \"The file system\", \"max_tokens\": 30}", 200);
    cJSON_Delete(root);
    await_metric(server, "sequences_running", 0);
    for (int i = 0; i < COUNT; i++) {
        char finish[20] = "", *text;
        double made = 0;
        assert_true(client_read_head(&clients[i]));
        text = read_stream(&clients[i], finish, &made); /* what was made meanwhile is there */
        assert_string_equal(finish, "length");
        free(text);
        client_close(&clients[i]);
    }
}

static void survives_half_a_request(void **state)
{
    const struct server *server = *state;
    static const char *const halves[] = {
        "",
        "GET",
        "GET / HT",
        "POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"prom",
        "\x16\x03\x01\x02\x00\x01\x00",
        "GET /v1/models HTTP/9.9\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        struct client client;
        assert_true(client_open(&client, server->port));
        assert_true(client_send_raw(&client, halves[i], strlen(halves[i])));
        client_close(&client);
    }
    cJSON_Delete(ask(server, "/health", NULL, 200));
}

/* --- servers with settings of their own --- */

static void asks_for_keys_and_answers_browsers(void **state)
{
    (void)state;
    struct server server;
    int status;
    char path[] = "/tmp/mlxcel-keys-XXXXXX";
    const int file = mkstemp(path);
    assert_true(write(file, "a-secret-key\n", 13) == 13);
    close(file);
    const char *const more[] = {"--api-key-file", path, "--cors", "https://chat.example", NULL};
    start(&server, more);
    char *text = client_ask(server.port, "GET", "/v1/models", "", NULL, &status);
    assert_int_equal(status, 401);
    free(text);
    text = client_ask(server.port, "GET", "/health", "", NULL, &status);
    assert_int_equal(status, 200);
    free(text);
    struct client client;
    assert_true(client_open(&client, server.port));
    assert_true(client_send(&client, "OPTIONS", "/v1/models",
                            "Origin: https://chat.example\r\nAccess-Control-Request-Headers: authorization\r\n", NULL));
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 204);
    assert_non_null(strstr(client.head, "Access-Control-Allow-Origin: https://chat.example"));
    assert_non_null(strstr(client.head, "Access-Control-Allow-Headers: authorization"));
    client_close(&client);
    text = client_ask(server.port, "GET", "/v1/models", "Authorization: Bearer a-secret-key\r\n", NULL, &status);
    assert_int_equal(status, 200);
    free(text);
    assert_int_equal(stop(&server), 0);
    unlink(path);
}

/* With a certificate it speaks HTTPS and nothing else. */
static void speaks_tls(void **state)
{
    (void)state;
    if (system("command -v curl >/dev/null") != 0) skip_needing("curl");
    struct server server;
    char command[300], text[400] = "";
    int status;
    const char *const more[] = {"--tls-cert", "tests/data/tls/cert.pem", "--tls-key", "tests/data/tls/key.pem", NULL};
    start(&server, more);
    snprintf(command, sizeof command,
             "curl -sS --cacert tests/data/tls/cert.pem https://localhost:%d/v1/completions -d '{\"prompt\": \"The\", "
             "\"max_tokens\": 3, \"stream\": true}' | tail -n 2",
             server.port);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    (void)!fread(text, 1, sizeof text - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(text, "data: [DONE]"));
    free(client_ask(server.port, "GET", "/health", "", NULL, &status));
    assert_int_equal(status, 0);
    assert_int_equal(stop(&server), 0);
}

/* Two run, two wait, whoever comes then is told so at once; those that were accepted get their answers, also when the
 * server is told to stop meanwhile. */
static void refuses_beyond_its_queue_and_drains(void **state)
{
    (void)state;
    enum { ACCEPTED = 4, COUNT = 12 };
    struct server server;
    struct client clients[COUNT];
    int accepted = 0, busy = 0;
    const char *const more[] = {"--parallel", "2", "--queue", "2", "--ctx", "2048", NULL};
    start(&server, more);
    for (int i = 0; i < COUNT; i++) {
        assert_true(client_open(&clients[i], server.port));
        assert_true(client_send(&clients[i], "POST", "/v1/completions", "",
                                "{\"prompt\": \"The file system\", \"max_tokens\": 400, \"temperature\": 0.9, "
                                "\"logit_bias\": {\"1\": -100}, \"stream\": true}"));
        if (i + 1 != ACCEPTED) continue;
        for (int k = 0; k < ACCEPTED; k++) assert_true(client_read_head(&clients[k]));
    }
    for (int i = ACCEPTED; i < COUNT; i++) {
        assert_true(client_read_head(&clients[i]));
        if (clients[i].status != 429) continue;
        busy++;
        assert_non_null(strstr(clients[i].head, "Retry-After:"));
        char *said = client_read_body(&clients[i]);
        const char *number = strstr(said, "\"message\": \"");
        assert_non_null(number);
        assert_in_range(atoi(number + strlen("\"message\": \"")), 1, ACCEPTED); /* the refused take no place */
        free(said);
    }
    assert_true(busy > 0);
    kill(server.process, SIGTERM);
    for (int i = 0; i < COUNT; i++) {
        if (clients[i].status == 200) {
            char finish[20] = "", *text = read_stream(&clients[i], finish, &(double){0});
            assert_string_equal(finish, "length");
            free(text);
            accepted++;
        }
        client_close(&clients[i]);
    }
    assert_int_equal(accepted + busy, COUNT);
    int status;
    assert_int_equal(waitpid(server.process, &status, 0), server.process);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fclose(server.out);
    unlink(server.log);
}

/* Texts that don't fit together are parked in turn, and all get what they get alone. */
static void parks_what_does_not_fit(void **state)
{
    (void)state;
    enum { COUNT = 6, MADE = 300 };
    struct server server;
    struct client clients[COUNT];
    const char *const more[] = {"--parallel", "6", "--ctx", "1024", "--memory", "5M", NULL};
    start(&server, more);
    for (int i = 0; i < COUNT; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"prompt\": \"Text %d: the file system\", \"max_tokens\": %d, \"temperature\": 0.7, \"seed\": 3, "
                 "\"logit_bias\": {\"1\": -100}}",
                 i, MADE);
        assert_true(client_open(&clients[i], server.port));
        assert_true(client_send(&clients[i], "POST", "/v1/completions", "", body));
    }
    char *together[COUNT];
    for (int i = 0; i < COUNT; i++) {
        assert_true(client_read_head(&clients[i]));
        assert_int_equal(clients[i].status, 200);
        together[i] = client_read_body(&clients[i]);
        client_close(&clients[i]);
    }
    assert_true(metric(&server, "parkings_total") > 0);
    for (int i = 0; i < COUNT; i++) {
        char body[200];
        snprintf(body, sizeof body,
                 "{\"prompt\": \"Text %d: the file system\", \"max_tokens\": %d, \"temperature\": 0.7, \"seed\": 3, "
                 "\"logit_bias\": {\"1\": -100}}",
                 i, MADE);
        cJSON *alone = ask(&server, "/v1/completions", body, 200), *both;
        assert_ok(mx_json_parse(&both, together[i], strlen(together[i]), "b", &(struct mx_json_rules){0}, &err));
        assert_string_equal(text_of(choice_of(alone, 0), "text"), text_of(choice_of(both, 0), "text"));
        cJSON_Delete(alone);
        cJSON_Delete(both);
        free(together[i]);
    }
    assert_int_equal(stop(&server), 0);
}

/* A thousand that send nothing more keep nobody out, and are shown the door. */
static void shows_the_slow_the_door(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct server server;
    static struct client clients[COUNT];
    const char *const more[] = {"--timeout", "2", NULL};
    start(&server, more);
    for (int i = 0; i < COUNT; i++) {
        assert_true(client_open(&clients[i], server.port));
        assert_true(client_send_raw(&clients[i], "POST /v1/comp", 13));
    }
    cJSON_Delete(ask(&server, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3}", 200));
    for (int i = 0; i < 100; i++) {
        if (metric(&server, "connections") < 3) break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    assert_true(metric(&server, "connections") < 3);
    for (int i = 0; i < COUNT; i++) client_close(&clients[i]);
    assert_int_equal(stop(&server), 0);
}

/* Lines that the log has no room for are lost, and nothing else. */
static void goes_on_with_a_full_disk(void **state)
{
    (void)state;
    struct server server;
    const char *const more[] = {"--log", "/dev/full", NULL};
    start(&server, more);
    for (int i = 0; i < 3; i++)
        cJSON_Delete(ask(&server, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3}", 200));
    assert_true(metric(&server, "log_lines_lost_total") >= 3);
    assert_int_equal(stop(&server), 0);
}

static double cpu_seconds(const struct server *server)
{
    clockid_t clock;
    struct timespec time;
    assert_int_equal(clock_getcpuclockid(server->process, &clock), 0);
    assert_int_equal(clock_gettime(clock, &time), 0);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void rests_while_nobody_asks(void **state)
{
    const struct server *server = *state;
    cJSON_Delete(ask(server, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3}", 200));
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    const double before = cpu_seconds(server);
    nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
    assert_true(cpu_seconds(server) - before < 0.03);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    program = argv[1];
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest plain[] = {
        cmocka_unit_test(answers_as_generate_does),
        cmocka_unit_test(streams_what_it_says_whole),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(makes_several_choices),
        cmocka_unit_test(obeys_its_settings),
        cmocka_unit_test(gives_log_probabilities_of_a_chat),
        cmocka_unit_test(shares_beginnings),
        cmocka_unit_test(refuses_as_the_interface_does),
        cmocka_unit_test(says_that_what_it_lacks_will_not_come),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(lets_go_of_who_left),
        cmocka_unit_test(waits_for_no_reader),
        cmocka_unit_test(survives_half_a_request),
        cmocka_unit_test(rests_while_nobody_asks),
    };
    const struct CMUnitTest own[] = {
        cmocka_unit_test(asks_for_keys_and_answers_browsers),
        cmocka_unit_test(speaks_tls),
        cmocka_unit_test(refuses_beyond_its_queue_and_drains),
        cmocka_unit_test(parks_what_does_not_fit),
        cmocka_unit_test(shows_the_slow_the_door),
        cmocka_unit_test(goes_on_with_a_full_disk),
    };
    return cmocka_run_group_tests(plain, start_plain, stop_plain) + cmocka_run_group_tests(own, NULL, NULL);
}
