/* What `inspect`, `recommend`, `eval` and `bench --kernel` print with --json, against the schemas in docs/schema/. The
 * validator below knows the words that those files use: type, properties, required, additionalProperties (false),
 * items, enum. */
#include "support.h"

#include <math.h>

#include "base/json.h"
#include "base/str.h"

static const char *program;
static struct mx_error err;

static bool has_type(const cJSON *value, const char *type)
{
    if (!strcmp(type, "object")) return cJSON_IsObject(value);
    if (!strcmp(type, "array")) return cJSON_IsArray(value);
    if (!strcmp(type, "string")) return cJSON_IsString(value);
    if (!strcmp(type, "boolean")) return cJSON_IsBool(value);
    if (!strcmp(type, "null")) return cJSON_IsNull(value);
    if (!strcmp(type, "number")) return cJSON_IsNumber(value);
    if (!strcmp(type, "integer")) return cJSON_IsNumber(value) && value->valuedouble == floor(value->valuedouble);
    return false;
}

/* Fails the test where `value`, found at `place`, is not what `schema` says. */
static void validate(const cJSON *value, const cJSON *schema, const char *place)
{
    char where[512];
    const cJSON *type = mx_json_get(schema, "type"), *one;
    bool good = false;
    if (cJSON_IsString(type)) good = has_type(value, type->valuestring);
    cJSON_ArrayForEach (one, type) good = good || has_type(value, one->valuestring);
    if (!good) fail_msg("%s has the wrong type", place);
    const cJSON *choices = mx_json_get(schema, "enum");
    if (choices) {
        good = false;
        cJSON_ArrayForEach (one, choices) good = good || cJSON_Compare(one, value, true);
        if (!good) fail_msg("%s is none of the words allowed", place);
    }
    if (cJSON_IsArray(value)) {
        int index = 0;
        cJSON_ArrayForEach (one, value) {
            snprintf(where, sizeof where, "%s[%d]", place, index++);
            validate(one, mx_json_get(schema, "items"), where);
        }
    }
    if (!cJSON_IsObject(value)) return;
    const cJSON *properties = mx_json_get(schema, "properties");
    cJSON_ArrayForEach (one, value) {
        snprintf(where, sizeof where, "%s.%s", place, one->string);
        const cJSON *inner = mx_json_get(properties, one->string);
        if (!inner) fail_msg("%s is not in the schema", where);
        validate(one, inner, where);
    }
    cJSON_ArrayForEach (one, mx_json_get(schema, "required")) {
        if (!mx_json_get(value, one->valuestring)) fail_msg("%s lacks %s", place, one->valuestring);
    }
}

static cJSON *run(const char *arguments)
{
    char command[1024], chunk[4096];
    snprintf(command, sizeof command, "'%s' %s", program, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    struct mx_str text = {0};
    for (size_t length; (length = fread(chunk, 1, sizeof chunk, pipe)) > 0;) mx_str_append(&text, chunk, length);
    if (pclose(pipe) != 0) fail_msg("%s fails", command);
    cJSON *root;
    const struct mx_json_rules rules = {0}; /* no NaN, no key twice */
    assert_ok(mx_json_parse(&root, mx_str_text(&text), text.length, command, &rules, &err));
    mx_str_free(&text);
    return root;
}

static void check(const char *schema, const char *arguments)
{
    char path[128];
    snprintf(path, sizeof path, "docs/schema/%s.schema.json", schema);
    cJSON *rules, *value = run(arguments);
    const struct mx_json_rules strict = {0};
    assert_ok(mx_json_read_file(&rules, path, 1 << 20, &strict, &err));
    validate(value, rules, schema);
    cJSON_Delete(rules);
    cJSON_Delete(value);
}

#define CONFIGS "tests/cli/configs/"

static void schemas_hold(void **state)
{
    static const char *const flags[] = {"--budget 16GB --bandwidth 30GB",
                                        "--budget 1MB",
                                        "--ctx 128k --batch 4",
                                        "--ctx 16k",
                                        "--evidence tests/cli/evidence --ctx 8192",
                                        "--evidence tests/cli/evidence --prefer memory --ctx 8192"};
    static const char *const models[] = {"llama-8b.json", "mamba2.json", "turbo-hybrid.json", "no-size.json"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        for (size_t j = 0; j < sizeof models / sizeof *models; j++) {
            char arguments[300];
            snprintf(arguments, sizeof arguments, "inspect --json " CONFIGS "%s %s", models[j], flags[i]);
            check("inspect", arguments);
            snprintf(arguments, sizeof arguments, "recommend --json " CONFIGS "%s %s", models[j], flags[i]);
            check("recommend", arguments);
            if (strstr(flags[i], "--batch")) continue;
            strcat(arguments, " --serve --users 8");
            check("recommend", arguments);
        }
    check("bench-kernel", "bench --kernel --json --depth 64 --kv-heads 1 --head-dim 16 --repeat 1 --modes fp16,int8");
    check("bench-kernel", "bench --kernel --json --depth 64 --kv-heads 1 --head-dim 16 --repeat 1 --modes turbo4");
    check("eval", "eval --json --no-record --tokens-file tests/data/trained/val.tokens --ctx 4,40 --windows 2");
    check("recommend-several", "recommend --json " CONFIGS "llama-8b.json " CONFIGS "mamba2.json");
}

static double number(const cJSON *root, const char *object, const char *key)
{
    const cJSON *item = mx_json_get(object ? mx_json_get(root, object) : root, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* The figures of one page agree with each other, and with a second call at the largest context that it names. */
static void figures_agree(void **state)
{
    cJSON *root = run("inspect --json " CONFIGS "llama-8b.json --budget 24GB --ctx 32768");
    assert_true(number(root, "cache", "elements") == 32768.0 * 65536);
    assert_true(number(root, "cache", "bytes") == number(root, "modes", "fp16"));
    assert_true(number(root, "memory", "cache") == number(root, "cache", "bytes"));
    double sum = 0;
    static const char *const parts[] = {"weights", "cache", "state", "activations", "overhead"};
    for (int i = 0; i < 5; i++) sum += number(root, "memory", parts[i]);
    assert_true(sum == number(root, "memory", "total"));
    const double largest = number(root, "max_context", "int8");
    cJSON_Delete(root);
    for (int more = 0; more < 2; more++) {
        char arguments[200];
        snprintf(arguments, sizeof arguments,
                 "inspect --json " CONFIGS "llama-8b.json --budget 24GB --kv-cache-mode int8 --ctx %.0f",
                 largest + 256 * more);
        root = run(arguments);
        assert_int_equal(cJSON_IsTrue(mx_json_get(mx_json_get(root, "memory"), "fits")), !more);
        cJSON_Delete(root);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_hold),
        cmocka_unit_test(figures_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
