/* Which documents a schema's constraint lets through, and which schemas are refused. */
#include "support.h"

#include <time.h>

#include "structure/constraint.h"
#include "vocab.h"

static bool admits(struct mx_constraint *constraint, const char *text)
{
    assert_int_equal(mx_constraint_begin(constraint, NULL), MX_OK);
    for (const char *c = text; *c; c++) {
        if (!mx_constraint_accept(constraint, (unsigned char)*c)) return false;
    }
    return mx_constraint_complete(constraint);
}

/* `good` and `bad` are documents, each ended by a line end but for the last; single quotes stand for double ones. */
struct document_case {
    const char *schema, *good, *bad;
};

static void unquote(char *out, const char *text)
{
    for (; *text; text++) *out++ = *text == '\'' ? '"' : *text;
    *out = '\0';
}

static void check_documents(struct mx_constraint *constraint, const char *schema, const char *documents, bool expected)
{
    char text[2000], *save = NULL;
    unquote(text, documents);
    for (char *one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save)) {
        for (char *c = one; *c; c++) {
            if (*c == '~') *c = '\n';
        }
        if (admits(constraint, one) != expected) fail_msg("%s %s %s", schema, expected ? "refuses" : "admits", one);
    }
}

static const struct document_case cases[] = {
    {"true", "{}\n[]\n1\n'x'\nnull\n[1, {'a': [true,false]}]\n-1.5e-7\n{~    'a': 1~}",
     "{]\n {}\n~{}\n01\nnul\n'\n1 \n  1\n{'a':1,}\n[1,]\n{a:1}\n[1 2]\n{'a' :1}"},
    {"{}", "[]\n1", "x"},
    {"{'type': 'object'}", "{}\n{'a':1}\n{'b':{'c':[]}}", "[]\n1\n{'a':}"},
    {"{'type': 'boolean'}", "true\nfalse", "null\ntru\n1"},
    {"{'type': ['string', 'null']}", "'a'\nnull", "1\ntrue"},
    {"{'type': 'integer'}", "1\n-5\n0", "1.0\n1e5\n01\n-0"},
    {"{'type': 'integer', 'minimum': 3, 'exclusiveMaximum': 12}", "3\n11\n7", "2\n12\n1\n100"},
    {"{'minimum': 0}", "0\n0.5\n17", "-1\n'a'"},
    {"{'type': 'number', 'minimum': 2, 'exclusiveMinimum': 2}", "2.1\n3", "2\n2.0\n1"},
    {"{'type': 'string', 'minLength': 2, 'maxLength': 3}", "'ab'\n'abc'\n'\\n\\u00e9'\n'\\ud83d\\ude00x'",
     "'a'\n'abcd'\n''"},
    {"{'type': 'string', 'pattern': '^[a-c]+$', 'maxLength': 3}", "'a'\n'abc'", "''\n'abcd'\n'd'"},
    {"{'enum': ['red', 'green', 1, null, [1, {'a': 0.5}]]}", "'red'\n'green'\n1\nnull\n[1,{'a':0.5}]",
     "'blue'\n2\n're'\n1.0"},
    {"{'const': 'x', 'type': 'string'}", "'x'", "'y'"},
    {"{'type': 'integer', 'enum': [1, 1.5, '2', 3]}", "1\n3", "1.5\n'2'"},
    {"{'type': 'array', 'items': {'type': 'integer'}}", "[]\n[1]\n[1, 2,3]", "['a']\n[1,]"},
    {"{'type': 'array', 'items': {'enum': [0]}, 'minItems': 2, 'maxItems': 3}", "[0,0]\n[0,0,0]", "[0]\n[]\n[0,0,0,0]"},
    {"{'prefixItems': [{'type': 'null'}, {'type': 'boolean'}], 'items': false}", "[]\n[null]\n[null,true]",
     "[true]\n[null,true,1]\n{}"},
    {"{'prefixItems': [{'type': 'null'}], 'items': {'type': 'boolean'}, 'minItems': 2}",
     "[null,true]\n[null,true,false]", "[null]\n[]\n[null,1]"},
    {"{'type': 'array', 'maxItems': 0}", "[]", "[1]"},
    {"{'type': 'object', 'properties': {'a': {'type': 'integer'}, 'b': {'type': 'null'}}, 'required': ['a'], "
     "'additionalProperties': false}",
     "{'a':1}\n{'a':1,'b':null}\n{ 'a': 1, 'b': null }",
     "{}\n{'b':null}\n{'a':1,'c':1}\n{'b':null,'a':1}\n{'a':1,'a':1}\n{'a':null}"},
    {"{'type': 'object', 'properties': {'a': {'const': 1}, 'ab': {'const': 2}, 'b': {'const': 3}}, 'required': ['b']}",
     "{'b':3}\n{'a':1,'b':3}\n{'ab':2,'b':3}\n{'a':1,'ab':2,'b':3}", "{}\n{'a':1}\n{'a':2,'b':3}\n{'abc':1,'b':3}"},
    {"{'type': 'object', 'properties': {'a': {'const': 1}}, 'additionalProperties': {'type': 'null'}}",
     "{}\n{'a':1}\n{'a':1,'b':null,'c':null}\n{'b':null}\n{'aa':null}\n{'':null}",
     "{'b':1}\n{'a':null}\n{'b':null,'a':1}\n{'\\u0061':null}"},
    {"{'type': 'object', 'properties': {'a': {'const': 1}}, 'additionalProperties': true}", "{'a':1,'b':[1]}",
     "{'a':2}"},
    {"{'type': 'object', 'required': ['x', 'x'], 'additionalProperties': {'type': 'integer'}}",
     "{'x':1}\n{'x':1,'y':2}", "{}\n{'y':2}"},
    {"{'type': 'object', 'properties': {'q\\'\\\\': {'const': 1}}}", "{'q\\'\\\\':1}", "{'q':1}"},
    {"{'type': 'object', 'properties': {'a': false, 'b': {'const': 1}}}", "{}\n{'b':1}", "{'a':1}"},
    {"{'anyOf': [{'type': 'integer'}, {'type': 'object', 'properties': {'k': {'const': 1}}, 'required': ['k']}, "
     "{'type': 'object', 'properties': {'k': {'const': 2}, 'v': {'type': 'null'}}, 'required': ['k', 'v']}]}",
     "5\n{'k':1}\n{'k':2,'v':null}", "{'k':2}\n{'k':1,'v':null}\n{}"},
    {"{'oneOf': [{'type': 'string'}, {'type': 'integer', 'maximum': -1}, {'type': 'integer', 'minimum': 0}, {'type': "
     "'array'}]}",
     "'a'\n5\n-5\n[]", "null\n1.5"},
    {"{'oneOf': [{'type': 'object', 'properties': {'t': {'const': 'a'}}, 'required': ['t']}, {'type': 'object', "
     "'properties': {'t': {'enum': ['b', 'c']}}, 'required': ['t']}]}",
     "{'t':'a'}\n{'t':'c'}", "{'t':'d'}\n{}"},
    {"{'oneOf': [{'type': 'object', 'properties': {'x': true}, 'required': ['x'], 'additionalProperties': false}, "
     "{'type': 'object', 'properties': {'y': true}, 'required': ['y'], 'additionalProperties': false}]}",
     "{'x':1}\n{'y':[]}", "{'x':1,'y':1}"},
    {"{'$ref': '#/$defs/tree', '$defs': {'tree': {'type': 'object', 'properties': {'v': {'type': 'integer'}, 'kids': "
     "{'type': 'array', 'items': {'$ref': '#/$defs/tree'}}}, 'required': ['v']}}}",
     "{'v':1}\n{'v':1,'kids':[{'v':2,'kids':[]},{'v':3}]}", "{'v':1,'kids':[1]}\n{'kids':[]}"},
    {"{'type': 'object', 'properties': {'next': {'anyOf': [{'$ref': '#'}, {'type': 'null'}]}}, 'required': ['next']}",
     "{'next':null}\n{'next':{'next':null}}", "{}\n{'next':1}"},
    {"{'definitions': {'a/b~c': {'type': 'null'}}, 'items': {'$ref': '#/definitions/a~1b~0c'}}", "[null]", "[1]"},
    {"{'allOf': [{'type': 'object', 'properties': {'a': {'type': 'integer', 'minimum': 1}}, 'required': ['a']}, "
     "{'type': 'object', 'properties': {'a': {'maximum': 3}, 'b': {'type': 'null'}}, 'required': ['b']}]}",
     "{'a':2,'b':null}", "{'a':4,'b':null}\n{'a':2}\n{'b':null}"},
    {"{'allOf': [{'properties': {'a': {'const': 1}}, 'additionalProperties': false}, {'properties': {'b': {'const': "
     "2}}}]}",
     "{}\n{'a':1}", "{'b':2}"},
    {"{'type': 'object', 'properties': {'a': {'const': 1}, 'b': {'const': 2}}, 'anyOf': [{'required': ['a']}, "
     "{'required': ['b']}]}",
     "{'a':1}\n{'b':2}\n{'a':1,'b':2}", "{}"},
    {"{'$ref': '#/$defs/s', 'maxLength': 2, '$defs': {'s': {'type': 'string', 'minLength': 1}}}", "'a'\n'ab'",
     "''\n'abc'"},
    {"{'allOf': [{'type': ['integer', 'string']}, {'type': ['number', 'null']}]}", "1", "1.5\n'a'\nnull"},
    {"{'allOf': [{'enum': [1, 2, 3]}, {'enum': [2, 3, 4]}], 'const': 3}", "3", "2\n4"},
    {"{'allOf': [{'pattern': '^a+$', 'minLength': 2}, {'pattern': '^a+$', 'maxLength': 3}]}", "'aa'\n'aaa'",
     "'a'\n'aaaa'"},
    {"{'title': 't', 'description': 'd', 'default': 1, 'examples': [], '$schema': 's', '$id': 'i', '$comment': 'c', "
     "'format': 'date', 'type': 'null'}",
     "null", "1"},
    {"{'type': 'object', 'properties': {'a': {'type': 'integer'}}, 'additionalProperties': {'$ref': '#'}}",
     "{'a':1,'x':{'y':{}}}", "{'x':1}"},
};

