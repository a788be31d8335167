/* Calls of tools in all forms, whole and in pieces, good and hostile. */
#include "support.h"

#include <ctype.h>

#include "base/random.h"
#include "structure/constraint.h"
#include "structure/tool_calls.h"

#define BAR "\xef\xbd\x9c"
#define DS(word) "<" BAR "tool\xe2\x96\x81" word BAR ">"
#define BEGIN                                                                                                          \
    DS("calls\xe2\x96\x81"                                                                                             \
       "begin")
#define END                                                                                                            \
    DS("calls\xe2\x96\x81"                                                                                             \
       "end")
#define CALL                                                                                                           \
    DS("call\xe2\x96\x81"                                                                                              \
       "begin")
#define CALL_END                                                                                                       \
    DS("call\xe2\x96\x81"                                                                                              \
       "end")
#define SEP DS("sep")

static const char tools_json[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},\"opts\":{\"type\":\"object\"},\"any\":{\"anyOf\":"
    "[{\"type\":\"string\"},{\"type\":\"number\"}]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";

struct form_case {
    const char *template; /* enough of one to tell the form */
    const char *reply;
    const char *expected; /* text as it stands, thoughts in capitals, calls as «name arguments» */
};

static const struct form_case cases[] = {
    /* Hermes */
    {"<tool_call>", "plain", "plain"},
    {"<tool_call>",
     "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Z\xc3\xbcrich\", \"n\": 1.0}}\n</tool_call>",
     "\xc2\xabweather {\"city\": \"Z\xc3\xbcrich\", \"n\": 1.0}\xc2\xbb"},
    {"<tool_call>",
     "I "
     "look.\n\n<tool_call>{\"name\":\"a\",\"arguments\":{}}</"
     "tool_call>\n<tool_call>{\"name\":\"b\",\"arguments\":{\"x\":[]}}</tool_call>\n",
     "I look.\xc2\xab"
     "a {}\xc2\xbb\xc2\xab"
     "b {\"x\":[]}\xc2\xbb"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call> and more <tool",
     "\xc2\xab"
     "a {}\xc2\xbb"
     "and more <tool"},
    {"<tool_call>", "a < b <tool_cal <tool_callx>", "a < b <tool_cal <tool_callx>"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":{\"s\":\"</tool_call>\"}}</tool_call>",
     "\xc2\xab"
     "a {\"s\":\"</tool_call>\"}\xc2\xbb"},
    {"<tool_call>", "<tool_call>nonsense</tool_call>\n<tool_call>{\"name\":\"b\",\"arguments\":{}}</tool_call>",
     "<tool_call>nonsense</tool_call>\xc2\xab"
     "b {}\xc2\xbb"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":{}}",
     "\xc2\xab"
     "a {}\xc2\xbb"}, /* the end came before the mark */
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"argum", "<tool_call>{\"name\":\"a\",\"argum"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>",
     "<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>"},
    {"<tool_call>", "<tool_call>{\"name\":5,\"arguments\":{}}</tool_call>",
     "<tool_call>{\"name\":5,\"arguments\":{}}</tool_call>"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":\"{\\\"x\\\": 1}\"}</tool_call>",
     "\xc2\xab"
     "a {\"x\": 1}\xc2\xbb"},
    {"<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":\"no\"}</tool_call>",
     "<tool_call>{\"name\":\"a\",\"arguments\":\"no\"}</tool_call>"},
    {"<tool_call>", "<tool_call>{\"function\":{\"name\":\"a\",\"arguments\":{\"y\" : 2}}}</tool_call>",
     "\xc2\xab"
     "a {\"y\" : 2}\xc2\xbb"},
    {"<tool_call>", "<tool_call>{\"arguments\":{\"name\":\"x\"},\"name\":\"a\"}</tool_call>",
     "\xc2\xab"
     "a {\"name\":\"x\"}\xc2\xbb"},
    {"<tool_call>", "<tool_call>{\"name\":\"now\"}</tool_call>", "\xc2\xabnow {}\xc2\xbb"},
    {"<tool_call>", "<tool_call></tool_call>", "<tool_call></tool_call>"},
    {"<tool_call>", "x  \n ", "x  \n "}, /* white space is text where no call follows */
    /* Mistral */
    {"[TOOL_CALLS]",
     "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\"}}, {\"name\": \"now\", \"arguments\": "
     "{}}]",
     "\xc2\xabweather {\"city\": \"Bern\"}\xc2\xbb\xc2\xabnow {}\xc2\xbb"},
    {"[TOOL_CALLS][ARGS]",
     "Hm.[TOOL_CALLS]weather[ARGS]{\"city\": \"[ARGS]\"}[TOOL_CALLS]now[CALL_ID]abc123DEF[ARGS]{}",
     "Hm.\xc2\xabweather {\"city\": \"[ARGS]\"}\xc2\xbb\xc2\xabnow {}\xc2\xbb"},
    {"[TOOL_CALLS][ARGS]", "[TOOL_CALLS]now{}", "\xc2\xabnow {}\xc2\xbb"},
    {"[TOOL_CALLS]", "[TOOL_CALLS] what [is] this", "[TOOL_CALLS] what [is] this"},
    {"[TOOL_CALLS]", "[TOOL_CALLS] [{\"name\": 1}] x", "[TOOL_CALLS] [{\"name\": 1}] x"},
    /* Llama */
    {"<|python_tag|>", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Oslo\"}}",
     "\xc2\xabweather {\"city\": \"Oslo\"}\xc2\xbb"},
    {"<|python_tag|>",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"now\", \"parameters\": {}}; {\"name\": \"now\", "
     "\"parameters\": {\"a\":1}}",
     "\xc2\xabnow {}\xc2\xbb\xc2\xabnow {\"a\":1}\xc2\xbb"},
    {"<|python_tag|>", "{\"name\": \"unknown\", \"parameters\": {}} x",
     "{\"name\": \"unknown\", \"parameters\": {}} x"},
    {"<|python_tag|>", "Say {\"name\": \"now\", \"parameters\": {}}", "Say {\"name\": \"now\", \"parameters\": {}}"},
    {"<|python_tag|>", "<|python_tag|>print(1)", "<|python_tag|>print(1)"},
    {"<|python_tag|>", "\n{\"a\": 1}", "\n{\"a\": 1}"},
    {"<|python_tag|>", "{\"name\": \"now\", \"parameters\": {}} I said", "\xc2\xabnow {}\xc2\xbb I said"},
    {"<|python_tag|>", "{\"name\": \"now\", \"para", "{\"name\": \"now\", \"para"},
    /* Qwen3-Coder */
    {"<tool_call><function=",
     "<tool_call>\n<function=weather>\n<parameter=city>\nSt. "
     "\"Gallen\"\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
     "<parameter=opts>\n{\"a\": [1]}\n</parameter>\n<parameter=any>\nx\n</parameter>\n</function>\n</tool_call>",
     "\xc2\xabweather {\"city\": \"St. \\\"Gallen\\\"\", \"days\": 3, \"opts\": {\"a\": [1]}, \"any\": \"x\"}\xc2\xbb"},
    {"<tool_call><function=",
     "<tool_call>\n<function=weather>\n<parameter=city>\n5\n\n</parameter>\n</function>\n</tool_call>",
     "\xc2\xabweather {\"city\": \"5\\u000a\"}\xc2\xbb"},
    {"<tool_call><function=", "<tool_call><function=now></function></tool_call>", "\xc2\xabnow {}\xc2\xbb"},
    {"<tool_call><function=", "<tool_call><function=now><parameter=a>1</function></tool_call>",
     "<tool_call><function=now><parameter=a>1</function></tool_call>"},
    /* GLM */
    {"<tool_call><arg_key>",
     "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Bonn</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</"
     "arg_value>\n</tool_call>",
     "\xc2\xabweather {\"city\": \"Bonn\", \"days\": 2}\xc2\xbb"},
    {"<tool_call><arg_key>", "<tool_call>now</tool_call>", "\xc2\xabnow {}\xc2\xbb"},
    {"<tool_call><arg_key>", "<tool_call>now<arg_key>x</tool_call>", "<tool_call>now<arg_key>x</tool_call>"},
    /* DeepSeek V3 and V3.1 */
    {BEGIN,
     "Ok" BEGIN CALL "function" SEP "weather\n```json\n{\"city\": \"Rom\"}\n```" CALL_END "\n" CALL "function" SEP
     "now\n```json\n{}\n```" CALL_END END,
     "Ok\xc2\xabweather {\"city\": \"Rom\"}\xc2\xbb\xc2\xabnow {}\xc2\xbb"},
    {BEGIN, BEGIN CALL "now" SEP "{\"a\":\"}\"}" CALL_END END, "\xc2\xabnow {\"a\":\"}\"}\xc2\xbb"},
    {BEGIN, BEGIN CALL "now" END, BEGIN CALL "now" END},
    /* lists behind a mark */
    {"<|tool_call|>", "<|tool_call|>[{\"name\": \"now\", \"arguments\": {}}]<|/tool_call|>", "\xc2\xabnow {}\xc2\xbb"},
    {"<|tool_call|>", "<|tool_call|>[{\"name\": \"now\", \"arguments\": {}}] x", "\xc2\xabnow {}\xc2\xbbx"},
    {"<TOOLCALL>", "a<TOOLCALL>[{\"name\": \"now\", \"arguments\": {}}]</TOOLCALL>b",
     "a\xc2\xabnow {}\xc2\xbb"
     "b"},
    /* harmony */
    {"<|channel|><|call|>",
     "<|channel|>analysis<|message|>It {is} to=functions.now<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.weather <|constrain|>json<|message|>{\"city\": \"Rom\"}<|call|>",
     "IT {IS} TO=FUNCTIONS.NOW\xc2\xabweather {\"city\": \"Rom\"}\xc2\xbb"},
    {"<|channel|><|call|>", "<|start|>assistant to=functions.now<|channel|>commentary json<|message|>{\"a\": 1}",
     "\xc2\xabnow {\"a\": 1}\xc2\xbb"},
    {"<|channel|><|call|>",
     "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.now "
     "<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>At <|x noon.<|return|>",
     "I look.\xc2\xabnow {}\xc2\xbb"
     "At <|x noon."},
    {"<|channel|><|call|>", "<|channel|>commentary to=functions.now <|message|>no", " to=functions.now <|message|>no"},
    {"<|channel|><|call|>", "<|channel|>final<|message|>a <|chan", "a <|chan"},
    {"<|channel|><|call|>", "<|channel|>analysis<|message|>never ending <|en", "NEVER ENDING <|EN"},
    /* Cohere */
    {"<|START_ACTION|>",
     "<|START_THINKING|>I look.<|END_THINKING|><|START_ACTION|>[\n    {\"tool_call_id\": \"0\", \"tool_name\": "
     "\"weather\", \"parameters\": {\"city\": \"Rom\"}},\n    {\"tool_call_id\": \"1\", \"tool_name\": \"now\", "
     "\"parameters\": {}}\n]<|END_ACTION|>",
     "I LOOK.\xc2\xabweather {\"city\": \"Rom\"}\xc2\xbb\xc2\xabnow {}\xc2\xbb"},
    {"<|START_ACTION|>", "<|START_THINKING|>Hm<|END_THINKING|><|START_RESPONSE|>It rains.<|END_RESPONSE|>",
     "HMIt rains."},
    {"<|START_ACTION|>", "<|START_ACTION|>[{\"tool_name\": 3}]<|END_ACTION|>",
     "<|START_ACTION|>[{\"tool_name\": 3}]<|END_ACTION|>"},
};

