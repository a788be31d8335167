/* Makes mutants: small changes of the sources that the tests must notice. scripts/mutants.sh builds and runs them.
 *
 *     mutate named LIST...                  the mutants that are written down in the lists (README.md gives the form)
 *     mutate random SEED COUNT FILE...      COUNT drawn from everything that can be changed in the files; their folders
 *                                           take rope, and so do the kinds of change
 *     mutate harmless LIST                  fails unless each line of the list is found in the sources
 *     mutate again LIST                     those of the list's lines that are still in the sources, named again-LINE
 *
 * Prints a line for each: name, file, line number, offset and length of the text that goes, what comes in its place,
 * tests, the line before and after; between tabs, with C's escapes. Exits 1, after a line for each that is wrong. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { MAX_LINE = 1024, MAX_FILES = 1024, MAX_TOKENS = 1 << 16 };

struct source {
    const char *path;
    char *text;
    size_t length;
};

/* `length` bytes at `at` become `to`. */
struct mutant {
    const struct source *source;
    size_t at, length;
    char to[MAX_LINE];
    int kind;
};

static _Noreturn void die(const char *what, const char *which)
{
    fprintf(stderr, "mutate: %s: %s\n", which, what);
    exit(1);
}

static struct source read_source(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) die("cannot open", path);
    struct source source = {.path = path};
    fseek(file, 0, SEEK_END);
    source.length = (size_t)ftell(file);
    rewind(file);
    source.text = calloc(source.length + 1, 1);
    if (!source.text || fread(source.text, 1, source.length, file) != source.length) die("cannot read", path);
    fclose(file);
    return source;
}

/* ---- printing ---- */

static void print_escaped(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            fputs("\\n", stdout);
        else if (text[i] == '\t')
            fputs("\\t", stdout);
        else if (text[i] == '\\')
            fputs("\\\\", stdout);
        else
            putchar(text[i]);
    }
}

static size_t line_of(const struct source *source, size_t at)
{
    while (at > 0 && source->text[at - 1] != '\n') at--;
    return at;
}

/* Where a line begins to say something. */
static size_t text_of(const struct source *source, size_t line)
{
    return line + strspn(source->text + line, " ");
}

static bool stands_elsewhere(const struct source *source, size_t from, size_t to)
{
    const char *at = source->text, *end = source->text + source->length;
    for (; (at = memmem(at, (size_t)(end - at), source->text + from, to - from)); at++) {
        if (at != source->text + from) return true;
    }
    return false;
}

static void print_mutant(const char *name, const struct mutant *mutant, const char *tests)
{
    const struct source *source = mutant->source;
    size_t to = mutant->at + mutant->length, first = line_of(source, mutant->at);
    while (source->text[to] && source->text[to] != '\n') to++;
    /* The lists know a line by its text: one that stands elsewhere, too, takes along what is before it. */
    while (first > 0 && to - first < MAX_LINE / 2 && stands_elsewhere(source, text_of(source, first), to))
        first = line_of(source, first - 1);
    const size_t from = text_of(source, first) < mutant->at ? text_of(source, first) : mutant->at;
    int line = 1;
    for (size_t i = 0; i < mutant->at; i++) line += source->text[i] == '\n';
    printf("%s\t%s\t%d\t%zu\t%zu\t", name, source->path, line, mutant->at, mutant->length);
    print_escaped(mutant->to, strlen(mutant->to));
    printf("\t%s\t", tests);
    print_escaped(source->text + from, to - from);
    putchar('\t');
    print_escaped(source->text + from, mutant->at - from);
    print_escaped(mutant->to, strlen(mutant->to));
    print_escaped(source->text + mutant->at + mutant->length, to - mutant->at - mutant->length);
    putchar('\n');
}

/* ---- named mutants ---- */

/* The value of "key  value" where the line has this key. */
static char *field(char *line, const char *key)
{
    const size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || line[length] != ' ') return NULL;
    line += length;
    return line + strspn(line, " ");
}

struct entry {
    char name[MAX_LINE], file[MAX_LINE], from[MAX_LINE], to[MAX_LINE], tests[MAX_LINE], why[MAX_LINE];
};

