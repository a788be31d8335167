/* base/: conversions, JSON rules, files, units, the pool. */
#include "support.h"

#include <math.h>

#include "base/arena.h"
#include "base/aside.h"
#include "base/closest.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/units.h"

static struct mx_error err;

static void half_round_trips(void **state)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = mx_f32_from_f16((uint16_t)h), b = mx_f32_from_bf16((uint16_t)h);
        if (isnan(f))
            assert_true(isnan(mx_f32_from_f16(mx_f16_from_f32(f))));
        else
            assert_int_equal(mx_f16_from_f32(f), h);
        if (isnan(b))
            assert_true(isnan(mx_f32_from_bf16(mx_bf16_from_f32(b))));
        else
            assert_int_equal(mx_bf16_from_f32(b), h);
    }
}

static void half_rounds_to_even(void **state)
{
    for (uint32_t h = 0; h < 0x7bff; h++) { /* the midpoint of each pair of neighbours, and a bit beside it */
        const float low = mx_f32_from_f16((uint16_t)h), high = mx_f32_from_f16((uint16_t)(h + 1));
        const float middle = (low + high) / 2;
        assert_int_equal(mx_f16_from_f32(middle), h + (h & 1));
        assert_int_equal(mx_f16_from_f32(nextafterf(middle, high)), h + 1);
        assert_int_equal(mx_f16_from_f32(-nextafterf(middle, low)), 0x8000 | h);
    }
    assert_int_equal(mx_f16_from_f32(65519.996f), 0x7bff);
    assert_int_equal(mx_f16_from_f32(65520.f), 0x7c00);
    assert_int_equal(mx_f16_from_f32(0x1p-25f), 0);
    assert_int_equal(mx_bf16_from_f32(1.00390625f), 0x3f80);
    assert_int_equal(mx_bf16_from_f32(1.01171875f), 0x3f82);
}

static cJSON *parse(const char *text, bool allow_nan)
{
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = allow_nan};
    return mx_json_parse(&root, text, strlen(text), "x.json", &rules, &err) == MX_OK ? root : NULL;
}

static void json_reads(void **state)
{
    cJSON *root = parse("{\"a\": NaN, \"b\": [-Infinity, Infinity, 3], \"c\": \"NaN \\\" Infinity\", \"A\": 7} ", true);
    assert_non_null(root);
    assert_true(cJSON_IsNull(mx_json_get(root, "a")));
    assert_null(mx_json_get_set(root, "a"));
    assert_string_equal(mx_json_get(root, "c")->valuestring, "NaN \" Infinity");
    int64_t value;
    assert_true(mx_json_whole(mx_json_get(root, "A"), 0, 10, &value));
    assert_int_equal(value, 7);
    assert_false(mx_json_whole(mx_json_get(root, "A"), 0, 6, &value));
    assert_int_equal(cJSON_GetArraySize(mx_json_get(root, "b")), 3);
    cJSON_Delete(root);
}

static void json_refuses(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\n  \"a\": 1,\n  oops\n}", "x.json:3:"},
        {"{\"a\": 1, \"a\": 2}", "\"a\" appears twice"},
        {"{\"a\": [1, {\"b\": 1, \"b\": 2}]}", "\"b\" appears twice"},
        {"{\"a\": NaN}", "x.json:1:"},
        {"[1, 2", "x.json:1:"},
        {"", "x.json:1:1"},
        {"{} x", "x.json:1:4: text after"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(parse(cases[i].text, false));
        if (!strstr(err.message, cases[i].message)) fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].message);
    }
    char deep[400];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_null(parse(deep, false));
    assert_non_null(strstr(err.message, "nested too deep"));
    cJSON *root;
    const struct mx_json_rules whole = {.refuse_nul = true};
    const char *cut = "{\"a\": \"b\\u0000c\"}", *kept = "{\"a\": \"b\\\\u0000c\"}";
    assert_fails(mx_json_parse(&root, cut, strlen(cut), "x.json", &whole, &err), MX_ERR_FORMAT,
                 "x.json:1:9: a text with");
    assert_int_equal(mx_json_parse(&root, kept, strlen(kept), "x.json", &whole, &err), MX_OK);
    assert_string_equal(mx_json_get(root, "a")->valuestring, "b\\u0000c");
    cJSON_Delete(root);
    assert_fails(mx_json_parse(&root, "{\0}", 3, "x.json", NULL, &err), MX_ERR_FORMAT, "NUL byte");
}

static void files_are_written_whole(void **state)
{
    char folder[] = "/tmp/mlxcel-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = mx_path_join(folder, "file");
    assert_ok(mx_file_write(path, "old", 3, &err));
    struct mx_writer writer;
    assert_ok(mx_writer_open(&writer, path, &err));
    assert_ok(mx_writer_write(&writer, "newer", 5, &err));
    mx_writer_abort(&writer);
    char *text;
    size_t length;
    assert_ok(mx_file_read(path, 100, &text, &length, &err));
    assert_string_equal(text, "old");
    free(text);
    assert_fails(mx_file_read(path, 2, &text, &length, &err), MX_ERR_LIMIT, "3 bytes");
    assert_fails(mx_file_read(folder, 2, &text, &length, &err), MX_ERR_IO, "a directory");
    assert_fails(mx_writer_open(&writer, folder, &err), MX_ERR_IO, "directory");
    assert_fails(mx_file_write("/dev/full/x", "a", 1, &err), MX_ERR_IO, "cannot write");
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing was left beside it */
    free(path);
}

