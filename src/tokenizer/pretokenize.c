/* Each kind of pre-tokenizer is a row of `kinds`. A kind cuts each word of the list further, and may rewrite its text:
 * both by reading one word and appending to a new list, so that the steps never touch each other's results.
 *
 * All cutting goes through one machine, the splitter: a kind reports matches in ascending order, the splitter fills in
 * what lies between them and merges, drops or keeps as the behaviour says. */
#include "tokenizer/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"
#include "tokenizer/limits.h"
#include "tokenizer/scripts.h"

/* Where a prefix is put. */
enum { NEVER, FIRST, ALWAYS };

/* One application of one step. */
struct job {
    const struct mx_pretokenizer_step *step;
    struct mx_regex_state *state;
    struct mx_words *out;
    struct mx_error *err;
};

struct mx_pretokenizer_kind {
    const char *type;
    mx_status (*parse)(struct mx_pretokenizer_step *step, const struct mx_settings *settings); /* may be NULL */
    /* Appends the words of one word. */
    mx_status (*apply)(const struct job *job, const char *text, size_t length, bool first);
};

void mx_words_free(struct mx_words *words)
{
    mx_str_free(&words->text);
    free(words->items);
    *words = (struct mx_words){0};
}

/* Appends a word that is already in out->text. */
static mx_status add_word(const struct job *job, size_t start, size_t end, bool first)
{
    struct mx_words *words = job->out;
    if (start == end) return MX_OK;
    if (words->count == words->capacity) {
        const size_t capacity = words->capacity ? words->capacity * 2 : 64;
        struct mx_word *items = realloc(words->items, capacity * sizeof *items);
        if (!items) return mx_fail_memory(job->err, "the words of a text", capacity * sizeof *items);
        words->items = items;
        words->capacity = capacity;
    }
    words->items[words->count++] = (struct mx_word){start, end, first};
    return MX_OK;
}

/* The splitter. The text that is cut stands in out->text from `base` on; positions are relative to it. */
struct splitter {
    const struct job *job;
    enum mx_behavior behavior;
    bool invert, first;
    size_t base, done; /* text[0, done) has been dealt with */
    bool held, before; /* a word [hold, done) may still grow; the last piece was a match */
    size_t hold;
};

static mx_status flush(struct splitter *splitter)
{
    const size_t start = splitter->hold, end = splitter->done;
    if (!splitter->held) return MX_OK;
    splitter->held = false;
    return add_word(splitter->job, splitter->base + start, splitter->base + end, splitter->first && start == 0);
}

/* The next piece of the text: [done, end), a match or what lies between matches. */
static mx_status piece(struct splitter *splitter, size_t end, bool match)
{
    match ^= splitter->invert;
    bool join = false; /* with the word held */
    switch (splitter->behavior) {
    case MX_REMOVED:
    case MX_ISOLATED: break;
    case MX_MERGED_WITH_PREVIOUS: join = match && !splitter->before; break;
    case MX_MERGED_WITH_NEXT: join = !match && splitter->before; break;
    case MX_CONTIGUOUS: join = match == splitter->before; break;
    }
    if (!join || !splitter->held) {
        MX_TRY(flush(splitter));
        splitter->hold = splitter->done;
        splitter->held = true;
    }
    splitter->done = end;
    splitter->before = match;
    if (splitter->behavior == MX_REMOVED && match) splitter->held = false;
    return MX_OK;
}

static mx_status match_at(struct splitter *splitter, size_t start, size_t end)
{
    if (start > splitter->done) MX_TRY(piece(splitter, start, false));
    return piece(splitter, end, true);
}

static mx_status finish(struct splitter *splitter, size_t length)
{
    if (length > splitter->done) MX_TRY(piece(splitter, length, false));
    return flush(splitter);
}

/* Copies the text behind out->text, and gets ready to cut it. */
static struct splitter start_copy(const struct job *job, enum mx_behavior behavior, const char *text, size_t length,
                                  bool first)
{
    const size_t base = job->out->text.length;
    mx_str_append(&job->out->text, text, length);
    return (struct splitter){.job = job, .behavior = behavior, .base = base, .first = first};
}

static mx_status split_by_pattern(struct splitter *splitter, const struct mx_pattern *pattern, size_t length)
{
    const struct job *job = splitter->job;
    if (mx_str_failed(&job->out->text)) return mx_fail_memory(job->err, "the words of a text", length);
    struct mx_matches matches = {.text = mx_str_text(&job->out->text) + splitter->base, .length = length};
    for (;;) {
        bool found;
        MX_TRY(mx_pattern_next(pattern, job->state, &matches, &found, job->err));
        if (!found) return finish(splitter, length);
        MX_TRY(match_at(splitter, matches.start, matches.end));
    }
}

