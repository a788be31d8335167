/* Forms of answers: response_format and tool_choice as one grammar. */
#include "serve/form.h"

#include <string.h>

#include "serve/work.h"

void mx_form_close(struct mx_form *form)
{
    mx_constraint_close(form->constraint);
    *form = (struct mx_form){0};
}

static bool is_special(void *context, const char *mark)
{
    const struct mx_tokenizer *tokenizer = context;
    const int32_t id = mx_tokenizer_id(tokenizer, mark, strlen(mark));
    return id >= 0 && mx_tokenizer_is_special(tokenizer, id);
}

void mx_form_means_open(struct mx_form_means *means, struct mx_session *session)
{
    *means = (struct mx_form_means){0};
    (void)mx_session_trie(session, &means->trie, &means->failure);
    size_t length;
    const char *template = mx_chat_template(mx_session_chat(session), true, &length);
    means->format = template ? mx_tool_format_of(template, length) : NULL;
    for (const char *const *mark = means->format ? means->format->marks : NULL; mark && *mark; mark++) {
        means->specials |= is_special((void *)(uintptr_t)mx_session_tokenizer(session), *mark);
    }
}

/* --- tool_choice --- */

enum choice { NONE, AUTO, REQUIRED };

/* *only is the tool that must be called, where one is named. */
static bool read_choice(const struct mx_ask *ask, enum choice *choice, const char **only, struct mx_refusal *refusal)
{
    const cJSON *said = ask->tool_choice, *name = mx_json_get(mx_json_get(said, "function"), "name"), *tool;
    *choice = ask->tools ? AUTO : NONE;
    *only = NULL;
    if (!said || (cJSON_IsString(said) && strcmp(said->valuestring, "auto") == 0)) return true;
    if (cJSON_IsString(said) && strcmp(said->valuestring, "none") == 0) {
        *choice = NONE;
        return true;
    }
    *choice = REQUIRED;
    if (!ask->tools) {
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "tool_choice",
                         "tool_choice asks for a call, and there are no tools");
    }
    if (cJSON_IsString(said) && strcmp(said->valuestring, "required") == 0) return true;
    if (!cJSON_IsString(name)) {
        return mx_refuse(
            refusal, MX_REFUSE_REQUEST, "tool_choice",
            "tool_choice must be none, auto, required or {\"type\": \"function\", \"function\": {\"name\": "
            "...}}");
    }
    *only = name->valuestring;
    cJSON_ArrayForEach (tool, ask->tools) {
        const cJSON *function = mx_json_get(tool, "function");
        if (strcmp(mx_json_get(function, "name")->valuestring, *only) == 0) return true;
    }
    return mx_refuse(refusal, MX_REFUSE_REQUEST, "tool_choice",
                     "tool_choice names \"%.100s\", which is none of the tools", *only);
}

/* --- grammars --- */

struct building {
    const struct mx_ask *ask;
    const struct mx_served *served;
    const cJSON *schema; /* of the answer's text; NULL: none */
    bool any_object;
    enum choice choice;
    const char *only;
};

static mx_status add_alternatives(const struct building *building, struct mx_grammar *grammar, struct mx_error *err)
{
    const struct mx_served *served = building->served;
    uint32_t root, any, *list = mx_arena_array(&grammar->arena, 2, sizeof *list), count = 0;
    if (!list) return mx_fail_memory(err, "a grammar", 2 * sizeof *list);
    MX_TRY(mx_grammar_node(grammar, &root, err));
    if (building->schema) MX_TRY(mx_grammar_schema(grammar, building->schema, &list[count++], err));
    if (building->any_object) {
        MX_TRY(mx_grammar_node(grammar, &any, err));
        MX_TRY(mx_grammar_any(grammar, any, err));
        MX_TRY(mx_grammar_node(grammar, &list[count], err));
        MX_TRY(mx_grammar_object(grammar, list[count++], any, err));
    }
    if (building->choice != NONE) {
        MX_TRY(mx_tool_grammar(grammar, served->means.format, building->ask->tools, building->only, is_special,
                               (void *)(uintptr_t)served->tokenizer, &list[count++], err));
    }
    struct mx_grammar_node *at = &grammar->nodes[root];
    at->kind = MX_GRAMMAR_CHOICE;
    at->list = list;
    at->count = count;
    return mx_grammar_finish(grammar, err);
}

static mx_status build(struct mx_form *form, const struct building *building, struct mx_error *err)
{
    struct mx_grammar grammar;
    mx_grammar_init(&grammar);
    const mx_status status = add_alternatives(building, &grammar, err);
    if (status == MX_OK) return mx_constraint_open(&form->constraint, &grammar, building->served->means.trie, err);
    mx_grammar_free(&grammar);
    return status;
}

bool mx_form_open(struct mx_form *form, const struct mx_ask *ask, const struct mx_served *served,
                  struct mx_refusal *refusal)
{
    const struct mx_form_means *means = &served->means;
    struct building building = {.ask = ask, .served = served};
    struct mx_error error;
    *form = (struct mx_form){0};
    if (!read_choice(ask, &building.choice, &building.only, refusal)) return false;
    const bool marked = means->format && means->format->quiet[0].mark;
    form->calls = building.choice != NONE;
    if (form->calls || (marked && ask->kind == MX_ASK_CHAT)) form->format = means->format;
    if (form->calls) {
        form->one_call = ask->one_call;
        if (!form->format) {
            return mx_refuse(refusal, MX_REFUSE_NOT_HERE, "tools",
                             "this model's chat template writes calls of tools in no form that this server reads");
        }
    }
    if (ask->response_format && mx_response_format(ask->response_format, "response_format", &building.any_object,
                                                   &building.schema, &error) != MX_OK) {
        return mx_refuse_error(refusal, MX_REFUSE_REQUEST, "response_format", &error);
    }
    const bool held = building.schema || building.any_object;
    if (!held && building.choice != REQUIRED) return true;
    const char *param = held ? "response_format" : "tool_choice";
    if (!means->trie) return mx_refuse_error(refusal, MX_REFUSE_NOT_HERE, param, &means->failure);
    if (building.choice == REQUIRED) { /* nothing but a call */
        building.schema = NULL;
        building.any_object = false;
    }
    if (build(form, &building, &error) == MX_OK) return true;
    const bool unsupported = error.status == MX_ERR_UNSUPPORTED;
    return mx_refuse_error(refusal, unsupported ? MX_REFUSE_NOT_HERE : MX_REFUSE_REQUEST, param, &error);
}
