/* Each kind of decoder is a row of `kinds`. A step takes tokens and passes tokens on; what it must remember between
 * two of them is its memory. */
#include "tokenizer/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"
#include "tokenizer/limits.h"

/* Marks of a part of a token. A whole token is both. */
enum { BEGIN = 1, END = 2, WHOLE = BEGIN | END };

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

struct mx_decoder_memory {
    struct mx_str gathered; /* parts of a token that the step wants whole */
    struct mx_str held;     /* bytes of an unfinished character, or a token that waits for the next */
    struct mx_str text;     /* what the step is making */
    struct mx_str spare;    /* while it is being made */
    size_t tokens;          /* how many have begun */
    uint64_t passed;        /* bytes that came out of the step */
    size_t removed, tail;   /* Strip: taken from the front; held back at the end */
    bool leading;           /* Strip: nothing but content so far */
    bool open;              /* a token has been begun towards the next step and not ended */
};

/* A step at work. */
struct turn {
    struct mx_decoder_run *run;
    const struct mx_decoder_step *step;
    struct mx_decoder_memory *memory;
    struct mx_error *err;
};

struct mx_decoder_kind {
    const char *type;
    mx_status (*parse)(struct mx_decoder_step *step, const struct mx_settings *settings);
    mx_status (*token)(const struct turn *turn, const char *text, size_t length, int marks);
    mx_status (*finish)(const struct turn *turn); /* no more tokens; NULL if nothing is held */
};

/* Passes a token, or a part of one, to the step behind. */
static mx_status pass(const struct turn *turn, const char *text, size_t length, int marks)
{
    const struct turn next = {turn->run, turn->step->next, turn->memory + 1, turn->err};
    turn->memory->passed += length;
    if (turn->memory->passed > mx_growth_limit(turn->run->fed)) return mx_fail_growth(turn->err, "decoder");
    if (!next.step) {
        mx_str_append(&turn->run->out, text, length);
        return MX_OK;
    }
    if (marks & BEGIN) next.memory->tokens++;
    if (!next.step->whole || marks == WHOLE) return next.step->kind->token(&next, text, length, marks);
    mx_str_append(&next.memory->gathered, text, length);
    if (!(marks & END)) return MX_OK;
    const mx_status status =
        next.step->kind->token(&next, mx_str_text(&next.memory->gathered), next.memory->gathered.length, WHOLE);
    mx_str_clear(&next.memory->gathered);
    return status;
}

/* A part of the one token that a fusing step makes of all. */
static mx_status pass_part(const struct turn *turn, const char *text, size_t length)
{
    if (!length) return MX_OK;
    const int marks = turn->memory->open ? 0 : BEGIN;
    turn->memory->open = true;
    return pass(turn, text, length, marks);
}

static mx_status pass_end(const struct turn *turn)
{
    const int marks = turn->memory->open ? END : WHOLE;
    turn->memory->open = false;
    return pass(turn, "", 0, marks);
}

/* Passes the whole characters among the held bytes on as parts, and broken bytes as U+FFFD: one per broken part, or
 * one per byte. An unfinished character stays, unless this is the end. */
static mx_status pass_characters(const struct turn *turn, bool end, bool per_byte)
{
    struct mx_str *held = &turn->memory->held;
    const char *bytes = mx_str_text(held);
    size_t done = 0;
    while (done < held->length) {
        const size_t valid = mx_utf8_valid_length(bytes + done, held->length - done);
        MX_TRY(pass_part(turn, bytes + done, valid));
        done += valid;
        size_t used;
        if (done == held->length) break;
        if (mx_utf8_look(bytes + done, held->length - done, &used) == MX_UTF8_SHORT && !end) break;
        for (size_t i = 0; i < (per_byte ? used : 1); i++) MX_TRY(pass_part(turn, REPLACEMENT, sizeof REPLACEMENT - 1));
        done += used;
    }
    const size_t rest = held->length - done;
    if (rest) memmove(held->data, held->data + done, rest);
    held->length = rest;
    return MX_OK;
}

/* ByteLevel: characters back to bytes, all tokens as one. A token with a character that spells no byte (an added
 * token) stands for itself. */

static mx_status token_byte_level(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_str *held = &turn->memory->held;
    const size_t before = held->length;
    for (const char *at = text, *end = text + length; at < end;) {
        const int byte = mx_char_byte(mx_utf8_next(&at));
        if (byte < 0) {
            held->length = before;
            mx_str_append(held, text, length);
            break;
        }
        mx_str_putc(held, (char)byte);
    }
    return pass_characters(turn, false, false);
}