static bool finish_entry(const struct entry *entry)
{
    if (!*entry->name) return true;
    if (!*entry->file || !*entry->from || !*entry->tests || !*entry->why)
        die("lacks file, from, tests or why", entry->name);
    const struct source source = read_source(entry->file);
    const char *found = strstr(source.text, entry->from);
    const char *again = found ? strstr(found + 1, entry->from) : NULL;
    if (!found || again) {
        fprintf(stderr, "mutate: %s: %s in %s: %s\n", entry->name,
                found ? "stands more than once" : "is no longer there", entry->file, entry->from);
        return false;
    }
    struct mutant mutant = {&source, (size_t)(found - source.text), strlen(entry->from), "", 0};
    strcpy(mutant.to, entry->to);
    print_mutant(entry->name, &mutant, entry->tests);
    free(source.text);
    return true;
}

static bool named(const char *list)
{
    FILE *file = fopen(list, "r");
    if (!file) die("cannot open", list);
    struct entry entry = {0};
    bool good = true;
    char line[MAX_LINE], *value;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line == '[') {
            good = finish_entry(&entry) && good;
            entry = (struct entry){0};
            snprintf(entry.name, sizeof entry.name, "%.*s", (int)strcspn(line + 1, "]"), line + 1);
        } else if ((value = field(line, "file"))) {
            strcpy(entry.file, value);
        } else if ((value = field(line, "from"))) {
            strcpy(entry.from, value);
        } else if ((value = field(line, "to"))) {
            strcpy(entry.to, value);
        } else if ((value = field(line, "tests"))) {
            strcpy(entry.tests, value);
        } else if ((value = field(line, "why"))) {
            strcpy(entry.why, value);
        } else if (*line && *line != '#' && strcmp(line, "to") != 0) {
            die("is neither a key with a value nor a comment", line);
        }
    }
    fclose(file);
    return finish_entry(&entry) && good;
}

/* ---- lists of "file<TAB>before<TAB>after", with C's escapes; comments, and what is indented, aside ---- */

/* Takes the escapes out, in place. */
static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            *to++ = *text == 'n' ? '\n' : *text == 't' ? '\t' : *text;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* Calls `each` with the number of each line of the list, its source, and where in it the text before is: NULL: nowhere.
 * Returns whether all calls did. */
static bool read_list(const char *list, bool (*each)(int line, const struct source *source, const char *at,
                                                     size_t length, const char *to))
{
    FILE *file = fopen(list, "r");
    if (!file) die("cannot open", list);
    bool good = true;
    char line[4 * MAX_LINE];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        line[strcspn(line, "\n")] = '\0';
        if (*line == '#' || *line == '\0' || *line == ' ') continue;
        char *before = strchr(line, '\t'), *after = before ? strchr(before + 1, '\t') : NULL;
        if (!after) die("is not file, before, after between tabs", line);
        *before++ = *after++ = '\0';
        unescape(before);
        unescape(after);
        struct source source = read_source(line);
        const char *at = strstr(source.text, before);
        good = each(number, &source, at, strlen(before), after) && good;
        free(source.text);
    }
    fclose(file);
    return good;
}

static bool check_harmless(int line, const struct source *source, const char *at, size_t length, const char *to)
{
    (void)length;
    if (!at) fprintf(stderr, "mutate: line %d: is no longer in %s; it became: %s\n", line, source->path, to);
    return at;
}

static bool print_again(int line, const struct source *source, const char *at, size_t length, const char *to)
{
    if (!at) return true;
    char name[32];
    struct mutant mutant = {.source = source, .at = (size_t)(at - source->text), .length = length};
    if (strlen(to) >= MAX_LINE) die("is too long", to);
    strcpy(mutant.to, to);
    snprintf(name, sizeof name, "again-%d", line);
    print_mutant(name, &mutant, "-");
    return true;
}

/* ---- random mutants ---- */

struct token {
    size_t at;
    uint32_t length;
    char kind; /* 'n' number, 'w' word, 's' string or character, 'p' punctuation */
};

static struct token tokens[MAX_TOKENS];
static int token_count;

static size_t skip_quoted(const char *text, size_t i)
{
    const char quote = text[i++];
    while (text[i] && text[i] != quote) i += text[i] == '\\' ? 2 : 1;
    return i + 1;
}

static size_t skip_directive(const char *text, size_t i)
{
    while (text[i] && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
    return i;
}

static size_t punctuation_length(const char *text)
{
    static const char *const longer[] = {"<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==",
                                         "!=",  "&&",  "||",  "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="};
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        if (strncmp(text, longer[i], strlen(longer[i])) == 0) return strlen(longer[i]);
    }
    return 1;
}