/* Cuts at the characters of a class: each is a match of its own. */
static mx_status split_by_class(const struct job *job, enum mx_behavior behavior, bool (*is_match)(uint32_t),
                                const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, behavior, text, length, first);
    for (const char *at = text, *end = text + length; at < end;) {
        const size_t start = (size_t)(at - text);
        if (is_match(mx_utf8_next(&at))) MX_TRY(match_at(&splitter, start, (size_t)(at - text)));
    }
    return finish(&splitter, length);
}

static mx_status parse_behavior(struct mx_pretokenizer_step *step, const struct mx_settings *settings,
                                const char *fallback)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *text;
    MX_TRY(mx_settings_text(settings, "behavior", fallback, &text));
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        if (strcmp(text, names[i]) == 0) {
            step->behavior = (enum mx_behavior)i;
            return MX_OK;
        }
    }
    return mx_settings_wrong(settings, "behavior",
                             "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

/* Split, CharDelimiterSplit */

static mx_status parse_split(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    MX_TRY(parse_behavior(step, settings, NULL));
    MX_TRY(mx_settings_bool(settings, "invert", false, &step->invert));
    return mx_pattern_parse(&step->pattern, settings);
}

static mx_status parse_delimiter(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    MX_TRY(mx_settings_char(settings, "delimiter", NULL, &step->text));
    step->behavior = MX_REMOVED;
    step->pattern = (struct mx_pattern){.literal = step->text, .literal_length = strlen(step->text)};
    return MX_OK;
}

static mx_status apply_split(const struct job *job, const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, job->step->behavior, text, length, first);
    splitter.invert = job->step->invert;
    return split_by_pattern(&splitter, &job->step->pattern, length);
}

/* ByteLevel */

static const char gpt2_words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static mx_status parse_byte_level(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    bool prefix;
    char where[MX_PLACE_SIZE];
    MX_TRY(mx_settings_bool(settings, "add_prefix_space", true, &prefix));
    MX_TRY(mx_settings_bool(settings, "use_regex", true, &step->split));
    step->prefix = prefix ? ALWAYS : NEVER;
    step->behavior = MX_ISOLATED;
    return step->split
               ? mx_regex_open(&step->pattern.regex, gpt2_words, mx_settings_where(settings, where), settings->err)
               : MX_OK;
}

/* The words in bytes; how the bytes are spelled comes after it. */
static mx_status apply_byte_level(const struct job *job, const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, MX_ISOLATED, "", 0, first);
    if (job->step->prefix == ALWAYS && *text != ' ') mx_str_putc(&job->out->text, ' ');
    mx_str_append(&job->out->text, text, length);
    length = job->out->text.length - splitter.base;
    return job->step->split ? split_by_pattern(&splitter, &job->step->pattern, length) : finish(&splitter, length);
}

static mx_status spell_bytes(const struct job *job, const char *text, size_t length, bool first)
{
    const size_t base = job->out->text.length;
    mx_bytes_to_chars(&job->out->text, text, length);
    return add_word(job, base, job->out->text.length, first);
}

/* Metaspace */

static mx_status parse_metaspace(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    static const char *const names[] = {"never", "first", "always"};
    const char *scheme;
    bool prefix;
    MX_TRY(mx_settings_char(settings, "replacement", NULL, &step->text));
    MX_TRY(mx_settings_bool(settings, "split", true, &step->split));
    MX_TRY(mx_settings_bool(settings, "add_prefix_space", true, &prefix)); /* the older way to say it */
    MX_TRY(mx_settings_text(settings, "prepend_scheme", "always", &scheme));
    step->prefix = -1;
    for (int i = 0; i < 3; i++) {
        if (strcmp(scheme, names[i]) == 0) step->prefix = i;
    }
    if (step->prefix < 0) return mx_settings_wrong(settings, "prepend_scheme", "first, never or always");
    if (!prefix && step->prefix != NEVER)
        return mx_settings_wrong(settings, "prepend_scheme", "never where \"add_prefix_space\" is false");
    step->pattern = (struct mx_pattern){.literal = step->text, .literal_length = strlen(step->text)};
    return MX_OK;
}