static void on_text(void *context, const char *text, size_t length)
{
    assert_true(length > 0);
    mx_str_append(context, text, length);
}
static void on_thought(void *context, const char *text, size_t length)
{
    assert_true(length > 0);
    for (size_t i = 0; i < length; i++) mx_str_putc(context, (char)toupper((unsigned char)text[i]));
}

static void on_call(void *context, const char *name, const char *arguments, size_t length)
{
    assert_int_equal(strlen(arguments), length);
    mx_str_printf(context, "\xc2\xab%s %s\xc2\xbb", name, arguments);
}

static void read_reply(struct mx_str *out, const struct mx_tool_format *format, const cJSON *tools, const char *reply,
                       size_t length, bool calls, struct mx_random *random)
{
    struct mx_error err;
    struct mx_tool_parser *parser;
    const struct mx_tool_events events = {on_text, on_thought, calls ? on_call : NULL, out};
    assert_ok(mx_tool_parser_open(&parser, format, tools, &events, &err));
    for (size_t at = 0; at < length;) {
        const size_t left = length - at;
        size_t piece = random ? 1 + mx_random_u64(random) % (mx_random_u64(random) % 3 ? 4 : 20) : left;
        if (piece > left) piece = left;
        mx_tool_parser_feed(parser, reply + at, piece);
        at += piece;
    }
    assert_ok(mx_tool_parser_finish(parser, &err));
    mx_tool_parser_close(parser);
}