static mx_status finish_byte_level(const struct turn *turn)
{
    MX_TRY(pass_characters(turn, true, false));
    return pass_end(turn);
}

/* ByteFallback: runs of "<0xE2>" become text, each run one token. */

static int byte_of_piece(const char *text, size_t length)
{
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    return mx_utf8_hex(text + 3, 2);
}

static mx_status end_run(const struct turn *turn)
{
    struct mx_str *held = &turn->memory->held;
    if (turn->run->eager) {
        MX_TRY(pass_characters(turn, true, true));
        return turn->memory->open ? pass_end(turn) : MX_OK;
    }
    mx_status status = MX_OK;
    if (mx_utf8_valid_length(mx_str_text(held), held->length) == held->length) {
        if (held->length) status = pass(turn, held->data, held->length, WHOLE);
    } else { /* one broken byte spoils its run */
        for (size_t i = 0; i < held->length && status == MX_OK; i++)
            status = pass(turn, REPLACEMENT, sizeof REPLACEMENT - 1, WHOLE);
    }
    mx_str_clear(held);
    return status;
}

static mx_status token_byte_fallback(const struct turn *turn, const char *text, size_t length, int marks)
{
    const int byte = byte_of_piece(text, length);
    if (byte >= 0) {
        mx_str_putc(&turn->memory->held, (char)byte);
        return turn->run->eager ? pass_characters(turn, false, true) : MX_OK;
    }
    MX_TRY(end_run(turn));
    return pass(turn, text, length, marks);
}

/* Fuse */

static mx_status token_fuse(const struct turn *turn, const char *text, size_t length, int marks)
{
    return pass_part(turn, text, length);
}

/* Strip: up to `start` times the character in front, up to `stop` times at the end. */

static mx_status parse_strip(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_char(settings, "content", " ", &step->text));
    MX_TRY(mx_settings_whole(settings, "start", 0, 0, INT32_MAX, &step->start));
    return mx_settings_whole(settings, "stop", 0, 0, INT32_MAX, &step->stop);
}

static mx_status token_strip(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_decoder_memory *memory = turn->memory;
    const size_t size = strlen(turn->step->text);
    mx_str_clear(&memory->text);
    if (marks & BEGIN) {
        memory->leading = true;
        memory->removed = memory->tail = 0;
    }
    for (size_t i = 0, step; i < length; i += step) {
        step = mx_utf8_length(text[i]);
        const bool content = step == size && memcmp(text + i, turn->step->text, size) == 0;
        if (content && memory->leading && memory->removed < (size_t)turn->step->start) {
            memory->removed++;
            continue;
        }
        memory->leading = false;
        if (content && memory->tail < (size_t)turn->step->stop) {
            memory->tail++;
            continue;
        }
        /* The oldest of a full tail, or all of it before something else. */
        for (; memory->tail && !content; memory->tail--) mx_str_append(&memory->text, turn->step->text, size);
        mx_str_append(&memory->text, text + i, step);
    }
    return pass(turn, mx_str_text(&memory->text), memory->text.length, marks);
}

/* Replace */

static mx_status parse_replace(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_text(settings, "content", NULL, &step->text));
    MX_TRY(mx_pattern_parse(&step->pattern, settings));
    /* A single character can be replaced in any part of a token. */
    const char *literal = step->pattern.literal;
    step->whole = !literal || !*literal || mx_utf8_length(*literal) != step->pattern.literal_length;
    return MX_OK;
}

static mx_status token_replace(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_str *out = &turn->memory->text;
    struct mx_matches matches = {.text = text, .length = length};
    size_t copied = 0;
    mx_str_clear(out);
    for (;;) {
        bool found;
        MX_TRY(mx_pattern_next(&turn->step->pattern, &turn->run->regex, &matches, &found, turn->err));
        if (!found) break;
        mx_str_append(out, text + copied, matches.start - copied);
        mx_str_puts(out, turn->step->text);
        copied = matches.end;
        if (out->length > mx_growth_limit(turn->run->fed)) break; /* said by pass */
    }
    mx_str_append(out, text + copied, length - copied);
    return pass(turn, mx_str_text(out), out->length, marks);
}

/* Metaspace: marks become spaces; in the first token they vanish. */

static mx_status parse_metaspace(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    const char *scheme;
    bool prefix;
    MX_TRY(mx_settings_char(settings, "replacement", "\xe2\x96\x81", &step->text));
    MX_TRY(mx_settings_bool(settings, "add_prefix_space", true, &prefix));
    MX_TRY(mx_settings_text(settings, "prepend_scheme", "always", &scheme));
    if (!prefix && strcmp(scheme, "never") != 0)
        return mx_settings_wrong(settings, "prepend_scheme", "never where \"add_prefix_space\" is false");
    step->prefixed = prefix && strcmp(scheme, "never") != 0;
    return MX_OK;
}

