/* Templates render as Jinja2 renders them (tests/data/jinja: templates, conversations, and what Jinja2 made of each
 * pair, null where it raised an exception; tools/jinja-cases.py wrote that), mistakes are one line with a place, and
 * hostile templates end. */
#include "support.h"

#include <dirent.h>

#include "base/file.h"
#include "base/json.h"
#include "jinja/jinja.h"

enum { MAX_FILE = 8 << 20 };

static struct mx_error err;

static mx_status render_limited(const char *template, const char *json, const struct mx_jinja_limits *limits,
                                struct mx_str *out)
{
    const struct mx_jinja_variable all = {
        .source = MX_JINJA_JSON, .text = json, .length = strlen(json), .origin = "variables"};
    const struct mx_jinja_call call = {.variables = &all, .count = 1, .now = 1767225600, .limits = limits};
    struct mx_jinja *jinja;
    MX_TRY(mx_jinja_open(&jinja, template, strlen(template), "template", &err));
    const mx_status status = mx_jinja_render(jinja, &call, out, &err);
    mx_jinja_close(jinja);
    return status;
}

static mx_status render(const char *template, const char *json, struct mx_str *out)
{
    return render_limited(template, json, NULL, out);
}

static void check_pair(const char *name, const char *template, const char *file, const cJSON *expected)
{
    char path[300], *json;
    size_t length;
    struct mx_str out = {0};
    snprintf(path, sizeof path, "tests/data/jinja/conversations/%s.json", file);
    assert_ok(mx_file_read(path, MAX_FILE, &json, &length, &err));
    const mx_status status = render(template, json, &out);
    if (cJSON_IsString(expected)) {
        if (status != MX_OK) fail_msg("%s over %s: %s", name, file, err.message);
        if (strcmp(mx_str_text(&out), expected->valuestring) != 0)
            fail_msg("%s over %s: \"%s\", not \"%s\"", name, file, mx_str_text(&out), expected->valuestring);
    } else {
        if (status == MX_OK) fail_msg("%s over %s: \"%s\", not an error", name, file, mx_str_text(&out));
        assert_memory_equal(err.message, "template:", 9);
        assert_int_equal(out.length, 0);
    }
    mx_str_free(&out);
    free(json);
}

static void templates_render_as_jinja2_does(void **state)
{
    cJSON *all;
    const cJSON *pair;
    char *text;
    size_t length, count = 0;
    assert_ok(mx_json_read_file(&all, "tests/data/jinja/expected.json", MAX_FILE, NULL, &err));
    assert_ok(mx_file_read("tests/data/jinja/templates.txt", MAX_FILE, &text, &length, &err));
    for (char *at = strstr(text, "=== "), *next; at; at = next, count++) {
        char *name = at + 4, *body = strchr(name, '\n');
        *body++ = '\0';
        next = strstr(body, "\n=== ");
        char *end = next ? ++next : text + length;
        const char kept = *end;
        *end = '\0';
        const cJSON *expected = mx_json_get(all, name);
        assert_non_null(expected);
        cJSON_ArrayForEach (pair, expected) check_pair(name, body, pair->string, pair);
        *end = kept;
    }
    assert_true(count >= 100 && count == (size_t)cJSON_GetArraySize(all));
    cJSON_Delete(all);
    free(text);
}

static void check_failure(const char *template, mx_status status, const char *message)
{
    struct mx_str out = {0};
    assert_fails(render(template, "{\"m\": [1, {\"a\": null}], \"t\": \"x\"}", &out), status, message);
    assert_null(strchr(err.message, '\n'));
    assert_int_equal(out.length, 0);
    mx_str_free(&out);
}