static void test_forms(void **state)
{
    (void)state;
    struct mx_random random = {9};
    cJSON *tools = cJSON_Parse(tools_json);
    assert_non_null(tools);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mx_tool_format *format = mx_tool_format_of(cases[i].template, strlen(cases[i].template));
        assert_non_null(format);
        for (int round = 0; round < 50; round++) {
            struct mx_str out = {0};
            read_reply(&out, format, tools, cases[i].reply, strlen(cases[i].reply), true, round ? &random : NULL);
            if (strcmp(mx_str_text(&out), cases[i].expected) != 0) {
                fail_msg("%s: %s gives %s", format->name, cases[i].reply, mx_str_text(&out));
            }
            mx_str_free(&out);
        }
    }
    cJSON_Delete(tools);
}

/* What gpt-oss answers where it was told of no tools: marks go, thoughts are told apart, and what looks like a call is
 * text. */
static void test_without_calls(void **state)
{
    (void)state;
    static const char reply[] =
        "<|channel|>analysis<|message|>The user asks for 2+2. Simple; no tool like to=functions.sum is there.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>2 + 2 is **4**. Don't write to=functions.sum {\"a\": 2}."
        "<|return|>";
    static const char expected[] = "THE USER ASKS FOR 2+2. SIMPLE; NO TOOL LIKE TO=FUNCTIONS.SUM IS THERE."
                                   "2 + 2 is **4**. Don't write to=functions.sum {\"a\": 2}.";
    const struct mx_tool_format *format = mx_tool_format_of("<|channel|><|call|>", 19);
    struct mx_random random = {4};
    for (int round = 0; round < 50; round++) {
        struct mx_str out = {0};
        read_reply(&out, format, NULL, reply, strlen(reply), false, round ? &random : NULL);
        assert_string_equal(mx_str_text(&out), expected);
        mx_str_free(&out);
    }
    static const char call[] = "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>";
    struct mx_str out = {0};
    read_reply(&out, mx_tool_format_of("<tool_call>", 11), NULL, call, strlen(call), false, NULL);
    assert_string_equal(mx_str_text(&out), call);
    mx_str_free(&out);
}