static void tokenize(const struct source *source)
{
    const char *text = source->text;
    token_count = 0;
    for (size_t i = 0; text[i];) {
        const size_t start = i;
        char kind = 'p';
        if (isspace((unsigned char)text[i])) {
            i++;
            continue;
        }
        if (strncmp(text + i, "//", 2) == 0 || text[i] == '#') {
            i = skip_directive(text, i);
            continue;
        }
        if (strncmp(text + i, "/*", 2) == 0) {
            const char *end = strstr(text + i, "*/");
            i = end ? (size_t)(end - text) + 2 : source->length;
            continue;
        }
        if (text[i] == '"' || text[i] == '\'') {
            kind = 's';
            i = skip_quoted(text, i);
        } else if (isdigit((unsigned char)text[i])) {
            kind = 'n';
            while (isalnum((unsigned char)text[i]) || text[i] == '.' ||
                   ((text[i] == '-' || text[i] == '+') && strchr("eEpP", text[i - 1]))) {
                i++;
            }
        } else if (isalpha((unsigned char)text[i]) || text[i] == '_') {
            kind = 'w';
            while (isalnum((unsigned char)text[i]) || text[i] == '_') i++;
        } else {
            i += punctuation_length(text + i);
        }
        if (token_count == MAX_TOKENS) die("has too many tokens", source->path);
        tokens[token_count++] = (struct token){start, (uint32_t)(i - start), kind};
    }
}

static bool is(const struct source *source, int t, const char *text)
{
    return t >= 0 && t < token_count && tokens[t].length == strlen(text) &&
           strncmp(source->text + tokens[t].at, text, tokens[t].length) == 0;
}

/* The token that closes the bracket at t. */
static int closing(const struct source *source, int t)
{
    int depth = 0;
    for (; t < token_count; t++) {
        if (is(source, t, "(") || is(source, t, "{") || is(source, t, "[")) depth++;
        if (is(source, t, ")") || is(source, t, "}") || is(source, t, "]")) depth--;
        if (depth == 0) return t;
    }
    return token_count - 1;
}

enum kind {
    COMPARISON,
    EQUALITY,
    CONNECTIVE,
    ARITHMETIC,
    ASSIGNMENT,
    NEGATION,
    WHOLE,
    REAL,
    BOOLEAN,
    CONDITION,
    STATEMENT,
    JUMP,
    RESULT,
    ARGUMENTS,
    EXTREME,
    KINDS
};

static struct mutant *found;
static size_t found_count, found_room;

static void add(const struct source *source, enum kind kind, size_t at, size_t length, const char *to)
{
    if (strlen(to) >= MAX_LINE) return;
    if (found_count == found_room) {
        found_room = found_room ? 2 * found_room : 1024;
        found = realloc(found, found_room * sizeof *found);
        if (!found) die("out of memory", source->path);
    }
    struct mutant *mutant = &found[found_count++];
    *mutant = (struct mutant){.source = source, .at = at, .length = length, .kind = (int)kind};
    strcpy(mutant->to, to);
}

/* Operators that formatted code writes with a blank on both sides where they have two operands. */
static void find_operator(const struct source *source, int t)
{
    static const struct {
        const char *from, *to;
        enum kind kind;
    } rules[] = {{"<", "<=", COMPARISON},  {"<=", "<", COMPARISON},  {">", ">=", COMPARISON},  {">=", ">", COMPARISON},
                 {"<", ">=", COMPARISON},  {">", "<=", COMPARISON},  {"==", "!=", EQUALITY},   {"!=", "==", EQUALITY},
                 {"&&", "||", CONNECTIVE}, {"||", "&&", CONNECTIVE}, {"+", "-", ARITHMETIC},   {"-", "+", ARITHMETIC},
                 {"*", "+", ARITHMETIC},   {"/", "*", ARITHMETIC},   {"%", "/", ARITHMETIC},   {"<<", ">>", ARITHMETIC},
                 {">>", "<<", ARITHMETIC}, {"&", "|", ARITHMETIC},   {"|", "&", ARITHMETIC},   {"^", "&", ARITHMETIC},
                 {"+=", "-=", ASSIGNMENT}, {"-=", "+=", ASSIGNMENT}, {"*=", "/=", ASSIGNMENT}, {"|=", "&=", ASSIGNMENT},
                 {"+=", "=", ASSIGNMENT},  {"|=", "=", ASSIGNMENT}};
    const struct token *token = &tokens[t];
    const char *text = source->text;
    if (token->at == 0 || !isspace((unsigned char)text[token->at - 1]) ||
        !isspace((unsigned char)text[token->at + token->length]))
        return;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (is(source, t, rules[i].from)) add(source, rules[i].kind, token->at, token->length, rules[i].to);
    }
}

