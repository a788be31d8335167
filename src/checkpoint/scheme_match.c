/* Which width a module has: the rules of a scheme, compiled, against the names that the module may have. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/scheme.h"

enum {
    MATCH_LIMIT = 10000, /* steps of one match: names are short, honest patterns take tens */
    PATTERN_LIMIT = 1024,
    NAME_SIZE = 256,
};

/* The paths in front of a layer's module, as published lists write them. */
static const char *const prefixes[] = {
    "model.layers.", "model.language_model.layers.", "language_model.model.layers.", "layers.", "backbone.layers.",
    "transformer.h."};
enum { PREFIXES = sizeof prefixes / sizeof *prefixes };

struct compiled {
    const struct mx_scheme_rule *rule;
    int32_t layer;    /* that the pattern names; -1: none, or several */
    const char *tail; /* of a pattern with a layer: what stands behind its number and dot */
    pcre2_code *code; /* of a regular expression; NULL where it makes no sense: it then matches nothing */
    bool in_all;      /* holds for that module of every layer: its list was cut short (see find_cut_lists) */
};

struct mx_scheme_matcher {
    const struct mx_scheme *scheme;
    struct compiled *rules;
    size_t count;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

/* "...layers.12.self_attn*": the layer, and the rest. Patterns whose number goes on ("layers.1*") name several. */
static void find_layer(struct compiled *compiled)
{
    static const char *const marks[] = {"layers.", "h.", "blocks."};
    const char *pattern = compiled->rule->pattern;
    compiled->layer = -1;
    if (compiled->rule->kind == MX_PATTERN_REGEX) return;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *found = strstr(pattern, marks[i]);
        if (!found || (found != pattern && found[-1] != '.' && found[-1] != '*')) continue;
        char *end;
        const char *digits = found + strlen(marks[i]);
        if (*digits < '0' || *digits > '9') continue;
        const unsigned long number = strtoul(digits, &end, 10);
        if (number > 100000 || (*end && *end != '.')) continue;
        compiled->layer = (int32_t)number;
        compiled->tail = *end ? end + 1 : "";
        return;
    }
}

/* Published lists name each module of each layer, in the order of their text: layer 10 stands before layer 2. One that
 * holds modules of layers 0, 1, 10, 11 ... and then ends was cut short where it was copied: the safe side is that the
 * module is left alone in every layer. */
static void find_cut_lists(struct mx_scheme_matcher *matcher, uint32_t layers)
{
    if (layers <= 10 || matcher->count > 4096) return;
    for (size_t i = 0; i < matcher->count; i++) {
        const struct compiled *first = &matcher->rules[i];
        if (first->layer < 0 || !*first->tail || !strcmp(first->tail, "*") || first->rule->width.bits != 0) continue;
        size_t same = 0;
        bool cut = true;
        for (size_t j = 0; j < matcher->count && cut; j++) {
            const struct compiled *other = &matcher->rules[j];
            if (other->layer < 0 || strcmp(other->tail, first->tail) != 0) continue;
            same++;
            for (int32_t n = other->layer; n >= 0;) { /* its first digit */
                if (n < 10) {
                    cut = n <= 1;
                    break;
                }
                n /= 10;
            }
        }
        if (cut && same >= 2) matcher->rules[i].in_all = true;
    }
}

static mx_status compile(struct mx_scheme_matcher *matcher, const struct mx_scheme *scheme, uint32_t layers,
                         struct mx_error *err)
{
    matcher->scheme = scheme;
    matcher->rules = calloc(scheme->rule_count + 1, sizeof *matcher->rules);
    matcher->context = pcre2_match_context_create(NULL);
    matcher->data = pcre2_match_data_create(1, NULL);
    if (!matcher->rules || !matcher->context || !matcher->data) return mx_fail_memory(err, "the rules of a scheme", 0);
    pcre2_set_match_limit(matcher->context, MATCH_LIMIT);
    pcre2_set_depth_limit(matcher->context, MATCH_LIMIT);
    for (; matcher->count < scheme->rule_count; matcher->count++) {
        struct compiled *compiled = &matcher->rules[matcher->count];
        compiled->rule = &scheme->rules[matcher->count];
        find_layer(compiled);
        const char *pattern = compiled->rule->pattern;
        if (compiled->rule->kind != MX_PATTERN_REGEX || strlen(pattern) > PATTERN_LIMIT) continue;
        int code;
        PCRE2_SIZE offset;
        compiled->code =
            pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED, &code, &offset, NULL);
    }
    find_cut_lists(matcher, layers);
    return MX_OK;
}

