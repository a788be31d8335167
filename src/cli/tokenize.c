/* `mlxcel tokenize`: what a text is as token ids, and what ids are as text. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/chat_flags.h"
#include "cli/engine_flags.h"
#include "cli/output.h"
#include "cli/table.h"

struct options {
    struct mx_engine_flags engine; /* only the model's folder */
    const char *tokenizer, *text, *file;
    bool add_special, ids, decode, skip_special, json, no_generation_prompt;
    struct mx_chat_flags chat;
};

static const struct mx_flag flags[] = {
    {"tokenizer", 0, MX_FLAG_PATH, "FILE", "a tokenizer.json, a SentencePiece model or a tekken.json",
     offsetof(struct options, tokenizer)},
    {"model", 'm', MX_FLAG_PATH, "DIR", "the folder of a model with one (default: the bundled model)",
     offsetof(struct options, engine.model)},
    {"prompt", 'p', MX_FLAG_TEXT, "TEXT", "the text", offsetof(struct options, text)},
    {"file", 'f', MX_FLAG_PATH, "FILE", "read the text or ids from a file (default: standard input)",
     offsetof(struct options, file)},
    {"add-special", 0, MX_FLAG_SWITCH, NULL, "add the special tokens that the model expects",
     offsetof(struct options, add_special)},
    {"ids", 0, MX_FLAG_SWITCH, NULL, "print only the ids, on one line", offsetof(struct options, ids)},
    {"decode", 0, MX_FLAG_SWITCH, NULL, "read ids and print exactly their text", offsetof(struct options, decode)},
    {"skip-special", 0, MX_FLAG_SWITCH, NULL, "with --decode: omit special tokens",
     offsetof(struct options, skip_special)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    MX_CHAT_FLAG_ROWS(struct options, chat),
    {"no-generation-prompt", 0, MX_FLAG_SWITCH, NULL, "with --chat: end after the last message",
     offsetof(struct options, no_generation_prompt)},
    {0},
};

/* A piece as one line of a terminal can show it: control characters as escapes, spaces at its ends as they are. */
static void printable(const char *piece, size_t length, struct mx_str *out)
{
    mx_str_clear(out);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)piece[i];
        if (c == '\n')
            mx_str_puts(out, "\\n");
        else if (c == '\t')
            mx_str_puts(out, "\\t");
        else if (c == '\\')
            mx_str_puts(out, "\\\\");
        else if (c < 0x20 || c == 0x7f)
            mx_str_printf(out, "\\x%02x", c);
        else
            mx_str_putc(out, (char)c);
    }
}

static mx_status print_table(const struct mx_cli *cli, const struct mx_tokenizer *tokenizer, const struct mx_ids *ids,
                             struct mx_error *err)
{
    struct mx_table table;
    struct mx_str shown = {0};
    mx_table_start(&table, ">#|>id|piece|");
    for (size_t i = 0; i < ids->count; i++) {
        size_t length = 0;
        const char *piece = mx_tokenizer_piece(tokenizer, ids->data[i], &length);
        const bool special = mx_tokenizer_is_special(tokenizer, ids->data[i]);
        const enum mx_style style = special ? MX_STYLE_YELLOW : MX_STYLE_PLAIN;
        printable(piece ? piece : "", length, &shown);
        mx_table_cell(&table, MX_STYLE_DIM, "%zu", i);
        mx_table_cell(&table, style, "%d", (int)ids->data[i]);
        mx_table_cell(&table, style, "%s", mx_str_text(&shown));
        mx_table_cell(&table, MX_STYLE_DIM, "%s", special ? "special" : "");
    }
    const bool failed = mx_str_failed(&shown);
    mx_str_free(&shown);
    const mx_status status = mx_table_print(&table, 0, cli->colour_out, err);
    return status == MX_OK && failed ? mx_fail_memory(err, "a table", ids->count) : status;
}

static mx_status print_ids_json(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids, struct mx_error *err)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "tokens", (double)ids->count);
    cJSON_AddItemToObject(object, "ids", cJSON_CreateIntArray(ids->data, (int)ids->count));
    cJSON *pieces = cJSON_AddArrayToObject(object, "pieces");
    for (size_t i = 0; i < ids->count; i++) {
        const char *piece = mx_tokenizer_piece(tokenizer, ids->data[i], NULL);
        cJSON_AddItemToArray(pieces, cJSON_CreateString(piece ? piece : ""));
    }
    return mx_print_json(object, err);
}

/* The text of -p, -f or standard input; of a chat, the prompt that the template makes of it. */
static mx_status read_input(const struct mx_cli *cli, const struct options *options,
                            const struct mx_tokenizer *tokenizer, struct mx_str *text, struct mx_error *err)
{
    struct mx_str *read = text, turn = {0};
    struct mx_conversation conversation = {.request = {.no_generation_prompt = options->no_generation_prompt}};
    struct mx_chat *chat = NULL;
    char buffer[4096];
    const char *folder;
    mx_status status = MX_OK;
    if (options->chat.chat) read = &turn;
    if (options->text) {
        mx_str_puts(read, options->text);
        if (mx_str_failed(read)) status = mx_fail_memory(err, "the text", strlen(options->text));
    } else if (!options->chat.messages) {
        status = mx_read_text(options->file, read, err);
    }
    if (status == MX_OK && options->chat.chat) {
        status = mx_conversation_read(&conversation, &options->chat, &turn, err);
        if (status == MX_OK) status = mx_model_folder(&options->engine, buffer, sizeof buffer, &folder, err);
        if (status == MX_OK) status = mx_chat_open(&chat, folder, tokenizer, err);
        if (status == MX_OK && options->chat.template) status = mx_chat_use_template(chat, options->chat.template, err);
        if (status == MX_OK) status = mx_conversation_render(cli, &conversation, chat, text, err);
    }
    mx_chat_close(chat);
    mx_conversation_free(&conversation);
    mx_str_free(&turn);
    return status;
}