static void test_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char schema[2000];
        struct mx_error err;
        struct mx_constraint *constraint;
        unquote(schema, cases[i].schema);
        assert_ok(mx_constraint_from_schema(&constraint, schema, strlen(schema), "schema", trie, &err));
        check_documents(constraint, cases[i].schema, cases[i].good, true);
        check_documents(constraint, cases[i].schema, cases[i].bad, false);
        mx_constraint_close(constraint);
    }
}

static void test_any_object(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_constraint *constraint;
    assert_ok(mx_constraint_from_schema(&constraint, NULL, 0, NULL, trie, &err));
    check_documents(constraint, "any object", "{}\n{'a':1,'b':[{}]}\n{~ 'a': null~}", true);
    check_documents(constraint, "any object", "[]\n1\n{'a'}\n{}x", false);
    /* Behind the last brace nothing may come. */
    assert_true(admits(constraint, "{}"));
    assert_true(mx_constraint_ended(constraint));
    uint64_t mask[(TOY_VOCAB + 63) / 64];
    assert_false(mx_constraint_mask(constraint, mask));
    assert_false(mx_constraint_accept(constraint, ' '));
    assert_false(mx_constraint_accept(constraint, TOY_VOCAB - 1)); /* it has no bytes */
    assert_false(mx_constraint_accept(constraint, -1));
    assert_false(mx_constraint_accept(constraint, TOY_VOCAB));
    assert_true(mx_constraint_ended(constraint));
    /* Lists nest as deep as they may, and no deeper. */
    assert_int_equal(mx_constraint_begin(constraint, NULL), MX_OK);
    assert_true(mx_constraint_accept(constraint, '{') && mx_constraint_accept(constraint, '"') &&
                mx_constraint_accept(constraint, '"') && mx_constraint_accept(constraint, ':'));
    for (int depth = 1; depth < MX_GRAMMAR_DEPTH; depth++) assert_true(mx_constraint_accept(constraint, '['));
    assert_false(mx_constraint_accept(constraint, '['));
    assert_true(mx_constraint_accept(constraint, ']'));
    mx_constraint_close(constraint);
}