mx_status mx_scheme_matcher_open(struct mx_scheme_matcher **out, const struct mx_scheme *scheme, uint32_t layers,
                                 struct mx_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return mx_fail_memory(err, "the rules of a scheme", sizeof **out);
    const mx_status status = compile(*out, scheme, layers, err);
    if (status != MX_OK) {
        mx_scheme_matcher_close(*out);
        *out = NULL;
    }
    return status;
}

void mx_scheme_matcher_close(struct mx_scheme_matcher *matcher)
{
    if (!matcher) return;
    for (size_t i = 0; i < matcher->count; i++) pcre2_code_free(matcher->rules[i].code);
    pcre2_match_data_free(matcher->data);
    pcre2_match_context_free(matcher->context);
    free(matcher->rules);
    free(matcher);
}

/* * and ? over a whole text, without recursion: on a mismatch the last * takes one character more. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* A run of whole steps of a path. */
static bool holds_steps(const char *name, const char *steps)
{
    const size_t length = strlen(steps);
    if (!length) return false;
    for (const char *found = strstr(name, steps); found; found = strstr(found + 1, steps))
        if ((found == name || found[-1] == '.') && (found[length] == '\0' || found[length] == '.')) return true;
    return false;
}

static bool matches_name(const struct mx_scheme_matcher *matcher, const struct compiled *compiled, const char *name)
{
    const char *pattern = compiled->rule->pattern;
    switch (compiled->rule->kind) {
    case MX_PATTERN_NAME: return holds_steps(name, pattern);
    case MX_PATTERN_GLOB: return glob(pattern, name);
    case MX_PATTERN_REGEX:
        return compiled->code &&
               pcre2_match(compiled->code, (PCRE2_SPTR)name, strlen(name), 0, 0, matcher->data, matcher->context) >= 0;
    }
    return false;
}

static bool matches(const struct mx_scheme_matcher *matcher, const struct compiled *compiled,
                    const struct mx_module *module)
{
    char name[NAME_SIZE];
    if (compiled->rule->experts) return module->expert;
    if (compiled->layer >= 0 && compiled->layer != module->layer && !compiled->in_all) return false;
    for (const char *const *own = module->names; *own; own++) {
        if (module->layer < 0) {
            if (matches_name(matcher, compiled, *own)) return true;
            continue;
        }
        if (compiled->layer >= 0) { /* the layer fits: the rest decides, whatever stands before */
            const char *tail = compiled->tail;
            if (!*tail || (compiled->rule->kind == MX_PATTERN_GLOB ? glob(tail, *own) : holds_steps(*own, tail)))
                return true;
            continue;
        }
        for (int i = module->prefix ? -1 : 0; i < PREFIXES; i++) {
            snprintf(name, sizeof name, "%s%d.%s", i < 0 ? module->prefix : prefixes[i], module->layer, *own);
            if (matches_name(matcher, compiled, name)) return true;
            if (compiled->rule->kind == MX_PATTERN_NAME) break; /* the steps are the same behind any */
        }
    }
    return false;
}

struct mx_width mx_scheme_width(const struct mx_scheme_matcher *matcher, const struct mx_module *module)
{
    const struct mx_scheme *scheme = matcher->scheme;
    static const struct mx_width plain = {0};
    for (size_t i = 0; i < matcher->count; i++) {
        const struct compiled *compiled = &matcher->rules[i];
        /* What speaks of all modules means the matrices: the embedding is coded where it is named. */
        if (module->embedding && compiled->rule->kind != MX_PATTERN_NAME && !strstr(compiled->rule->pattern, "embed"))
            continue;
        if (matches(matcher, compiled, module)) return compiled->rule->width;
    }
    if (module->embedding) return scheme->embedding;
    if (module->head) return scheme->head;
    return scheme->scope == MX_SCOPE_EXPERTS && !module->expert ? plain : scheme->width;
}