/* Text that can't be a call is handed out before the next comes. */
static void test_nothing_held_needlessly(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_str out = {0};
    struct mx_tool_parser *parser;
    const struct mx_tool_events events = {.text = on_text, .call = on_call, .context = &out};
    assert_ok(mx_tool_parser_open(&parser, mx_tool_format_of("<tool_call>", 11), NULL, &events, &err));
    mx_tool_parser_feed(parser, "word", 4);
    assert_string_equal(mx_str_text(&out), "word");
    mx_tool_parser_feed(parser, " <t", 3);
    assert_string_equal(mx_str_text(&out), "word");
    mx_tool_parser_feed(parser, "x", 1);
    assert_string_equal(mx_str_text(&out), "word <tx");
    mx_tool_parser_feed(parser, "<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>", 50);
    assert_string_equal(mx_str_text(&out), "word <tx\xc2\xab"
                                           "a {}\xc2\xbb"); /* before the end */
    mx_tool_parser_close(parser);
    mx_str_free(&out);
}

/* The form of a template: the more special one counts. */
static void test_templates(void **state)
{
    (void)state;
    static const char *const templates[][2] = {{"no tools", NULL},
                                               {"x <tool_call> y", "hermes"},
                                               {"<tool_call>\n<function=", "parameters"},
                                               {"<tool_call> <arg_key>", "arg_key"},
                                               {"[TOOL_CALLS]", "mistral"},
                                               {"[TOOL_CALLS] + [ARGS]", "mistral-args"},
                                               {"\"parameters\": ", NULL},
                                               {"Environment: ipython \"parameters\": ", "llama"},
                                               {"<|python_tag|>", "llama"},
                                               {"<|channel|> <|call|>", "harmony"},
                                               {"<|channel|>", NULL},
                                               {"<|START_ACTION|>", "action"}};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        const struct mx_tool_format *format = mx_tool_format_of(templates[i][0], strlen(templates[i][0]));
        assert_string_equal(format ? format->name : "none", templates[i][1] ? templates[i][1] : "none");
    }
    /* What is forced is read back. */
    for (size_t i = 0; i < mx_tool_format_count; i++) {
        const struct mx_tool_format *format = &mx_tool_formats[i];
        if (!format->before) continue;
        struct mx_str reply = {0}, out = {0};
        cJSON *tools = cJSON_Parse(tools_json);
        mx_str_printf(&reply, "%snow%s{\"a\": 1}%s", format->before, format->between, format->behind);
        read_reply(&out, format, tools, reply.data, reply.length, true, NULL);
        assert_string_equal(mx_str_text(&out), "\xc2\xabnow {\"a\": 1}\xc2\xbb");
        assert_non_null(strstr(format->before, format->open));
        cJSON_Delete(tools);
        mx_str_free(&reply);
        mx_str_free(&out);
    }
}