static void mistakes_are_one_line_with_a_place(void **state)
{
    check_failure("a\nb {{ m[1].a.b.c }}", MX_ERR_FORMAT, "template:2:14: 'None' has no attribute 'b'");
    check_failure("{{ nothing.x }}", MX_ERR_FORMAT, "template:1:11: 'nothing' is undefined");
    check_failure("{{ m.x.y }}", MX_ERR_FORMAT, "'list object' has no attribute 'x'");
    check_failure("äö {{ 1 + t }}", MX_ERR_FORMAT, "template:1:9: unsupported operand types for +: 'int' and 'str'");
    check_failure("{{ raise_exception('not\nlike this') }}", MX_ERR_ARGUMENT,
                  "refuses this conversation: not?like this");
    check_failure("{% if t %}", MX_ERR_FORMAT, "template:1:11: the template ends where 'endif' was expected");
    check_failure("{{ t", MX_ERR_FORMAT, "template:1:1: a {{ without its }}");
    check_failure("{{ t }", MX_ERR_FORMAT, "template:1:6: a closing bracket that fits no opening one");
    check_failure("{{ 'x }}", MX_ERR_FORMAT, "template:1:4: a text without its closing quote");
    check_failure("{# x", MX_ERR_FORMAT, "a comment without its end");
    check_failure("{% raw %}x", MX_ERR_FORMAT, "a raw block without its end");
    check_failure("{% frobnicate %}", MX_ERR_FORMAT, "not 'frobnicate'");
    check_failure("{% include 'x' %}", MX_ERR_UNSUPPORTED, "'include' is not for chat templates");
    check_failure("{% break %}", MX_ERR_FORMAT, "stand in a for loop");
    check_failure("{{ t|nope }}", MX_ERR_FORMAT, "no filter is called 'nope'");
    check_failure("{{ t is nope }}", MX_ERR_FORMAT, "no test is called 'nope'");
    check_failure("{{ m.append(1) }}", MX_ERR_FORMAT, "access to attribute 'append' of a 'list' is unsafe");
    check_failure("{{ [1]|map('upper') }}", MX_ERR_FORMAT, "put |list or |join behind it");
    check_failure("{{ 9223372036854775807 + 1 }}", MX_ERR_LIMIT, "beyond 64 bits");
    check_failure("{{ 99999999999999999999 }}", MX_ERR_FORMAT, "beyond 64 bits");
    check_failure("{{ '\\ud83d' }}", MX_ERR_FORMAT, "half a surrogate pair");
    check_failure("\xff", MX_ERR_FORMAT, "byte 1 of the template is not UTF-8");
    struct mx_str out = {0};
    assert_fails(render("x", "{\"a\": 01}", &out), MX_ERR_FORMAT, "variables:1:9: not a number");
    assert_fails(render("x", "{\"a\":\n [1,}", &out), MX_ERR_FORMAT, "variables:2:5:");
    assert_fails(render("x", "[]", &out), MX_ERR_FORMAT, "no object of variables");
    mx_str_free(&out);
}

/* A text of `count` times `part`. */
static char *repeated(const char *before, const char *part, size_t count, const char *behind)
{
    struct mx_str text = {0};
    mx_str_puts(&text, before);
    for (size_t i = 0; i < count; i++) mx_str_puts(&text, part);
    mx_str_puts(&text, behind);
    return text.data;
}

static void check_hostile(const char *template)
{
    static const struct mx_jinja_limits limits = {.steps = 2000000, .memory = 32 << 20, .depth = 800};
    struct mx_str out = {0};
    assert_int_not_equal(render_limited(template, "{}", &limits, &out), MX_OK);
    assert_true(err.message[0] && !strchr(err.message, '\n'));
    assert_int_equal(out.length, 0);
    mx_str_free(&out);
}

