/* Patterns: literal or regular expression. */
#include "tokenizer/pattern.h"

#include <string.h>

#include "base/utf8.h"

mx_status mx_pattern_parse(struct mx_pattern *pattern, const struct mx_settings *settings)
{
    const cJSON *json = mx_json_get(settings->json, "pattern");
    const struct mx_settings inner = {json, settings->file, settings->place, settings->arena, settings->err};
    *pattern = (struct mx_pattern){0};
    if (mx_json_get(json, "String")) {
        MX_TRY(mx_settings_text(&inner, "String", NULL, &pattern->literal));
        pattern->literal_length = strlen(pattern->literal);
        return MX_OK;
    }
    if (!mx_json_get(json, "Regex"))
        return mx_settings_wrong(settings, "pattern", "{\"String\": ...} or {\"Regex\": ...}");
    const char *text;
    char where[MX_PLACE_SIZE];
    MX_TRY(mx_settings_text(&inner, "Regex", NULL, &text));
    return mx_regex_open(&pattern->regex, text, mx_settings_where(settings, where), settings->err);
}

void mx_pattern_free(struct mx_pattern *pattern)
{
    mx_regex_close(pattern->regex);
    *pattern = (struct mx_pattern){0};
}

static mx_status search(const struct mx_pattern *pattern, struct mx_regex_state *state, struct mx_matches *matches,
                        bool *found, struct mx_error *err)
{
    if (pattern->regex)
        return mx_regex_find(pattern->regex, state, matches->text, matches->length, matches->next, found,
                             &matches->start, &matches->end, err);
    const char *at = memmem(matches->text + matches->next, matches->length - matches->next, pattern->literal,
                            pattern->literal_length);
    *found = at != NULL;
    if (at) {
        matches->start = (size_t)(at - matches->text);
        matches->end = matches->start + pattern->literal_length;
    }
    return MX_OK;
}

mx_status mx_pattern_next(const struct mx_pattern *pattern, struct mx_regex_state *state, struct mx_matches *matches,
                          bool *found, struct mx_error *err)
{
    *found = false;
    while (matches->next <= matches->length) {
        MX_TRY(search(pattern, state, matches, found, err));
        if (!*found) break;
        matches->next = matches->end;
        if (matches->start == matches->end) { /* move on, or the same match would be found for ever */
            const bool at_end = matches->end == matches->length;
            matches->next += at_end ? 1 : mx_utf8_length(matches->text[matches->end]);
            if (matches->any && matches->last_end == matches->end) continue;
        }
        matches->any = true;
        matches->last_end = matches->end;
        return MX_OK;
    }
    *found = false;
    return MX_OK;
}