/* White space ends somewhere. */
static void test_space(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_constraint *constraint;
    assert_ok(mx_constraint_from_schema(&constraint, NULL, 0, NULL, trie, &err));
    assert_ok(mx_constraint_begin(constraint, &err));
    assert_true(mx_constraint_accept(constraint, '{'));
    assert_true(mx_constraint_accept(constraint, '\n'));
    for (int i = 0; i < MX_CONSTRAINT_INDENT; i++) assert_true(mx_constraint_accept(constraint, i % 2 ? ' ' : '\t'));
    assert_false(mx_constraint_accept(constraint, ' '));
    assert_false(mx_constraint_accept(constraint, '\n'));
    assert_true(mx_constraint_accept(constraint, '}'));
    /* What stood before a comma takes nothing from what may stand behind it. */
    assert_true(admits(constraint, "{ \"a\": [ 1 , 2 ] , \"b\": { } }"));
    assert_true(admits(constraint, "{\n\t\"a\":\n[\n1\n,\n2\n]\n,\n\"b\":\n{\n}\n}"));
    mx_constraint_close(constraint);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *schema;
        mx_status status;
        const char *message;
    } refused[] = {
        {"[]", MX_ERR_FORMAT, "a schema is an object"},
        {"{'type': 'strin'}", MX_ERR_FORMAT, "\"strin\", which is no type"},
        {"{'type': 5}", MX_ERR_FORMAT, "which is no type"},
        {"{'minProperties': 1}", MX_ERR_UNSUPPORTED, "schema: the schema at #: \"minProperties\" is not supported"},
        {"{'properties': {'a': {'not': {}}}}", MX_ERR_UNSUPPORTED, "the schema at #/properties/a: \"not\""},
        {"{'properties': {'a': {'items': {'uniqueItems': true}}}}", MX_ERR_UNSUPPORTED, "#/properties/a/items"},
        {"{'strict': true}", MX_ERR_UNSUPPORTED, "\"strict\""},
        {"{'items': [{}]}", MX_ERR_UNSUPPORTED, "prefixItems"},
        {"{'properties': {'a': 1}}", MX_ERR_FORMAT, "must be a schema"},
        {"{'properties': []}", MX_ERR_FORMAT, "must be an object"},
        {"{'required': 'a'}", MX_ERR_FORMAT, "list of texts"},
        {"{'required': [1]}", MX_ERR_FORMAT, "list of texts"},
        {"{'enum': []}", MX_ERR_FORMAT, "\"enum\""},
        {"{'enum': [1], 'minimum': 0}", MX_ERR_UNSUPPORTED, "beside \"enum\""},
        {"{'enum': [1e300]}", MX_ERR_LIMIT, "2^53"},
        {"{'minimum': 'a'}", MX_ERR_FORMAT, "must be a number"},
        {"{'minLength': -1}", MX_ERR_FORMAT, "whole number"},
        {"{'minLength': 1.5}", MX_ERR_FORMAT, "whole number"},
        {"{'minItems': 10000000}", MX_ERR_LIMIT, "at most"},
        {"{'pattern': '('}", MX_ERR_FORMAT, "schema: the schema at #: the pattern"},
        {"{'pattern': '(?=a)'}", MX_ERR_UNSUPPORTED, "looking ahead"},
        {"{'$ref': 'http://x/y'}", MX_ERR_UNSUPPORTED, "within the schema"},
        {"{'$ref': '#/$defs/a'}", MX_ERR_FORMAT, "no such place"},
        {"{'$ref': '#'}", MX_ERR_FORMAT, "refers to itself"},
        {"{'anyOf': [{'$ref': '#'}, {'type': 'null'}]}", MX_ERR_FORMAT, "refers to itself"},
        {"{'$ref': '#', 'type': 'object'}", MX_ERR_LIMIT, "more than"},
        {"{'anyOf': []}", MX_ERR_FORMAT, "\"anyOf\" must be a list"},
        {"{'anyOf': [1]}", MX_ERR_FORMAT, "\"anyOf\" must be a list"},
        {"{'oneOf': [{'type': 'integer'}, {'type': 'number'}]}", MX_ERR_UNSUPPORTED, "0 and 1 of \"oneOf\""},
        {"{'oneOf': [{'properties': {'a': true}}, {'type': 'null'}]}", MX_ERR_UNSUPPORTED, "\"oneOf\""},
        {"{'oneOf': [{'type': 'object', 'properties': {'a': true}, 'required': ['a']}, {'type': 'object', "
         "'properties': {'b': true}, 'required': ['b']}]}",
         MX_ERR_UNSUPPORTED, "\"oneOf\""},
        {"{'oneOf': [{'type': 'string', 'pattern': '^a'}, {'type': 'string', 'pattern': 'b$'}]}", MX_ERR_UNSUPPORTED,
         "\"oneOf\""},
        {"{'oneOf': [{'type': 'number', 'minimum': 0}, {'type': 'integer', 'maximum': 0}]}", MX_ERR_UNSUPPORTED,
         "\"oneOf\""},
        {"{'allOf': [{'pattern': 'a'}, {'pattern': 'b'}]}", MX_ERR_UNSUPPORTED, "differ in \"pattern\""},
        {"{'allOf': [{'anyOf': [{'type': 'null'}]}, {'anyOf': [{'type': 'string'}]}]}", MX_ERR_UNSUPPORTED,
         "\"anyOf\""},
        {"false", MX_ERR_FORMAT, "no value satisfies"},
        {"{'type': 'integer', 'minimum': 2, 'maximum': 1}", MX_ERR_FORMAT, "no value satisfies"},
        {"{'type': 'string', 'minLength': 2, 'maxLength': 1}", MX_ERR_FORMAT, "no value satisfies"},
        {"{'pattern': '^a$', 'minLength': 2}", MX_ERR_FORMAT, "no value satisfies"},
        {"{'required': ['a'], 'additionalProperties': false}", MX_ERR_FORMAT, "no value satisfies"},
        {"{'type': 'object', 'properties': {'a': {'$ref': '#'}}, 'required': ['a']}", MX_ERR_FORMAT,
         "no value satisfies"},
        {"{'allOf': [{'type': 'string'}, {'type': 'null'}]}", MX_ERR_FORMAT, "no value satisfies"},
        {"{'type': 'null', 'x", MX_ERR_FORMAT, "schema:1"},
        {"{'const': 'a\\u0000b'}", MX_ERR_FORMAT, "U+0000"},
        {"{'items': {'$id': 'x'}}", MX_ERR_UNSUPPORTED, "\"$id\" within"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char schema[2000];
        struct mx_error err;
        struct mx_constraint *constraint;
        unquote(schema, refused[i].schema);
        const mx_status status = mx_constraint_from_schema(&constraint, schema, strlen(schema), "schema", trie, &err);
        if (status != refused[i].status || !strstr(err.message, refused[i].message)) {
            fail_msg("%s: %d, %s", refused[i].schema, (int)status, status ? err.message : "");
        }
    }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *format, *message; /* NULL: it is right */
        const char *good, *bad;
    } formats[] = {
        {"{'type': 'text'}", NULL, NULL, NULL},
        {"{'type': 'json_object'}", NULL, "{'a':1}", "[]"},
        {"{'type': 'json_schema', 'json_schema': {'name': 'n', 'strict': true, 'schema': {'type': 'null'}}}", NULL,
         "null", "{}"},
        {"{'type': 'xml'}", "format: its \"type\" must be", NULL, NULL},
        {"[]", "its \"type\" must be", NULL, NULL},
        {"{'type': 'json_object', 'schema': {}}", "\"schema\" has no meaning", NULL, NULL},
        {"{'type': 'json_schema'}", "an object with a \"schema\"", NULL, NULL},
        {"{'type': 'json_schema', 'json_schema': {'schema': {}, 'x': 1}}", "\"x\" has no meaning", NULL, NULL},
        {"{'type': 'json_schema', 'json_schema': {'schema': {'not': {}}}}", "format: the schema at #: \"not\"", NULL,
         NULL},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char text[2000];
        struct mx_error err;
        struct mx_constraint *constraint;
        unquote(text, formats[i].format);
        cJSON *format = cJSON_Parse(text);
        const mx_status status = mx_constraint_from_format(&constraint, format, "format", trie, &err);
        cJSON_Delete(format);
        if (formats[i].message) {
            assert_int_not_equal(status, MX_OK);
            if (!strstr(err.message, formats[i].message)) fail_msg("%s: %s", formats[i].format, err.message);
            continue;
        }
        assert_int_equal(status, MX_OK);
        assert_int_equal(!constraint, !formats[i].good);
        if (constraint) check_documents(constraint, formats[i].format, formats[i].good, true);
        if (constraint) check_documents(constraint, formats[i].format, formats[i].bad, false);
        mx_constraint_close(constraint);
    }
}

