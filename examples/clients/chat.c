/* A chat at the terminal, of libmlxcel's header alone; it is C and C++.
 *
 *     cc chat.c $(pkg-config --cflags --libs mlxcel) -o chat && ./chat MODEL [CACHE-MODE]
 *
 * The answer appears as it is made, Ctrl-C ends it and keeps the conversation, Ctrl-D ends the program. What was said
 * stays in the sequence's cache, so that a turn costs its own tokens only. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mlxcel/mlxcel.h>

struct conversation {
    struct mx_message *messages;
    size_t count;
    char *answer; /* that is being made */
    size_t length;
};

static struct mx_seq *sequence; /* for the signal's handler */

static void on_interrupt(int number)
{
    (void)number;
    if (sequence) mx_seq_cancel(sequence);
}

static void *need(void *memory)
{
    if (memory) return memory;
    fputs("chat: out of memory\n", stderr);
    exit(1);
}

static void say(struct conversation *talk, const char *role, const char *content)
{
    talk->messages = (struct mx_message *)need(realloc(talk->messages, (talk->count + 1) * sizeof *talk->messages));
    talk->messages[talk->count].role = role;
    talk->messages[talk->count++].content = (const char *)need(strdup(content));
}

/* Shows a part of the answer and keeps it. */
static bool on_text(void *context, const char *text, size_t length)
{
    struct conversation *talk = (struct conversation *)context;
    talk->answer = (char *)need(realloc(talk->answer, talk->length + length + 1));
    memcpy(talk->answer + talk->length, text, length);
    talk->length += length;
    talk->answer[talk->length] = '\0';
    fwrite(text, 1, length, stdout);
    return fflush(stdout) == 0;
}

static bool answer(struct conversation *talk)
{
    struct mx_error error;
    struct mx_sampling sampling = mx_sampling_default();
    struct mx_generate_request request = mx_generate_request_default();
    struct mx_generate_result result;
    result.size = sizeof result;
    sampling.temperature = 0.7;
    sampling.top_p = 0.95;
    request.messages = talk->messages;
    request.count = talk->count;
    request.max_tokens = 512;
    request.sampling = &sampling;
    request.on_text = on_text;
    request.context = talk;
    talk->length = 0;
    if (mx_seq_generate(sequence, &request, &result, &error) != MX_OK) {
        fprintf(stderr, "chat: %s\n", error.message);
        return false;
    }
    printf("\n");
    fprintf(stderr, "[%u tokens, ended by: %s; %u of %u tokens of the prompt were there]\n", result.tokens,
            mx_end_reason_name(result.end), result.reused_tokens, result.prompt_tokens);
    say(talk, "assistant", talk->length ? talk->answer : "");
    return result.end != MX_END_CONTEXT;
}

int main(int argc, char **argv)
{
    struct mx_error error;
    struct mx_llm *llm;
    struct mx_seq_options cache = mx_seq_options_default();
    struct conversation talk = {NULL, 0, NULL, 0};
    char line[4096];
    bool going = true;
    if (argc < 2) {
        fputs("usage: chat MODEL [CACHE-MODE]\n", stderr);
        return 2;
    }
    cache.cache_mode = argc > 2 ? argv[2] : "advised";
    if (mx_llm_open(&llm, argv[1], NULL, &error) != MX_OK || mx_seq_open(&sequence, llm, &cache, &error) != MX_OK) {
        fprintf(stderr, "chat: %s\n", error.message);
        mx_llm_close(llm);
        return 1;
    }
    signal(SIGINT, on_interrupt);
    while (going && fputs("> ", stderr) >= 0 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!*line) continue;
        say(&talk, "user", line);
        going = answer(&talk);
    }
    for (size_t i = 0; i < talk.count; i++) free((void *)talk.messages[i].content);
    free(talk.messages);
    free(talk.answer);
    mx_seq_close(sequence);
    mx_llm_close(llm);
    return going ? 0 : 1;
}
