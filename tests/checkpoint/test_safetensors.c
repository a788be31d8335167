/* checkpoint/safetensors: what a good header gives, and a table of bad ones. */
#include "support.h"

#include "checkpoint/header.h"
#include "checkpoint/safetensors.h"
#include "files.h"

static struct mx_error err;

static mx_status read_header(const char *header, size_t data_bytes, struct mx_safetensors *file, struct mx_arena *arena)
{
    struct mx_str bytes = safetensors_bytes(header, data_bytes);
    /* A copy of the exact size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(bytes.length);
    memcpy(exact, bytes.data, bytes.length);
    const mx_status status = mx_safetensors_read(file, arena, "x.safetensors", exact, bytes.length, &err);
    free(exact);
    mx_str_free(&bytes);
    return status;
}

static void reads_what_mlx_writes(void **state)
{
    struct mx_arena arena = {0};
    struct mx_safetensors file;
    assert_ok(read_header("{\"__metadata__\":null,"
                          "\"b\":{\"data_offsets\":[6,18],\"dtype\":\"F32\",\"shape\":[3]},"
                          "\"empty\":{\"data_offsets\":[6,6],\"dtype\":\"U32\",\"shape\":[0,7]},"
                          "\"a\":{\"data_offsets\":[0,6],\"dtype\":\"BF16\",\"shape\":[3,1]},"
                          "\"scalar\":{\"data_offsets\":[18,19],\"dtype\":\"BOOL\",\"shape\":[]}}",
                          19, &file, &arena));
    assert_int_equal(file.count, 4);
    const struct mx_tensor *b = &file.tensors[0], *scalar = &file.tensors[3];
    assert_string_equal(b->name, "b");
    assert_int_equal(b->storage, MX_STORAGE_F32);
    assert_int_equal(b->rank, 1);
    assert_int_equal(b->elements, 3);
    assert_int_equal(b->bytes, 12);
    assert_int_equal(file.tensors[1].elements, 0);
    assert_int_equal(scalar->rank, 0);
    assert_int_equal(scalar->elements, 1);
    assert_int_equal(scalar->offset - b->offset, 12);
    mx_arena_free(&arena);
}

static void knows_every_storage(void **state)
{
    for (int i = 0; i < MX_STORAGE_COUNT; i++) {
        struct mx_arena arena = {0};
        struct mx_safetensors file;
        char header[160];
        const size_t bytes = 5 * mx_storage_size((enum mx_storage)i);
        snprintf(header, sizeof header, "{\"t\":{\"dtype\":\"%s\",\"shape\":[5],\"data_offsets\":[0,%zu]}}   ",
                 mx_storage_name((enum mx_storage)i), bytes);
        assert_ok(read_header(header, bytes, &file, &arena));
        assert_int_equal(file.tensors[0].storage, i);
        mx_arena_free(&arena);
    }
}

#define ENTRY(name, dtype, shape, offsets)                                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(dtype, shape, offsets) "{" ENTRY("t", dtype, shape, offsets) "}"

static const struct {
    const char *header;
    size_t data_bytes;
    mx_status status;
    const char *message;
} bad[] = {
    /* JSON */
    {"{", 0, MX_ERR_FORMAT, "x.safetensors:1:1: not valid JSON here"},
    {"{\"t\":}", 0, MX_ERR_FORMAT, "x.safetensors:1:6: not valid JSON here"},
    {"[1,2]", 0, MX_ERR_FORMAT, "the header must be a JSON object, not a list"},
    {"\"text\"", 0, MX_ERR_FORMAT, "the header must be a JSON object, not \"text\""},
    {"{} {}", 0, MX_ERR_FORMAT, "text after the end"},
    {"{" ENTRY("t", "U8", "[1]", "[0,1]") "," ENTRY("t", "U8", "[1]", "[0,1]") "}", 1, MX_ERR_FORMAT, "twice"},
    {"{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, MX_ERR_FORMAT, "twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, MX_ERR_FORMAT, "twice"},
    {"{\"__metadata__\":[]}", 0, MX_ERR_FORMAT, "\"__metadata__\" must be an object or null, not a list"},
    /* entries */
    {"{\"t\":7}", 0, MX_ERR_FORMAT, "tensor \"t\": its entry must be an object, not 7"},
    {"{\"t\":{}}", 0, MX_ERR_FORMAT, "\"dtype\" must be a string, not missing"},
    {"{\"t\":{\"dtype\":5,\"shape\":[],\"data_offsets\":[0,1]}}", 1, MX_ERR_FORMAT,
     "\"dtype\" must be a string, not 5"},
    {ONE("F4", "[4]", "[0,4]"), 3, MX_ERR_FORMAT, "its data end at byte 4 of 3"},
    {"{\"t\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, MX_ERR_FORMAT, "\"shape\" must be a list"},
    {ONE("U8", "3", "[0,3]"), 3, MX_ERR_FORMAT, "\"shape\" must be a list of whole numbers, not 3"},
    {ONE("U8", "[-1]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0, not -1"},
    {ONE("U8", "[1.5]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0, not 1.5"},
    {ONE("U8", "[\"1\"]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0, not \"1\""},
    {ONE("U8", "[[1]]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0, not a list"},
    {ONE("U8", "[1e300]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0"},
    {ONE("U8", "[18446744073709551615]", "[0,1]"), 1, MX_ERR_FORMAT, "must be a whole number from 0"},
    {ONE("U8", "[4294967296,4294967296]", "[0,0]"), 0, MX_ERR_FORMAT, "more bytes than 64 bits count"},
    {ONE("F64", "[4294967296,1073741824]", "[0,0]"), 0, MX_ERR_FORMAT, "more bytes than 64 bits count"},
    {ONE("U8", "[4294967296,4294967296,0]", "[0,0]"), 0, MX_ERR_FORMAT, "more bytes than 64 bits count"},
    {ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, MX_ERR_LIMIT, "more than 8 dimensions"},
    /* spans */
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, MX_ERR_FORMAT, "\"data_offsets\" must be two whole numbers"},
    {ONE("U8", "[1]", "[0]"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "[0,1,2]"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "[-1,0]"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "[0.5,1.5]"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "{\"a\":0,\"b\":1}"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "[0,18446744073709551615]"), 1, MX_ERR_FORMAT, "\"data_offsets\" must be two"},
    {ONE("U8", "[1]", "[1,0]"), 1, MX_ERR_FORMAT, "end at 0 before they begin at 1"},
    {ONE("U8", "[8]", "[0,8]"), 7, MX_ERR_FORMAT, "end at byte 8 of 7: the file is truncated"},
    {ONE("U8", "[8]", "[9007199254740983,9007199254740991]"), 8, MX_ERR_FORMAT, "truncated"},
    {ONE("F32", "[2,2]", "[0,15]"), 15, MX_ERR_FORMAT, "F32 [2, 2] takes 16 bytes, \"data_offsets\" span 15"},
    {ONE("F32", "[0]", "[0,4]"), 4, MX_ERR_FORMAT, "F32 [0] takes 0 bytes, \"data_offsets\" span 4"},
    /* together */
    {"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[3,7]") "}", 7, MX_ERR_FORMAT,
     "tensors \"a\" and \"b\" overlap"},
    {"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[0,4]") "}", 4, MX_ERR_FORMAT, "overlap"},
    {"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[0]", "[2,2]") "}", 4, MX_ERR_FORMAT, "overlap"},
    {"{" ENTRY("a", "U8", "[4]", "[0,4]") "," ENTRY("b", "U8", "[4]", "[5,9]") "}", 9, MX_ERR_FORMAT,
     "1 bytes before tensor \"b\" belong to no tensor"},
    {ONE("U8", "[4]", "[0,4]"), 6, MX_ERR_FORMAT, "2 bytes after the last tensor belong to no tensor"},
    {"{}", 1, MX_ERR_FORMAT, "1 bytes after the last tensor"},
};

/* A dtype of next year is counted by its offsets. */
static void keeps_unknown_dtypes(void **state)
{
    struct mx_arena arena = {0};
    struct mx_safetensors file;
    assert_ok(read_header("{" ENTRY("a", "F4", "[4,4]", "[0,8]") "," ENTRY("b", "F16", "[2]", "[8,12]") "}", 12, &file,
                          &arena));
    assert_int_equal(file.tensors[0].storage, MX_STORAGE_OTHER);
    assert_string_equal(file.tensors[0].dtype, "F4");
    assert_int_equal(file.tensors[0].bytes, 8);
    assert_int_equal(file.tensors[0].elements, 16);
    assert_int_equal(file.tensors[1].storage, MX_STORAGE_F16);
    mx_arena_free(&arena);
}

static void refuses_bad_headers(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mx_arena arena = {0};
        struct mx_safetensors file;
        assert_fails(read_header(bad[i].header, bad[i].data_bytes, &file, &arena), bad[i].status, bad[i].message);
        assert_int_equal(strncmp(err.message, "x.safetensors", 13), 0);
        assert_int_equal(file.count, 0);
        mx_arena_free(&arena);
    }
}