/* Pieces of all forms, shuffled: whatever they are, the same comes out however they are cut. */
static void test_shuffled(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<tool_call>",
                                         "</tool_call>",
                                         "{\"name\":\"now\",",
                                         "\"arguments\":{}}",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         "\"",
                                         "\\",
                                         "[TOOL_CALLS]",
                                         "now[ARGS]",
                                         "{}",
                                         " ",
                                         "\n",
                                         "<function=now>",
                                         "</function>",
                                         "<parameter=a>",
                                         "</parameter>",
                                         "text",
                                         "<|python_tag|>",
                                         "\"parameters\":{}}",
                                         ";",
                                         BEGIN,
                                         CALL,
                                         SEP,
                                         CALL_END,
                                         END,
                                         "<arg_key>",
                                         "</arg_key>",
                                         "<arg_value>",
                                         "<|channel|>",
                                         "analysis",
                                         "commentary",
                                         "<|message|>",
                                         "<|end|>",
                                         "<|start|>assistant",
                                         " to=functions.",
                                         "<|call|>",
                                         "<|START_ACTION|>",
                                         "<|END_ACTION|>",
                                         "<|START_THINKING|>",
                                         "<|END_THINKING|>",
                                         "\xc3",
                                         "<"};
    struct mx_random random = {4};
    cJSON *tools = cJSON_Parse(tools_json);
    for (int round = 0; round < (SANITIZED ? 2000 : 20000); round++) {
        struct mx_str reply = {0}, whole = {0}, cut = {0};
        const struct mx_tool_format *format = &mx_tool_formats[mx_random_u64(&random) % mx_tool_format_count];
        for (uint64_t i = mx_random_u64(&random) % 12 + 1; i > 0; i--) {
            mx_str_puts(&reply, pieces[mx_random_u64(&random) % (sizeof pieces / sizeof *pieces)]);
        }
        read_reply(&whole, format, tools, reply.data, reply.length, true, NULL);
        read_reply(&cut, format, tools, reply.data, reply.length, true, &random);
        if (strcmp(mx_str_text(&whole), mx_str_text(&cut)) != 0) {
            fail_msg("%s: %s gives %s and %s", format->name, reply.data, mx_str_text(&whole), mx_str_text(&cut));
        }
        mx_str_free(&reply);
        mx_str_free(&whole);
        mx_str_free(&cut);
    }
    cJSON_Delete(tools);
}

/* --- calls that are forced --- */

/* Bytes, and [TOOL_CALLS] as a special token. */
enum { SPECIAL = 256 };
static mx_status bytes_of(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    (void)context;
    (void)err;
    if (token == SPECIAL) mx_str_putc(bytes, (char)MX_TOKEN_SPECIAL);
    if (token == SPECIAL)
        mx_str_puts(bytes, "[TOOL_CALLS]");
    else
        mx_str_putc(bytes, (char)token);
    return MX_OK;
}
static bool is_special(void *context, const char *mark)
{
    (void)context;
    return strcmp(mark, "[TOOL_CALLS]") == 0;
}