/* Alternatives of alternatives, 2^40 ways to the same few: done at once. */
static void test_alternatives_within_alternatives(void **state)
{
    (void)state;
    struct mx_str schema = {0};
    struct mx_error err;
    struct mx_constraint *constraint;
    mx_str_puts(&schema, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 40; i++) {
        mx_str_printf(&schema,
                      "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"},{\"const\":%d}]},", i,
                      i + 1, i + 1, i);
    }
    mx_str_puts(&schema, "\"d40\":{\"type\":\"null\"}}}");
    assert_ok(mx_constraint_from_schema(&constraint, schema.data, schema.length, "schema", trie, &err));
    assert_true(admits(constraint, "null"));
    assert_true(admits(constraint, "39"));
    assert_false(admits(constraint, "40"));
    mx_constraint_close(constraint);
    mx_str_free(&schema);
}

/* Schemas that would take minutes if nobody counted: parts, each with many members that hold their number. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *open, *before, *member[2], *behind, *close;
        int parts, members;
    } hostile[] = {
        {"{\"allOf\":[", "{", {"\"k", "\":1,"}, "\"k\":1}", "]}", 2, 60000},
        {"{\"allOf\":[", "{\"enum\":[", {"", ","}, "-1]}", "]}", 50, 4000},
        {"{\"allOf\":[", "{\"properties\":{", {"\"p", "\":true,"}, "\"p\":true}}", "]}", 200, 900},
        {"", "{\"properties\":{", {"\"p", "\":{\"pattern\":\"(a|b)*a(a|b){12}\"},"}, "\"p\":true}}", "", 1, 900},
        {"", "{\"anyOf\":[", {"{\"const\":", "},"}, "true]}", "", 1, 300},
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct mx_str text = {0};
        struct mx_error err;
        struct mx_constraint *constraint;
        mx_str_puts(&text, hostile[i].open);
        for (int part = 0; part < hostile[i].parts; part++) {
            mx_str_printf(&text, "%s%s", part ? "," : "", hostile[i].before);
            for (int k = 0; k < hostile[i].members; k++) {
                mx_str_printf(&text, "%s%d%s", hostile[i].member[0], k, hostile[i].member[1]);
            }
            mx_str_puts(&text, hostile[i].behind);
        }
        mx_str_puts(&text, hostile[i].close);
        const clock_t start = clock();
        assert_int_not_equal(mx_constraint_from_schema(&constraint, text.data, text.length, "schema", trie, &err),
                             MX_OK);
        const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (seconds > (SANITIZED ? 20 : 3)) fail_msg("%.60s takes %.1f s", text.data, seconds);
        mx_str_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_any_object),
        cmocka_unit_test(test_space),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_alternatives_within_alternatives),
    };
    return cmocka_run_group_tests(tests, open_trie, close_trie);
}