static void hostile_templates_end(void **state)
{
    static const char *const templates[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[0]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}",
        "{% set ns = namespace(x=()) %}{% for i in range(9999) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ {ns.x: 1} }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [[]] recursive %}{{ loop([[]]) }}{% endfor %}",
        "{{ 'x' * 999999999999 }}",
        "{{ [0] * 999999999999 }}",
        "{{ ('x' * 30000000) * 30 }}",
        "{{ '%9999999d' % 1 }}",
        "{{ '{:9999999}'.format(1) }}",
        "{{ 'x'.center(999999999999) }}",
        "{{ 'x'|indent(999999999) }}",
        "{{ range(999999999) }}",
        "{{ 10 ** 100 }}",
        "{% for i in range(9999) %}{{ ('a' * 100000).rfind('b' * 50000) }}{% endfor %}",
        "{{ [1]|batch(99999999999, 0)|list }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns|tojson }}",
    };
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) check_hostile(templates[i]);
    static const char *const nested[][3] = {
        {"{{ ", "(", ""},           {"{{ ", "[", ""},           {"{{ ", "-", "1 }}"},   {"{{ ", "not ", "1 }}"},
        {"{{ 1", "+1", " }}"},      {"{{ 1", "|string", " }}"}, {"{{ x", ".a", " }}"},  {"{{ 1", " if 1", " }}"},
        {"{{ 1", " is odd", " }}"}, {"{{ 1", " or 1", " }}"},   {"", "{% if 1 %}", ""}, {"", "{% for x in y %}", ""},
        {"", "{% set x %}", ""},    {"{{ f", "()", " }}"},      {"{{ ", "{1:", ""},     {"{{ ", "f(", ""},
    };
    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        char *template = repeated(nested[i][0], nested[i][1], 50000, nested[i][2]);
        check_hostile(template);
        free(template);
    }
}

static void what_it_reads_is_known(void **state)
{
    struct mx_jinja *jinja;
    static const char text[] =
        "{% for m in messages %}{% if thinking is defined %}{{ x }}{% endif %}{% set y = 1 %}{{ y }}"
        "{% endfor %}{% set z = z %}{% macro f(a) %}{{ a ~ inner }}{% endmacro %}";
    assert_ok(mx_jinja_open(&jinja, text, strlen(text), "template", &err));
    assert_true(mx_jinja_reads(jinja, "messages") && mx_jinja_reads(jinja, "thinking") && mx_jinja_reads(jinja, "x"));
    assert_true(mx_jinja_reads(jinja, "z") && mx_jinja_reads(jinja, "inner"));
    assert_false(mx_jinja_reads(jinja, "m") || mx_jinja_reads(jinja, "y") || mx_jinja_reads(jinja, "a"));
    assert_false(mx_jinja_reads(jinja, "enable_thinking"));
    mx_jinja_close(jinja);
}

/* One template renders any number of times, and adds to what is there. */
static void rendering_leaves_the_template_as_it_was(void **state)
{
    struct mx_jinja *jinja;
    struct mx_str out = {0};
    static const char text[] = "{% set ns = namespace(n=n) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ t }};";
    assert_ok(mx_jinja_open(&jinja, text, strlen(text), "template", &err));
    for (int i = 0; i < 3; i++) {
        const struct mx_jinja_variable variables[] = {
            {.name = "n", .source = MX_JINJA_JSON, .text = "41", .length = 2, .origin = "n"},
            {.name = "t", .source = MX_JINJA_TEXT, .text = "a\0b", .length = 3}};
        const struct mx_jinja_call call = {.variables = variables, .count = 2};
        assert_ok(mx_jinja_render(jinja, &call, &out, &err));
    }
    assert_int_equal(out.length, 18);
    assert_memory_equal(out.data, "42a\0b;42a\0b;42a\0b;", 18);
    mx_jinja_close(jinja);
    mx_str_free(&out);
}

/* Work is counted by what a text costs: long conversations stay far from the limit. */
static void long_conversations_render(void **state)
{
    struct mx_str out = {0};
    char *json =
        repeated("{\"messages\": [", "{\"role\": \"user\", \"content\": \"some words of a turn\"},", 20000, "0]}");
    assert_ok(
        render("{% set ns = namespace(t='') %}{% for m in messages[:-1] %}{% set ns.t = ns.t + '<' + m.role + '>' + "
               "m.content|trim + '\\n' %}{% endfor %}{{ ns.t }}",
               json, &out));
    assert_int_equal(out.length, 20000 * 27);
    free(json);
    mx_str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_as_jinja2_does),
        cmocka_unit_test(mistakes_are_one_line_with_a_place),
        cmocka_unit_test(hostile_templates_end),
        cmocka_unit_test(what_it_reads_is_known),
        cmocka_unit_test(rendering_leaves_the_template_as_it_was),
        cmocka_unit_test(long_conversations_render),
    };
    setenv("TZ", "UTC", 1); /* the expected dates are of that zone */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