static void units_parse(void **state)
{
    uint64_t bytes;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"8GB", 8000000000u},
                {"8 gib", 8589934592u},
                {"1.5k", 1536},
                {"4096", 4096},
                {"1", 1},
                {"12 b", 12},
                {"3kB", 3000},
                {"3KiB", 3072},
                {"3m", 3145728},
                {"3MB", 3000000},
                {"3MiB", 3145728},
                {"2G", 2147483648u},
                {"3t", 3298534883328},
                {"3TB", 3000000000000},
                {"3TiB", 3298534883328},
                {"1048576t", 1152921504606846976}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(mx_parse_bytes(good[i].text, "--budget", &bytes, &err));
        assert_int_equal(bytes, good[i].bytes);
    }
    static const char *const bad[] = {"",    "GB",   "-1",        "0",    "1e400", "nan",
                                      "inf", "0x10", "8 bananas", "8GB8", "0.9",   "1048577t"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(mx_parse_bytes(bad[i], "--budget", &bytes, &err), MX_ERR_ARGUMENT, "--budget");
    }
    int64_t value;
    assert_ok(mx_parse_whole("32k", "--ctx", 1, 1 << 20, &value, &err));
    assert_int_equal(value, 32768);
    static const char *const not_whole[] = {"", "0", "-3", "1.5", "1e3", "99999999999999999999", "9999999999999999k"};
    for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++) {
        assert_fails(mx_parse_whole(not_whole[i], "--ctx", 1, 1 << 20, &value, &err), MX_ERR_ARGUMENT, "--ctx");
    }
    static const char *const numbers[] = {"-1.5", "0.25", "2"}, *const not_numbers[] = {"", "-1.6", "2.1", "inf", "1s"};
    static const double values[] = {-1.5, 0.25, 2};
    double number;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) { /* both ends are in it */
        assert_ok(mx_parse_number(numbers[i], "--tau", -1.5, 2, &number, &err));
        assert_true(number == values[i]);
    }
    for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++) {
        assert_fails(mx_parse_number(not_numbers[i], "--tau", -1.5, 2, &number, &err), MX_ERR_ARGUMENT, "--tau");
    }
    char text[32];
    assert_string_equal(mx_format_bytes(999, text), "999 B");
    assert_string_equal(mx_format_bytes(1536000, text), "1.54 MB");
    /* three digits, also where rounding adds one */
    assert_string_equal(mx_format_bytes(9994000, text), "9.99 MB");
    assert_string_equal(mx_format_bytes(9995000, text), "10.0 MB");
    assert_string_equal(mx_format_bytes(99940000, text), "99.9 MB");
    assert_string_equal(mx_format_bytes(99960000, text), "100 MB");
    assert_string_equal(mx_format_bytes(999400, text), "999 kB");
    assert_string_equal(mx_format_bytes(999500, text), "1.00 MB");
    assert_string_equal(mx_format_count(1234567, text), "1,234,567");
}

struct sum {
    _Atomic int calls[1000];
    _Atomic int wrong_worker;
    int threads;
};

static void count_call(void *context, int piece, int worker)
{
    struct sum *sum = context;
    sum->calls[piece]++;
    if (worker < 0 || worker >= sum->threads) sum->wrong_worker++;
}

static void pool_runs_each_piece_once(void **state)
{
    static struct sum sum;
    for (int threads = 1; threads <= 5; threads++) {
        struct mx_pool *pool;
        assert_ok(mx_pool_open(&pool, threads, &err));
        memset(&sum, 0, sizeof sum);
        sum.threads = threads;
        for (int round = 0; round < 300; round++) {
            mx_pool_run(pool, round, count_call, &sum);
            for (int i = 0; i < round; i++) assert_int_equal(sum.calls[i], round - i);
            if (round % 100 == 50) usleep(2000); /* let the workers fall asleep */
        }
        assert_int_equal(sum.wrong_worker, 0);
        mx_pool_close(pool);
    }
    struct mx_pool *pool;
    assert_fails(mx_pool_open(&pool, 0, &err), MX_ERR_ARGUMENT, "0 threads");
}

/* A loop in the middle of which the caller goes on, and uses the pool itself. */
struct long_work {
    struct mx_pool *pool;
    struct sum sum;
    int loops;
};

static void run_long(void *context)
{
    struct long_work *work = context;
    for (int i = 0; i < work->loops; i++) mx_pool_run(work->pool, 50, count_call, &work->sum);
}