static void find_number(const struct source *source, int t)
{
    const struct token *token = &tokens[t];
    const char *text = source->text + token->at;
    char to[MAX_LINE], *end;
    if (memchr(text, '.', token->length)) {
        snprintf(to, sizeof to, "(%.*s * 1.1f)", (int)token->length, text);
        add(source, REAL, token->at, token->length, to);
        return;
    }
    const unsigned long long value = strtoull(text, &end, 0);
    const int suffix = (int)(text + token->length - end);
    if (suffix < 0 || (suffix > 0 && !strchr("uUlL", *end))) return;
    snprintf(to, sizeof to, "%llu%.*s", value + 1, suffix, end);
    add(source, WHOLE, token->at, token->length, to);
    if (value == 0) return;
    snprintf(to, sizeof to, "%llu%.*s", value - 1, suffix, end);
    add(source, WHOLE, token->at, token->length, to);
}

/* The text from token a to token b, both in it. */
static int span(const struct source *source, int a, int b, const char **text)
{
    *text = source->text + tokens[a].at;
    return (int)(tokens[b].at + tokens[b].length - tokens[a].at);
}

static void find_condition(const struct source *source, int t)
{
    const int open = t + 1, close = closing(source, open);
    if (close <= open + 1) return;
    const char *text;
    const int length = span(source, open + 1, close - 1, &text);
    static const char *const forms[] = {"!", "false && ", "true || "};
    for (size_t i = 0; i < (is(source, t, "while") ? 2 : 3); i++) {
        char to[MAX_LINE];
        if (snprintf(to, sizeof to, "%s(%.*s)", forms[i], length, text) < (int)sizeof to)
            add(source, CONDITION, tokens[open + 1].at, (size_t)length, to);
    }
}

/* A statement that starts at token t and calls or assigns. */
static void find_statement(const struct source *source, int t)
{
    if (!(is(source, t - 1, ";") || is(source, t - 1, "{") || is(source, t - 1, "}") || is(source, t - 1, ")") ||
          is(source, t - 1, "else")))
        return;
    if (tokens[t].kind != 'w') return;
    if (is(source, t, "break") || is(source, t, "continue")) {
        add(source, JUMP, tokens[t].at, tokens[t].length, "");
        return;
    }
    const char *text;
    int end = t;
    bool acts = false;
    while (end < token_count && !is(source, end, ";")) {
        if (is(source, end, "{") || is(source, end, ")")) return; /* a list of values; the head of a loop */
        if (is(source, end, "(")) acts = true, end = closing(source, end);
        acts = acts || (tokens[end].kind == 'p' && source->text[tokens[end].at + tokens[end].length - 1] == '=');
        end++;
    }
    if (is(source, t, "return")) {
        const bool nothing = end == t + 2 && (is(source, t + 1, "0") || is(source, t + 1, "MX_OK") ||
                                              is(source, t + 1, "NULL") || is(source, t + 1, "false"));
        if (end > t + 1 && !nothing)
            add(source, RESULT, tokens[t + 1].at, (size_t)span(source, t + 1, end - 1, &text), "0");
        return;
    }
    static const char *const others[] = {"if",       "for",      "while",  "switch", "case", "do",
                                         "else",     "const",    "static", "struct", "enum", "union",
                                         "unsigned", "_Alignas", "goto",   "default"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (is(source, t, others[i])) return;
    }
    const bool declares =
        tokens[t].kind == 'w' && (tokens[t + 1].kind == 'w' || (is(source, t + 1, "*") && tokens[t + 2].kind == 'w'));
    if (acts && !declares && end > t) add(source, STATEMENT, tokens[t].at, (size_t)span(source, t, end - 1, &text), "");
}