static mx_status token_metaspace(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_str *out = &turn->memory->text;
    const size_t size = strlen(turn->step->text);
    const bool vanish = turn->step->prefixed && turn->memory->tokens == 1;
    mx_str_clear(out);
    for (size_t i = 0, step; i < length; i += step) {
        step = mx_utf8_length(text[i]);
        if (step != size || memcmp(text + i, turn->step->text, size) != 0)
            mx_str_append(out, text + i, step);
        else if (!vanish)
            mx_str_putc(out, ' ');
    }
    return pass(turn, mx_str_text(out), out->length, marks);
}

/* `text` with each `from` as `to`, appended; "first only" if `once`. */
static void replace_all(struct mx_str *out, const char *text, size_t length, const char *from, const char *to)
{
    const size_t size = strlen(from);
    while (size && length) {
        const char *at = memmem(text, length, from, size);
        if (!at) break;
        mx_str_append(out, text, (size_t)(at - text));
        mx_str_puts(out, to);
        length -= (size_t)(at - text) + size;
        text = at + size;
    }
    mx_str_append(out, text, length);
}

/* The blanks that English does without, taken out of `out`, through `spare`. */
static void clean_up(struct mx_str *out, struct mx_str *spare)
{
    static const char *const cleanups[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                              {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                              {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof cleanups / sizeof *cleanups; i++) {
        mx_str_clear(spare);
        replace_all(spare, mx_str_text(out), out->length, cleanups[i][0], cleanups[i][1]);
        const struct mx_str swap = *spare;
        *spare = *out;
        *out = swap;
    }
}

/* WordPiece: tokens that begin with the prefix continue a word, others begin one. */

static mx_status parse_word_piece(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    step->whole = true;
    MX_TRY(mx_settings_text(settings, "prefix", "##", &step->text));
    return mx_settings_bool(settings, "cleanup", true, &step->cleanup);
}

static mx_status token_word_piece(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_str *out = &turn->memory->text, *spare = &turn->memory->held;
    const size_t prefix = strlen(turn->step->text);
    mx_str_clear(out);
    if (turn->memory->tokens > 1) {
        if (length >= prefix && memcmp(text, turn->step->text, prefix) == 0) {
            text += prefix;
            length -= prefix;
        } else {
            mx_str_putc(out, ' ');
        }
    }
    mx_str_append(out, text, length);
    if (turn->step->cleanup) clean_up(out, spare);
    return pass(turn, mx_str_text(out), out->length, marks);
}

/* CTC: of equal neighbours one stays, padding vanishes, the delimiter becomes a space. */

static mx_status parse_ctc(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    step->whole = true;
    MX_TRY(mx_settings_text(settings, "pad_token", NULL, &step->text));
    MX_TRY(mx_settings_text(settings, "word_delimiter_token", NULL, &step->delimiter));
    if (!mx_json_get_set(settings->json, "cleanup")) return mx_settings_wrong(settings, "cleanup", "true or false");
    return mx_settings_bool(settings, "cleanup", true, &step->cleanup);
}

static mx_status token_ctc(const struct turn *turn, const char *text, size_t length, int marks)
{
    struct mx_decoder_memory *memory = turn->memory;
    struct mx_str *out = &memory->text, *last = &memory->held;
    if (memory->tokens > 1 && last->length == length && memcmp(mx_str_text(last), text, length) == 0) return MX_OK;
    mx_str_clear(last);
    mx_str_append(last, text, length);
    mx_str_clear(out);
    replace_all(out, text, length, turn->step->text, "");
    if (turn->step->cleanup) {
        clean_up(out, &memory->spare);
        mx_str_clear(&memory->spare);
        replace_all(&memory->spare, mx_str_text(out), out->length, turn->step->delimiter, " ");
        out = &memory->spare;
    }
    return out->length ? pass(turn, mx_str_text(out), out->length, WHOLE) : MX_OK;
}

/* BPEDecoder: the suffix ends a word, so it becomes a space, but not in the last token: each waits for the next. */

static mx_status parse_bpe(struct mx_decoder_step *step, const struct mx_settings *settings)
{
    step->whole = true;
    return mx_settings_text(settings, "suffix", "</w>", &step->text);
}

static mx_status pass_held(const struct turn *turn, const char *space)
{
    struct mx_str *out = &turn->memory->text, *held = &turn->memory->held;
    mx_str_clear(out);
    replace_all(out, mx_str_text(held), held->length, turn->step->text, space);
    return pass(turn, mx_str_text(out), out->length, WHOLE);
}

static mx_status token_bpe(const struct turn *turn, const char *text, size_t length, int marks)
{
    if (turn->memory->tokens > 1) MX_TRY(pass_held(turn, " "));
    mx_str_clear(&turn->memory->held);
    mx_str_append(&turn->memory->held, text, length);
    return MX_OK;
}

static mx_status finish_bpe(const struct turn *turn)
{
    return turn->memory->tokens ? pass_held(turn, "") : MX_OK;
}

static const struct mx_decoder_kind kinds[] = {
    {"ByteLevel", NULL, token_byte_level, finish_byte_level},
    {"ByteFallback", NULL, token_byte_fallback, end_run},
    {"Fuse", NULL, token_fuse, pass_end},
    {"Strip", parse_strip, token_strip, NULL},
    {"Replace", parse_replace, token_replace, NULL},
    {"Metaspace", parse_metaspace, token_metaspace, NULL},
    {"WordPiece", parse_word_piece, token_word_piece, NULL},
    {"BPEDecoder", parse_bpe, token_bpe, finish_bpe},
    {"CTC", parse_ctc, token_ctc, NULL},
    {"Sequence", NULL, NULL, NULL},
};

/* No decoder at all: a space between tokens. */
static mx_status token_join(const struct turn *turn, const char *text, size_t length, int marks)
{
    if (turn->memory->tokens > 1) MX_TRY(pass(turn, " ", 1, WHOLE));
    return pass(turn, text, length, marks);
}
static const struct mx_decoder_kind joined = {"", NULL, token_join, NULL};

static mx_status add_step(struct mx_decoder *decoder, struct mx_decoder_step ***tail,
                          const struct mx_decoder_kind *kind, const struct mx_settings *settings)
{
    struct mx_decoder_step *step = mx_arena_alloc(settings->arena, sizeof *step);
    if (!step) return mx_fail_memory(settings->err, settings->file, sizeof *step);
    step->kind = kind;
    step->whole = kind->token == token_byte_level || kind->token == token_byte_fallback;
    decoder->count++;
    **tail = step;
    *tail = &step->next;
    return kind->parse ? kind->parse(step, settings) : MX_OK;
}

static mx_status parse_into(struct mx_decoder *decoder, struct mx_decoder_step ***tail,
                            const struct mx_settings *settings)
{
    const void *row;
    MX_TRY(mx_settings_kind(settings, kinds, sizeof kinds / sizeof *kinds, sizeof *kinds, &row));
    const struct mx_decoder_kind *kind = row;
    if (kind->token) return add_step(decoder, tail, kind, settings);
    const cJSON *list, *member;
    MX_TRY(mx_settings_list(settings, "decoders", &list));
    struct mx_settings inner = *settings;
    cJSON_ArrayForEach (member, list) {
        inner.json = member;
        MX_TRY(parse_into(decoder, tail, &inner));
    }
    return MX_OK;
}

mx_status mx_decoder_parse(struct mx_decoder *decoder, const struct mx_settings *settings)
{
    *decoder = (struct mx_decoder){0};
    struct mx_decoder_step **tail = &decoder->steps;
    if (!settings->json || cJSON_IsNull(settings->json)) return add_step(decoder, &tail, &joined, settings);
    MX_TRY(parse_into(decoder, &tail, settings));
    if (decoder->count > MX_MAX_STEPS) return mx_fail_steps(settings->err, settings->file, settings->place);
    return decoder->count ? MX_OK : add_step(decoder, &tail, &kinds[2], settings); /* an empty sequence: Fuse */
}

void mx_decoder_free(struct mx_decoder *decoder)
{
    for (struct mx_decoder_step *step = decoder->steps; step; step = step->next) mx_pattern_free(&step->pattern);
    *decoder = (struct mx_decoder){0};
}

mx_status mx_decoder_open(struct mx_decoder_run *run, const struct mx_decoder *decoder, bool eager,
                          struct mx_error *err)
{
    *run = (struct mx_decoder_run){.decoder = decoder, .eager = eager, .regex = {.untimed = true}};
    run->memory = calloc(decoder->count, sizeof *run->memory);
    return run->memory ? MX_OK : mx_fail_memory(err, "a decoder", decoder->count * sizeof *run->memory);
}

static mx_status check_memory(struct mx_decoder_run *run, struct mx_error *err)
{
    bool failed = mx_str_failed(&run->out);
    for (size_t i = 0; i < run->decoder->count; i++) {
        const struct mx_decoder_memory *memory = &run->memory[i];
        failed =
            failed || memory->gathered.failed || memory->held.failed || memory->text.failed || memory->spare.failed;
    }
    return failed ? mx_fail_memory(err, "decoded text", run->out.length) : MX_OK;
}

mx_status mx_decoder_feed(struct mx_decoder_run *run, const char *piece, size_t length, struct mx_error *err)
{
    const struct turn turn = {run, run->decoder->steps, run->memory, err};
    run->fed += length;
    mx_regex_allow(&run->regex, length);
    turn.memory->tokens++;
    MX_TRY(turn.step->kind->token(&turn, piece, length, WHOLE));
    return check_memory(run, err);
}

mx_status mx_decoder_finish(struct mx_decoder_run *run, struct mx_error *err)
{
    struct turn turn = {run, run->decoder->steps, run->memory, err};
    for (; turn.step; turn.step = turn.step->next, turn.memory++) {
        if (turn.step->kind->finish) MX_TRY(turn.step->kind->finish(&turn));
    }
    for (size_t i = 0; i < run->decoder->count; i++) {
        struct mx_decoder_memory *memory = &run->memory[i];
        mx_str_clear(&memory->gathered);
        mx_str_clear(&memory->held);
        memory->tokens = 0;
        memory->passed = 0;
        memory->open = false;
    }
    run->fed = 0;
    return check_memory(run, err);
}

void mx_decoder_close(struct mx_decoder_run *run)
{
    for (size_t i = 0; run->memory && i < run->decoder->count; i++) {
        mx_str_free(&run->memory[i].gathered);
        mx_str_free(&run->memory[i].held);
        mx_str_free(&run->memory[i].text);
        mx_str_free(&run->memory[i].spare);
    }
    free(run->memory);
    mx_regex_state_free(&run->regex);
    mx_str_free(&run->out);
    *run = (struct mx_decoder_run){0};
}

/* --- the bytes of one token --- */

static void replace_in_place(struct mx_str *text, struct mx_str *spare, const char *from, const char *to)
{
    mx_str_clear(spare);
    replace_all(spare, mx_str_text(text), text->length, from, to);
    const struct mx_str swap = *spare;
    *spare = *text;
    *text = swap;
}

/* All characters spell bytes: they become these. */
static void spell_bytes(struct mx_str *text, struct mx_str *spare)
{
    mx_str_clear(spare);
    for (const char *at = mx_str_text(text), *end = at + text->length; at < end;) {
        const int byte = mx_char_byte(mx_utf8_next(&at));
        if (byte < 0) return;
        mx_str_putc(spare, (char)byte);
    }
    const struct mx_str swap = *spare;
    *spare = *text;
    *text = swap;
}

/* What a step makes of a token within a text; false: it depends on the tokens around. *done: no further step bears on
 * it. `fused`: tokens are parts of one. */
static bool step_bytes(const struct mx_decoder_step *step, struct mx_str *text, struct mx_str *spare, bool *fused,
                       bool *done)
{
    if (step->kind->token == token_byte_level) {
        spell_bytes(text, spare);
        *fused = true;
    } else if (step->kind->token == token_byte_fallback) {
        const int byte = byte_of_piece(mx_str_text(text), text->length);
        *done = byte >= 0;
        if (!*done) return true;
        mx_str_clear(text);
        mx_str_putc(text, (char)byte);
    } else if (step->kind->token == token_fuse) {
        *fused = true;
    } else if (step->kind->token == token_strip) { /* a text's beginning loses something */
        return step->stop == 0 && (step->start == 0 || *fused);
    } else if (step->kind->token == token_replace && step->pattern.literal && *step->pattern.literal && !step->whole) {
        replace_in_place(text, spare, step->pattern.literal, step->text);
    } else if (step->kind->token == token_metaspace) {
        replace_in_place(text, spare, step->text, " ");
    } else {
        return false;
    }
    return true;
}

bool mx_decoder_bytes(const struct mx_decoder *decoder, const char *piece, size_t length, struct mx_str *out)
{
    struct mx_str text = {0}, spare = {0};
    bool known = true, done = false, fused = false;
    mx_str_append(&text, piece, length);
    for (const struct mx_decoder_step *step = decoder->steps; step && known && !done; step = step->next) {
        known = step_bytes(step, &text, &spare, &fused, &done);
    }
    if (known) mx_str_append(out, mx_str_text(&text), text.length);
    mx_str_inherit(out, &text);
    mx_str_inherit(out, &spare);
    mx_str_free(&text);
    mx_str_free(&spare);
    return known;
}