static void loops_go_on_by_turns(void **state)
{
    static struct long_work work;
    static struct sum others;
    for (int threads = 1; threads <= 3; threads++) {
        struct mx_aside *aside;
        work = (struct long_work){.sum.threads = threads, .loops = 2};
        assert_ok(mx_pool_open(&work.pool, threads, &err));
        assert_ok(mx_aside_open(&aside, &err));
        mx_aside_begin(aside, run_long, &work);
        memset(&others, 0, sizeof others);
        others.threads = threads;
        int turns = 1;
        for (bool ended = false; !ended; turns++) {
            mx_pool_in_turns(work.pool, mx_aside_left, aside);
            ended = mx_aside_turn(aside, 0);
            mx_pool_in_turns(work.pool, NULL, NULL);
            mx_pool_run(work.pool, 7, count_call, &others);
            assert_int_equal(others.calls[6], turns);
        }
        assert_int_equal(turns, 2 + 2 * ((50 + threads - 1) / threads)); /* a piece for each thread, and the start */
        for (int i = 0; i < 50; i++) assert_int_equal(work.sum.calls[i], 2);
        assert_int_equal(work.sum.wrong_worker, 0);
        /* To the end at once, and to the end when it is closed in the middle. */
        mx_aside_begin(aside, run_long, &work);
        assert_true(mx_aside_turn(aside, INFINITY));
        mx_aside_begin(aside, run_long, &work);
        mx_pool_in_turns(work.pool, mx_aside_left, aside);
        assert_false(mx_aside_turn(aside, 0));
        mx_pool_in_turns(work.pool, NULL, NULL);
        mx_aside_close(aside);
        for (int i = 0; i < 50; i++) assert_int_equal(work.sum.calls[i], 6);
        mx_pool_close(work.pool);
    }
}

struct meeting {
    _Atomic int here, alone;
};

/* Each of two pieces waits until the other one runs, too. */
static void meet(void *context, int piece, int worker)
{
    struct meeting *meeting = context;
    meeting->here++;
    for (int i = 0; meeting->here < 2 && i < 10000; i++) usleep(1000);
    meeting->alone += meeting->here < 2;
}

static void pool_runs_pieces_at_once(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 2, &err));
    for (int round = 0; round < 4; round++) {
        struct meeting meeting = {0};
        mx_pool_run(pool, 2, meet, &meeting);
        assert_int_equal(meeting.here, 2);
        assert_int_equal(meeting.alone, 0);
        usleep(2000); /* let the other fall asleep */
    }
    mx_pool_close(pool);
}

static void strings_and_arenas_grow(void **state)
{
    struct mx_str str = {0};
    struct mx_arena arena = {0};
    for (int i = 0; i < 1000; i++) {
        mx_str_printf(&str, "%d,", i);
        char *copy = mx_arena_strndup(&arena, "abcdef", 6);
        assert_string_equal(copy, "abcdef");
        assert_int_equal((uintptr_t)copy % 16, 0);
    }
    assert_int_equal(str.length, 10 * 2 + 90 * 3 + 900 * 4);
    assert_null(mx_arena_array(&arena, SIZE_MAX / 2, 4));
    mx_str_free(&str);
    mx_arena_free(&arena);
}

static void endings_are_found(void **state)
{
    static const char *const endings[] = {".scales", ".biases"};
    assert_true(mx_ends_with("q_proj.scales", ".scales") && mx_ends_with("q_proj", "") && mx_ends_with("", ""));
    assert_false(mx_ends_with("scales", ".scales") || mx_ends_with("q.scales.x", ".scales"));
    assert_true(mx_ends_with_any("q.biases", endings, 2));
    assert_false(mx_ends_with_any("q.bias", endings, 2) || mx_ends_with_any("q.biases", endings, 1));
}

static const char *animal(const void *context, size_t index)
{
    static const char *const names[] = {"cat", "horse", "hornet", NULL};
    return names[index];
}

static void check_closest(const char *word, const char *expected)
{
    const char *closest = mx_closest(word, animal, NULL);
    if (!expected)
        assert_null(closest);
    else
        assert_string_equal(closest ? closest : "nothing", expected);
}

static void slips_are_understood(void **state)
{
    check_closest("cta", "cat"); /* exchanged letters are one slip */
    check_closest("ct", "cat");
    check_closest("bat", "cat");
    check_closest("bad", NULL); /* two slips in a short word */
    check_closest("hrose", "horse");
    check_closest("housse", "horse"); /* two in a longer one */
    check_closest("hor", "horse");    /* the beginning of two: the first */
    check_closest("horn", "hornet");
    check_closest("elephant", NULL);
    check_closest("", NULL);
    check_closest("a word that is much longer than any name", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_round_trips),
        cmocka_unit_test(half_rounds_to_even),
        cmocka_unit_test(json_reads),
        cmocka_unit_test(json_refuses),
        cmocka_unit_test(files_are_written_whole),
        cmocka_unit_test(units_parse),
        cmocka_unit_test(pool_runs_each_piece_once),
        cmocka_unit_test(loops_go_on_by_turns),
        cmocka_unit_test(pool_runs_pieces_at_once),
        cmocka_unit_test(strings_and_arenas_grow),
        cmocka_unit_test(endings_are_found),
        cmocka_unit_test(slips_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