/* Texts on which the quick reader and the full one must say the same; those without `plain` are not for the quick one.
 */
static const struct {
    const char *header;
    bool plain;
} spellings[] = {
    {"{}", true},
    {" { } \n", true},
    {ONE("U8", "[3]", "[0,3]"), true},
    {"{ \"t\" :\n{ \"data_offsets\" : [ 0 , 3 ] ,\t\"shape\":[ ], \"dtype\":\"U8\" } }", true},
    {"{\"__metadata__\":{\"a\":\"b\",\"c\":\"\"}," ENTRY("\xc3\xa9", "X", "[0,1,2,3,4,5,6,7]", "[5,0]") "}", true},
    {"{\"__metadata__\":{}," ENTRY("a", "U8", "[]", "[0,1]") "," ENTRY("b", "U8", "[]", "[0,1]") "}", true},
    {"{" ENTRY("t", "U8", "[999999999999999]", "[0,1]") "}", true},
    {"{" ENTRY("t", "U8", "[1000000000000000]", "[0,1]") "}", false},
    {"{" ENTRY("t", "U8", "[1.0,2e1]", "[0,1]") "}", false},
    {"{" ENTRY("\\u0074", "U8", "[]", "[0,1]") "}", false},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"extra\":{}}}", false},
    {"{\"__metadata__\":{\"a\":1}}", false},
    {"\xef\xbb\xbf{}", false},
};