static mx_status encode(const struct mx_cli *cli, const struct options *options, const struct mx_tokenizer *tokenizer,
                        struct mx_error *err)
{
    struct mx_str text = {0};
    struct mx_ids ids = {0};
    mx_status status = read_input(cli, options, tokenizer, &text, err);
    if (status == MX_OK)
        status = mx_tokenizer_encode(tokenizer, mx_str_text(&text), text.length, options->add_special, &ids, err);
    if (status == MX_OK && options->json) {
        status = print_ids_json(tokenizer, &ids, err);
    } else if (status == MX_OK && options->ids) {
        for (size_t i = 0; i < ids.count; i++) printf("%s%d", i ? " " : "", (int)ids.data[i]);
        putchar('\n');
    } else if (status == MX_OK && options->chat.chat) {
        fwrite(mx_str_text(&text), 1, text.length, stdout);
    } else if (status == MX_OK) {
        status = print_table(cli, tokenizer, &ids, err);
    }
    mx_str_free(&text);
    mx_ids_free(&ids);
    return status;
}

/* An id that the vocabulary lacks is a mistake here, where decoding at large passes over it. */
static mx_status check_ids(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids, struct mx_error *err)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (!mx_tokenizer_piece(tokenizer, ids->data[i], NULL))
            return mx_fail(err, MX_ERR_FORMAT, "the id %d (number %zu) is not a token: the vocabulary ends at %d",
                           (int)ids->data[i], i + 1, (int)mx_tokenizer_vocab_size(tokenizer) - 1);
    }
    return MX_OK;
}

static mx_status decode(const struct options *options, const struct mx_tokenizer *tokenizer, struct mx_error *err)
{
    struct mx_ids ids = {0};
    struct mx_str text = {0};
    mx_status status = mx_read_token_file(options->file, &ids, err);
    if (status == MX_OK) status = check_ids(tokenizer, &ids, err);
    if (status == MX_OK)
        status = mx_tokenizer_decode(tokenizer, ids.data, ids.count, options->skip_special, &text, err);
    if (status == MX_OK && options->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "tokens", (double)ids.count);
        cJSON_AddStringToObject(object, "text", mx_str_text(&text));
        status = mx_print_json(object, err);
    } else if (status == MX_OK) {
        fwrite(mx_str_text(&text), 1, text.length, stdout);
    }
    mx_ids_free(&ids);
    mx_str_free(&text);
    return status;
}

static mx_status open_tokenizer(struct mx_tokenizer **tokenizer, const struct options *options, struct mx_error *err)
{
    if (options->tokenizer) return mx_tokenizer_open(tokenizer, options->tokenizer, err);
    char buffer[4096];
    const char *folder;
    MX_TRY(mx_model_folder(&options->engine, buffer, sizeof buffer, &folder, err));
    return mx_tokenizer_open(tokenizer, folder, err);
}

static mx_status check_options(const struct options *options, struct mx_error *err)
{
    if (options->tokenizer && options->engine.model)
        return mx_fail(err, MX_ERR_ARGUMENT, "give either --tokenizer FILE or -m DIR");
    if (options->text && options->file) return mx_fail(err, MX_ERR_ARGUMENT, "give either -p TEXT or -f FILE");
    if (options->decode && (options->text || options->add_special || options->ids))
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "--decode reads ids from -f FILE or standard input and prints text; "
                       "-p, --add-special and --ids go with encoding");
    MX_TRY(mx_chat_flags_check(&options->chat, options->text || options->file, err));
    if (options->chat.chat && (options->decode || options->tokenizer || options->add_special))
        return mx_fail(err, MX_ERR_ARGUMENT,
                       "--chat takes a model's folder and makes a prompt, special tokens and all; leave out "
                       "--tokenizer, --decode and --add-special");
    if (options->no_generation_prompt && !options->chat.chat)
        return mx_fail(err, MX_ERR_ARGUMENT, "--no-generation-prompt goes with --chat");
    if (options->skip_special && !options->decode)
        return mx_fail(err, MX_ERR_ARGUMENT, "--skip-special goes with --decode");
    return MX_OK;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    struct mx_tokenizer *tokenizer;
    MX_TRY(check_options(options, err));
    MX_TRY(open_tokenizer(&tokenizer, options, err));
    if (mx_tokenizer_note(tokenizer)) mx_print_note(cli, "%s", mx_tokenizer_note(tokenizer));
    const mx_status status = options->decode ? decode(options, tokenizer, err) : encode(cli, options, tokenizer, err);
    mx_tokenizer_close(tokenizer);
    return status;
}

const struct mx_command mx_command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into tokens, or tokens into text",
    .flags = flags,
    .examples = {"mlxcel tokenize -m models/demo-llama-7m -p 'Hello, world'",
                 "mlxcel tokenize --tokenizer tokenizer.json -f README.md --ids"},
    .options_size = sizeof(struct options),
    .run = run,
};
