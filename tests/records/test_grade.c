/* Grades: each limit alone decides, and what is not a number fails. */
#include "records/grade.h"

#include <math.h>

#include "support.h"

static const struct mx_quality perfect = {.measured = true, .top1 = 1};

static void each_limit_decides(void **state)
{
    (void)state;
    assert_int_equal(mx_grade_of(&perfect), MX_GRADE_NEAR_LOSSLESS);
    for (enum mx_grade grade = MX_GRADE_NEAR_LOSSLESS; grade < MX_GRADE_FAILED; grade++) {
        const struct mx_grade_limits *limits = mx_grade_limits(grade);
        struct mx_quality at = {.measured = true,
                                .perplexity_change = limits->perplexity_change,
                                .kl_mean = limits->kl_mean,
                                .top1 = limits->top1};
        assert_int_equal(mx_grade_of(&at), grade);
        struct mx_quality past = perfect;
        past.perplexity_change = limits->perplexity_change * 1.01;
        assert_int_equal(mx_grade_of(&past), grade + 1);
        past = perfect;
        past.kl_mean = limits->kl_mean * 1.01;
        assert_int_equal(mx_grade_of(&past), grade + 1);
        past = perfect;
        past.top1 = limits->top1 - 0.001;
        assert_int_equal(mx_grade_of(&past), grade + 1);
        assert_int_equal(mx_grade_find(limits->name), grade);
        assert_string_equal(mx_grade_name(grade), limits->name);
    }
    assert_int_equal(mx_grade_find("failed"), MX_GRADE_NONE);
    assert_null(mx_grade_limits(MX_GRADE_FAILED));
}

static void retrieval_may_lose_one_prompt(void **state)
{
    (void)state;
    struct mx_quality quality = perfect;
    quality.retrieved = true;
    quality.prompts = 8;
    quality.retrieval_fp16 = 7.0 / 8;
    quality.retrieval = 6.0 / 8;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_NEAR_LOSSLESS);
    quality.retrieval = 5.0 / 8;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    quality.retrieval = 1; /* better than fp16 */
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_NEAR_LOSSLESS);
}

static void what_is_no_number_fails(void **state)
{
    (void)state;
    assert_int_equal(mx_grade_of(&(struct mx_quality){0}), MX_GRADE_NONE);
    struct mx_quality quality = perfect;
    quality.kl_mean = NAN;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    quality.kl_mean = -0.001;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    quality = perfect;
    quality.perplexity_change = NAN;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    quality = perfect;
    quality.top1 = NAN;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    quality = perfect;
    quality.retrieved = true;
    quality.prompts = 8;
    quality.retrieval = NAN;
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_FAILED);
    assert_string_equal(mx_grade_name(MX_GRADE_FAILED), "failed");
    assert_string_equal(mx_grade_name(MX_GRADE_NONE), "not measured");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_decides),
        cmocka_unit_test(retrieval_may_lose_one_prompt),
        cmocka_unit_test(what_is_no_number_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
