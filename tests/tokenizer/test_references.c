/* Every id, special id and decoded text of six tokenizers, as the `tokenizers` library computed them
 * (tests/data/tokenizers: texts.json and a list per tokenizer; tools/get-tokenizers.sh fetches the four large
 * tokenizer.json files). */
#include "tokenizer/references.h"

static struct mx_str texts[MAX_TEXTS];
static size_t text_count;

static void references(void **state)
{
    const char *name = *state;
    char path[256], list[256];
    snprintf(path, sizeof path, "tests/data/tokenizers/%s.tokenizer.json", name);
    if (access(path, R_OK) != 0) snprintf(path, sizeof path, ".cache/tokenizers/%s.tokenizer.json", name);
    if (access(path, R_OK) != 0) {
        skip_needing(".cache/tokenizers, which tools/get-tokenizers.sh fetches");
    }
    snprintf(list, sizeof list, "tests/data/tokenizers/%s.json", name);
    struct mx_tokenizer *tokenizer;
    assert_ok(mx_tokenizer_open(&tokenizer, path, &err));
    check_references(tokenizer, name, list, texts, text_count);
    mx_tokenizer_close(tokenizer);
}

static int open_texts(void **state)
{
    text_count = read_texts("tests/data/tokenizers/texts.json", texts);
    return 0;
}

static int close_texts(void **state)
{
    for (size_t i = 0; i < text_count; i++) mx_str_free(&texts[i]);
    return 0;
}

#define REFERENCE(NAME)                                                                                                \
    {                                                                                                                  \
        .name = NAME, .test_func = references, .initial_state = (void *)(intptr_t)NAME                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        REFERENCE("bpe-4096"), REFERENCE("unigram-2000"), REFERENCE("llama2"),
        REFERENCE("llama3"),   REFERENCE("qwen3"),        REFERENCE("gemma3"),
    };
    return cmocka_run_group_tests(tests, open_texts, close_texts);
}