static struct mx_constraint *force(const struct mx_token_trie *trie, const char *template, const cJSON *tools,
                                   const char *only)
{
    struct mx_error err;
    struct mx_grammar grammar;
    struct mx_constraint *constraint;
    uint32_t root, node;
    mx_grammar_init(&grammar);
    assert_ok(mx_grammar_node(&grammar, &root, &err));
    assert_ok(mx_tool_grammar(&grammar, mx_tool_format_of(template, strlen(template)), tools, only, is_special, NULL,
                              &node, &err));
    uint32_t *list = mx_arena_array(&grammar.arena, 1, sizeof *list);
    list[0] = node;
    grammar.nodes[root].kind = MX_GRAMMAR_CHOICE;
    grammar.nodes[root].list = list;
    grammar.nodes[root].count = 1;
    assert_ok(mx_grammar_finish(&grammar, &err));
    assert_ok(mx_constraint_open(&constraint, &grammar, trie, &err));
    assert_ok(mx_constraint_begin(constraint, &err));
    return constraint;
}

/* A $ in a reply is the special token. */
static bool admits(struct mx_constraint *constraint, const char *reply)
{
    assert_int_equal(mx_constraint_begin(constraint, NULL), MX_OK);
    for (const char *c = reply; *c; c++) {
        if (!mx_constraint_accept(constraint, *c == '$' ? SPECIAL : (unsigned char)*c)) return false;
    }
    return mx_constraint_ended(constraint);
}

static void test_forced(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_token_trie *trie;
    cJSON *tools = cJSON_Parse(tools_json);
    assert_ok(mx_token_trie_open(&trie, SPECIAL + 1, bytes_of, NULL, &err));
    struct mx_constraint *hermes = force(trie, "<tool_call>", tools, NULL), *other;
    assert_true(admits(hermes, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
    assert_true(admits(
        hermes, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"a\", \"days\": 2}}\n</tool_call>"));
    assert_false(admits(hermes, "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": 1}}\n</tool_call>"));
    assert_false(admits(hermes, "<tool_call>\n{\"name\": \"none\", \"arguments\": {}}\n</tool_call>"));
    assert_false(
        admits(hermes, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"days\": \"2\"}}\n</tool_call>"));
    assert_false(admits(hermes, "It is noon."));
    assert_ok(mx_constraint_fork(&other, hermes, &err));
    mx_constraint_close(hermes);
    assert_true(admits(other, "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
    mx_constraint_close(other);
    struct mx_constraint *mistral = force(trie, "[TOOL_CALLS][ARGS]", tools, "now");
    assert_true(admits(mistral, "$now[ARGS]{}"));
    assert_false(admits(mistral, "[TOOL_CALLS]now[ARGS]{}")); /* as text */
    assert_false(admits(mistral, "$weather[ARGS]{}"));
    mx_constraint_close(mistral);
    /* A string may hold the mark's text, but not the token. */
    struct mx_constraint *llama = force(trie, "<|python_tag|>", tools, "weather");
    assert_true(admits(llama, "{\"name\": \"weather\", \"parameters\": {\"city\":\"[TOOL_CALLS]\"}}"));
    assert_false(admits(llama, "{\"name\": \"weather\", \"parameters\": {\"city\":\"$\"}}"));
    mx_constraint_close(llama);
    /* What can't be forced. */
    struct mx_grammar grammar;
    uint32_t node;
    cJSON *bad =
        cJSON_Parse("[{\"function\":{\"name\":\"a b\"}},{\"function\":{\"name\":\"f\",\"parameters\":{\"not\":{}}}}]");
    mx_grammar_init(&grammar);
    assert_fails(mx_tool_grammar(&grammar, mx_tool_format_of("<tool_call><function=", 21), tools, NULL, is_special,
                                 NULL, &node, &err),
                 MX_ERR_UNSUPPORTED, "can't be forced");
    assert_fails(
        mx_tool_grammar(&grammar, mx_tool_format_of("<tool_call>", 11), bad, "a b", is_special, NULL, &node, &err),
        MX_ERR_ARGUMENT, "names consist of");
    assert_fails(
        mx_tool_grammar(&grammar, mx_tool_format_of("<tool_call>", 11), bad, "f", is_special, NULL, &node, &err),
        MX_ERR_UNSUPPORTED, "the parameters of the tool \"f\": the schema at #: \"not\"");
    mx_grammar_free(&grammar);
    cJSON_Delete(bad);
    cJSON_Delete(tools);
    mx_token_trie_close(trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_without_calls),
                                       cmocka_unit_test(test_nothing_held_needlessly),
                                       cmocka_unit_test(test_templates),
                                       cmocka_unit_test(test_shuffled),
                                       cmocka_unit_test(test_forced)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