static mx_status apply_metaspace(const struct job *job, const char *text, size_t length, bool first)
{
    const struct mx_pretokenizer_step *step = job->step;
    struct mx_str *out = &job->out->text;
    struct splitter splitter = start_copy(job, MX_MERGED_WITH_NEXT, "", 0, first);
    const bool has_prefix = *text == ' ' || (length >= step->pattern.literal_length &&
                                             memcmp(text, step->text, step->pattern.literal_length) == 0);
    if ((step->prefix == ALWAYS || (step->prefix == FIRST && first)) && !has_prefix) mx_str_puts(out, step->text);
    for (size_t i = 0; i < length;) {
        const char *space = memchr(text + i, ' ', length - i);
        const size_t end = space ? (size_t)(space - text) : length;
        mx_str_append(out, text + i, end - i);
        if (space) mx_str_puts(out, step->text);
        i = end + 1;
    }
    length = out->length - splitter.base;
    return step->split ? split_by_pattern(&splitter, &step->pattern, length) : finish(&splitter, length);
}

/* By character class */

static mx_status apply_whitespace_split(const struct job *job, const char *text, size_t length, bool first)
{
    return split_by_class(job, MX_REMOVED, mx_char_is_space, text, length, first);
}

static mx_status parse_digits(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    bool individual;
    MX_TRY(mx_settings_bool(settings, "individual_digits", false, &individual));
    step->behavior = individual ? MX_ISOLATED : MX_CONTIGUOUS;
    return MX_OK;
}

static mx_status apply_digits(const struct job *job, const char *text, size_t length, bool first)
{
    return split_by_class(job, job->step->behavior, mx_char_is_numeric, text, length, first);
}

static mx_status parse_punctuation(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    return parse_behavior(step, settings, "Isolated");
}

static mx_status apply_punctuation(const struct job *job, const char *text, size_t length, bool first)
{
    return split_by_class(job, job->step->behavior, mx_char_is_punctuation, text, length, first);
}

/* Whitespace: \w+|[^\w\s]+, the rest dropped. */
static mx_status apply_whitespace(const struct job *job, const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, MX_REMOVED, text, length, first);
    splitter.invert = true;
    for (const char *at = text, *end = text + length; at < end;) {
        const char *start = at;
        const uint32_t c = mx_utf8_next(&at);
        if (mx_char_is_space(c)) continue;
        const bool word = mx_char_is_word(c);
        while (at < end) {
            const char *next = at;
            const uint32_t d = mx_utf8_next(&next);
            if (mx_char_is_space(d) || mx_char_is_word(d) != word) break;
            at = next;
        }
        MX_TRY(match_at(&splitter, (size_t)(start - text), (size_t)(at - text)));
    }
    return finish(&splitter, length);
}

/* Bert: white space is dropped, punctuation stands alone. */
static mx_status apply_bert(const struct job *job, const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, MX_ISOLATED, text, length, first);
    for (const char *at = text, *end = text + length; at < end;) {
        const size_t start = (size_t)(at - text);
        const uint32_t c = mx_utf8_next(&at);
        const bool space = mx_char_is_space(c);
        if (!space && !mx_char_is_punctuation(c)) continue;
        MX_TRY(match_at(&splitter, start, (size_t)(at - text)));
        if (space) splitter.held = false;
    }
    return finish(&splitter, length);
}

/* FixedLength: so many characters each. */

static mx_status parse_fixed_length(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    return mx_settings_whole(settings, "length", 5, 1, INT32_MAX, &step->length);
}

static mx_status apply_fixed_length(const struct job *job, const char *text, size_t length, bool first)
{
    struct splitter splitter = start_copy(job, MX_ISOLATED, text, length, first);
    int64_t characters = 0;
    for (size_t i = 0; i < length; i += mx_utf8_length(text[i])) {
        if (characters++ < job->step->length) continue;
        MX_TRY(piece(&splitter, i, true));
        characters = 1;
    }
    return finish(&splitter, length);
}

/* UnicodeScripts: runs of one script. Spaces belong to the run before them; those that begin a text are dropped, as is
 * whatever has no script. */

static mx_status parse_scripts(struct mx_pretokenizer_step *step, const struct mx_settings *settings)
{
    char where[MX_PLACE_SIZE];
    struct mx_str runs = {0};
    mx_script_runs(&runs);
    mx_status status = mx_str_failed(&runs) ? mx_fail_memory(settings->err, "a regular expression", runs.length)
                                            : mx_regex_open(&step->pattern.regex, mx_str_text(&runs),
                                                            mx_settings_where(settings, where), settings->err);
    mx_str_free(&runs);
    step->behavior = MX_REMOVED;
    step->invert = true;
    return status;
}