static void both_readers_agree(void **state)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        const char *text = spellings[i].header;
        struct mx_header plain, full;
        assert_ok(mx_header_read_json(&full, text, strlen(text), "x", &err));
        assert_int_equal(mx_header_read_plain(&plain, text, strlen(text)), spellings[i].plain);
        if (spellings[i].plain) {
            assert_int_equal(plain.count, full.count);
            for (size_t k = 0; k < full.count; k++) {
                const struct mx_header_entry *a = &plain.entries[k], *b = &full.entries[k];
                assert_true(a->name_length == b->name_length && a->dtype_length == b->dtype_length);
                assert_memory_equal(a->name, b->name, a->name_length);
                assert_memory_equal(a->dtype, b->dtype, a->dtype_length);
                assert_true(a->rank == b->rank && a->begin == b->begin && a->end == b->end);
                assert_memory_equal(a->shape, b->shape, sizeof a->shape);
            }
        }
        mx_header_free(&plain);
        mx_header_free(&full);
    }
}

static void refuses_bad_lengths(void **state)
{
    static const struct {
        uint8_t bytes[10];
        size_t length;
        const char *message;
    } files[] = {
        {{0}, 0, "0 bytes are too few"},
        {{2, 0, 0, 0, 0, 0, 0}, 7, "7 bytes are too few"},
        {{0}, 8, "a header of 0 bytes"},
        {{2, 0, 0, 0, 0, 0, 0, 0, '{'}, 9, "the header has 2 bytes, the file only 9"},
        {{3, 0, 0, 0, 0, 0, 0, 0, '{', '}'}, 10, "the header has 3 bytes, the file only 10"},
        {{0x00, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}, 10, "a header of 100000000 bytes: this is not"},
        {{255, 255, 255, 255, 255, 255, 255, 255, '{', '}'}, 10, "a header of 18446744073709551615 bytes"},
        {{0xff, 0xe0, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}, 10, "the header has 99999999 bytes"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct mx_arena arena = {0};
        struct mx_safetensors file;
        assert_fails(mx_safetensors_read(&file, &arena, "x", files[i].bytes, files[i].length, &err), MX_ERR_FORMAT,
                     files[i].message);
        mx_arena_free(&arena);
    }
}

static void refuses_deep_nesting(void **state)
{
    struct mx_str header = {0};
    struct mx_arena arena = {0};
    struct mx_safetensors file;
    mx_str_puts(&header, "{\"t\":");
    for (int i = 0; i < 100000; i++) mx_str_putc(&header, '[');
    assert_fails(read_header(header.data, 0, &file, &arena), MX_ERR_FORMAT, "nested too deep");
    mx_str_free(&header);
    mx_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_mlx_writes), cmocka_unit_test(knows_every_storage),
        cmocka_unit_test(both_readers_agree),    cmocka_unit_test(keeps_unknown_dtypes),
        cmocka_unit_test(refuses_bad_headers),   cmocka_unit_test(refuses_bad_lengths),
        cmocka_unit_test(refuses_deep_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