static void find_word(const struct source *source, int t)
{
    static const char *const pairs[][2] = {
        {"mx_min", "mx_max"}, {"mx_min", "mx_max"}, {"fminf", "fmaxf"}, {"fmin", "fmax"}};
    if (is(source, t, "true")) add(source, BOOLEAN, tokens[t].at, 4, "false");
    if (is(source, t, "false")) add(source, BOOLEAN, tokens[t].at, 5, "true");
    if ((is(source, t, "if") || is(source, t, "while")) && is(source, t + 1, "(")) find_condition(source, t);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (is(source, t, pairs[i][0])) add(source, EXTREME, tokens[t].at, tokens[t].length, pairs[i][1]);
        if (is(source, t, pairs[i][1])) add(source, EXTREME, tokens[t].at, tokens[t].length, pairs[i][0]);
    }
    if (t + 5 < token_count && is(source, t + 1, "(") && is(source, t + 3, ",") && tokens[t + 2].kind == 'w' &&
        tokens[t + 4].kind == 'w' && (is(source, t + 5, ",") || is(source, t + 5, ")"))) {
        char to[MAX_LINE];
        const char *text;
        const int length = span(source, t + 2, t + 4, &text);
        snprintf(to, sizeof to, "%.*s, %.*s", (int)tokens[t + 4].length, source->text + tokens[t + 4].at,
                 (int)tokens[t + 2].length, text);
        if (strncmp(to, text, (size_t)length) != 0) add(source, ARGUMENTS, tokens[t + 2].at, (size_t)length, to);
    }
}

/* All mutants of a file's functions. */
static void find_all(const struct source *source)
{
    tokenize(source);
    for (int t = 1; t < token_count; t++) {
        if (!is(source, t, "{")) continue;
        const int end = closing(source, t);
        if (is(source, t - 1, ")")) {
            for (int i = t + 1; i < end; i++) {
                find_operator(source, i);
                if (tokens[i].kind == 'n') find_number(source, i);
                if (tokens[i].kind == 'w') find_word(source, i);
                if (is(source, i, "!")) add(source, NEGATION, tokens[i].at, 1, "");
                find_statement(source, i);
            }
        }
        t = end;
    }
}

/* The folder of src/ that a file is in. */
static size_t folder_length(const char *path)
{
    const char *slash = strncmp(path, "src/", 4) == 0 ? strchr(path + 4, '/') : NULL;
    return slash ? (size_t)(slash - path) : 0;
}

static void print_random(uint64_t seed, size_t count, const struct source *sources, size_t source_count)
{
    const char *folders[64];
    size_t folder_count = 0;
    for (size_t i = 0; i < source_count; i++) {
        const size_t length = folder_length(sources[i].path);
        bool seen = length == 0;
        for (size_t f = 0; f < folder_count; f++) {
            seen = seen || (folder_length(folders[f]) == length && strncmp(folders[f], sources[i].path, length) == 0);
        }
        if (!seen && folder_count < 64) folders[folder_count++] = sources[i].path;
    }
    struct mx_random random = {seed};
    for (size_t n = 0; n < count && folder_count > 0;) {
        const char *folder = folders[n % folder_count];
        const size_t length = folder_length(folder) + 1;
        const int kind = (int)(mx_random_u64(&random) % KINDS);
        size_t choices = 0;
        for (size_t i = 0; i < found_count; i++) {
            choices += found[i].kind == kind && strncmp(found[i].source->path, folder, length) == 0;
        }
        if (choices == 0) continue;
        size_t choice = (size_t)(mx_random_u64(&random) % choices);
        for (size_t i = 0; i < found_count; i++) {
            if (found[i].kind != kind || strncmp(found[i].source->path, folder, length) != 0 || choice-- > 0) continue;
            char name[32];
            snprintf(name, sizeof name, "%llu-%zu", (unsigned long long)seed, n + 1);
            print_mutant(name, &found[i], "-");
            break;
        }
        n++;
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) die("give named, random, harmless or again, and files", "usage");
    bool good = true;
    if (strcmp(argv[1], "named") == 0) {
        for (int i = 2; i < argc; i++) good = named(argv[i]) && good;
    } else if (strcmp(argv[1], "harmless") == 0) {
        good = read_list(argv[2], check_harmless);
    } else if (strcmp(argv[1], "again") == 0) {
        good = read_list(argv[2], print_again);
    } else if (strcmp(argv[1], "random") == 0 && argc > 4) {
        static struct source sources[MAX_FILES];
        const size_t count = (size_t)(argc - 4);
        if (count > MAX_FILES) die("too many", "files");
        for (size_t i = 0; i < count; i++) {
            sources[i] = read_source(argv[i + 4]);
            find_all(&sources[i]);
        }
        print_random(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), sources, count);
        for (size_t i = 0; i < count; i++) free(sources[i].text);
        free(found);
    } else {
        die("is not named, random, harmless or again", argv[1]);
    }
    return good ? 0 : 1;
}