static const struct mx_pretokenizer_kind kinds[] = {
    {"Split", parse_split, apply_split},
    {"ByteLevel", parse_byte_level, apply_byte_level},
    {"Metaspace", parse_metaspace, apply_metaspace},
    {"Whitespace", NULL, apply_whitespace},
    {"WhitespaceSplit", NULL, apply_whitespace_split},
    {"Digits", parse_digits, apply_digits},
    {"Punctuation", parse_punctuation, apply_punctuation},
    {"BertPreTokenizer", NULL, apply_bert},
    {"CharDelimiterSplit", parse_delimiter, apply_split},
    {"FixedLength", parse_fixed_length, apply_fixed_length},
    {"UnicodeScripts", parse_scripts, apply_split},
    {"Sequence", NULL, NULL},
};
/* ByteLevel is two steps: the cut, and the spelling. */
static const struct mx_pretokenizer_kind spelling = {"ByteLevel", NULL, spell_bytes};

static mx_status add_step(struct mx_pretokenizer_step ***tail, const struct mx_pretokenizer_kind *kind,
                          const struct mx_settings *settings)
{
    struct mx_pretokenizer_step *step = mx_arena_alloc(settings->arena, sizeof *step);
    if (!step) return mx_fail_memory(settings->err, settings->file, sizeof *step);
    step->kind = kind;
    **tail = step;
    *tail = &step->next;
    return kind->parse ? kind->parse(step, settings) : MX_OK;
}

static mx_status parse_into(struct mx_pretokenizer_step ***tail, const struct mx_settings *settings)
{
    const void *row;
    MX_TRY(mx_settings_kind(settings, kinds, sizeof kinds / sizeof *kinds, sizeof *kinds, &row));
    const struct mx_pretokenizer_kind *kind = row;
    if (kind->apply) {
        MX_TRY(add_step(tail, kind, settings));
        return kind->apply == apply_byte_level ? add_step(tail, &spelling, settings) : MX_OK;
    }
    const cJSON *list, *member;
    MX_TRY(mx_settings_list(settings, "pretokenizers", &list));
    struct mx_settings inner = *settings;
    cJSON_ArrayForEach (member, list) {
        inner.json = member;
        MX_TRY(parse_into(tail, &inner));
    }
    return MX_OK;
}

mx_status mx_pretokenizer_parse(struct mx_pretokenizer *pretokenizer, const struct mx_settings *settings)
{
    *pretokenizer = (struct mx_pretokenizer){0};
    struct mx_pretokenizer_step **tail = &pretokenizer->steps;
    if (cJSON_IsNull(settings->json) || !settings->json) return MX_OK;
    MX_TRY(parse_into(&tail, settings));
    size_t count = 0;
    for (const struct mx_pretokenizer_step *step = pretokenizer->steps; step; step = step->next) count++;
    if (count > MX_MAX_STEPS) return mx_fail_steps(settings->err, settings->file, settings->place);
    for (struct mx_pretokenizer_step **step = &pretokenizer->steps; *step; step = &(*step)->next) {
        if ((*step)->kind != &spelling || (*step)->next) continue;
        pretokenizer->byte_level = true;
        *step = NULL;
        break;
    }
    return MX_OK;
}

void mx_pretokenizer_free(struct mx_pretokenizer *pretokenizer)
{
    for (struct mx_pretokenizer_step *step = pretokenizer->steps; step; step = step->next)
        mx_pattern_free(&step->pattern);
    *pretokenizer = (struct mx_pretokenizer){0};
}

mx_status mx_pretokenizer_apply(const struct mx_pretokenizer *pretokenizer, struct mx_regex_state *state,
                                const char *text, size_t length, bool first, struct mx_words *words,
                                struct mx_words *spare, struct mx_error *err)
{
    struct job job = {.state = state, .out = words, .err = err};
    const uint64_t limit = mx_growth_limit(length);
    mx_str_clear(&words->text);
    mx_str_append(&words->text, text, length);
    words->count = 0;
    MX_TRY(add_word(&job, 0, length, first));
    for (job.step = pretokenizer->steps; job.step; job.step = job.step->next) {
        const struct mx_words swap = *spare;
        *spare = *words;
        *words = swap;
        mx_str_clear(&words->text);
        words->count = 0;
        for (size_t i = 0; i < spare->count; i++) {
            const struct mx_word *word = &spare->items[i];
            const char *at = mx_str_text(&spare->text) + word->start;
            MX_TRY(job.step->kind->apply(&job, at, word->end - word->start, word->first));
            if (words->text.length > limit) return mx_fail_growth(err, "pre-tokenizer");
        }
        if (mx_str_failed(&words->text)) break;
    }
    return mx_str_failed(&words->text) ? mx_fail_memory(err, "the words of a text", length) : MX_OK;
}
