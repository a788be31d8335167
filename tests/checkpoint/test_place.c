/* Where models lie. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/place.h"
#include "support.h"

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-place-XXXXXX";

static const char *in(const char *name)
{
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void make(const char *name)
{
    if (mkdir(in(name), 0700) != 0) fail_msg("mkdir %s", name);
}

static void put(const char *name, const char *text)
{
    assert_ok(mx_file_write(in(name), text, strlen(text), &err));
}

static void expect(const char *path, enum mx_place_kind kind, const char *file, const char *name)
{
    struct mx_place place;
    assert_ok(mx_place_find(&place, path, &err));
    assert_int_equal(place.kind, kind);
    if (file) assert_string_equal(place.file, file);
    assert_string_equal(place.name, name);
    mx_place_free(&place);
}

static void refuse(const char *path, mx_status status, const char *message)
{
    struct mx_place place;
    assert_fails(mx_place_find(&place, path, &err), status, message);
}

static void folders_and_files(void **state)
{
    make("plain");
    put("plain/config.json", "{}");
    expect(in("plain"), MX_PLACE_CONFIG, in("plain/config.json"), "plain");
    expect(in("plain/"), MX_PLACE_CONFIG, NULL, "plain");
    expect(in("plain/config.json"), MX_PLACE_CONFIG, in("plain/config.json"), "plain");
    make("meta");
    put("meta/params.json", "{}");
    expect(in("meta"), MX_PLACE_CONFIG, in("meta/params.json"), "meta");
    make("pipeline");
    put("pipeline/model_index.json", "{}");
    expect(in("pipeline"), MX_PLACE_PIPELINE, NULL, "pipeline");
    make("gguf");
    put("gguf/model-00001-of-00002.gguf", "GGUF");
    put("gguf/model-00002-of-00002.gguf", "GGUF");
    put("gguf/mmproj-model.gguf", "GGUF");
    expect(in("gguf"), MX_PLACE_GGUF, in("gguf/model-00001-of-00002.gguf"), "gguf");
    put("gguf/other.gguf", "GGUF");
    refuse(in("gguf"), MX_ERR_IO, "holds 2 models (model-00001-of-00002.gguf and others)");
    expect(in("gguf/other.gguf"), MX_PLACE_GGUF, NULL, "other.gguf");
}

/* The Hugging Face cache is full of links; one whose file was removed is named, not overlooked. */
static void links_into_nowhere(void **state)
{
    make("dangling");
    assert_int_equal(symlink("removed", in("dangling/config.json")), 0);
    expect(in("dangling"), MX_PLACE_CONFIG, in("dangling/config.json"), "dangling");
    assert_true(mx_is_there(in("dangling/config.json")) && !mx_is_file(in("dangling/config.json")));
    assert_false(mx_is_there(in("dangling/other.json")));
}

static void the_hub_cache(void **state)
{
    make("models--org--the-model");
    make("models--org--the-model/refs");
    make("models--org--the-model/snapshots");
    make("models--org--the-model/snapshots/abc123");
    make("models--org--the-model/snapshots/def456");
    put("models--org--the-model/snapshots/abc123/config.json", "{}");
    put("models--org--the-model/refs/main", "abc123\n");
    expect(in("models--org--the-model"), MX_PLACE_CONFIG, in("models--org--the-model/snapshots/abc123/config.json"),
           "org/the-model");
    expect(in("models--org--the-model/snapshots/abc123"), MX_PLACE_CONFIG, NULL, "org/the-model");
    put("models--org--the-model/refs/main", "gone");
    refuse(in("models--org--the-model"), MX_ERR_IO, "names the snapshot gone, which is not there");
    put("models--org--the-model/refs/main", "../../plain");
    refuse(in("models--org--the-model"), MX_ERR_IO, "no model here");
    unlink(in("models--org--the-model/refs/main"));
    refuse(in("models--org--the-model"), MX_ERR_IO, "no refs/main, and 2 snapshots");
}

static void what_is_no_model(void **state)
{
    make("empty");
    refuse(in("empty"), MX_ERR_IO, "the folder is empty");
    make("other");
    put("other/README.md", "");
    refuse(in("other"), MX_ERR_IO, "there is README.md");
    make("adapter");
    put("adapter/adapter_config.json", "{\"base_model_name_or_path\": \"org/base\"}");
    put("adapter/adapter_model.safetensors", "");
    refuse(in("adapter"), MX_ERR_IO, "an adapter, not a model; its base is org/base");
    refuse(in("adapter/adapter_config.json"), MX_ERR_IO, "its base is org/base");
    put("adapter/adapter_config.json", "[");
    refuse(in("adapter"), MX_ERR_IO, "an adapter, not a model; give the folder of the model");
    put("pointer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6393\n");
    refuse(in("pointer.json"), MX_ERR_FORMAT, "a git-lfs pointer, not the file; git lfs pull fetches it");
    put("weights.safetensors", "xxxxxxxx");
    refuse(in("weights.safetensors"), MX_ERR_FORMAT, "weights; give the folder");
    refuse(in("nowhere"), MX_ERR_IO, "No such file");
}

static void ids_and_addresses_fetch_nothing(void **state)
{
    refuse("Qwen/Qwen3-0.6B", MX_ERR_IO, "hf download Qwen/Qwen3-0.6B fetches it");
    refuse("https://huggingface.co/Qwen/Qwen3-0.6B/tree/main", MX_ERR_IO, "hf download Qwen/Qwen3-0.6B fetches it");
    refuse("hf.co/org/name", MX_ERR_IO, "hf download org/name");
    refuse("https://example.com/x.gguf", MX_ERR_IO, "an address; nothing is downloaded");
    refuse("./org/name", MX_ERR_IO, "No such file");
    refuse("a/b/c", MX_ERR_IO, "No such file");
}

static void pointers_tell_their_size(void **state)
{
    unsigned long long bytes;
    put("pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6393\n");
    assert_true(mx_is_lfs_pointer(in("pointer"), &bytes));
    assert_int_equal(bytes, 6393);
    put("pointer", "version https://git-lfs.github.com/spec/v1\n");
    assert_true(mx_is_lfs_pointer(in("pointer"), &bytes));
    assert_int_equal(bytes, 0);
    put("pointer", "version");
    assert_false(mx_is_lfs_pointer(in("pointer"), &bytes));
    assert_false(mx_is_lfs_pointer(folder, &bytes));
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_and_files),
        cmocka_unit_test(links_into_nowhere),
        cmocka_unit_test(the_hub_cache),
        cmocka_unit_test(what_is_no_model),
        cmocka_unit_test(ids_and_addresses_fetch_nothing),
        cmocka_unit_test(pointers_tell_their_size),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) || failed;
}
