/* Passkey retrieval. */
#include "evidence/passkey.h"

#include <xxhash.h>

#include "base/json.h"
#include "kernels/dense.h"
#include "tokenizer/tokenizer.h"

static const size_t FILE_LIMIT = 64u << 20; /* bytes */

/* The ids in a JSON list, replacing what `ids` holds. */
static mx_status read_ids(const cJSON *list, const char *what, struct mx_ids *ids, struct mx_error *err)
{
    ids->count = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        int64_t id;
        if (!mx_json_whole(item, 0, INT32_MAX, &id)) {
            return mx_fail(err, MX_ERR_FORMAT, "passkey file: \"%s\" holds something that is not a token id", what);
        }
        MX_TRY(mx_ids_append(ids, (int32_t)id, err));
    }
    if (ids->count == 0) return mx_fail(err, MX_ERR_FORMAT, "passkey file: a case has no \"%s\"", what);
    return MX_OK;
}

static mx_status answer_one(struct mx_session *session, const struct mx_ids *prompt, const struct mx_ids *answer,
                            bool *right, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(session);
    const struct mx_dense_kernels *kernels = mx_dense_kernels(mx_session_cpu(session));
    mx_session_clear(session);
    float *logits;
    MX_TRY(mx_session_feed(session, prompt->data, prompt->count, &logits, NULL, err));
    *right = true;
    for (size_t i = 0; *right && i < answer->count; i++) {
        const int32_t token = (int32_t)kernels->argmax(logits, arch->vocab);
        *right = token == answer->data[i];
        if (*right && i + 1 < answer->count) MX_TRY(mx_session_decode(session, token, &logits, err));
    }
    return MX_OK;
}

/* The longest prompt with its answer. */
static uint64_t longest(const cJSON *cases)
{
    uint64_t longest = 1;
    const cJSON *one;
    cJSON_ArrayForEach (one, cases) {
        const uint64_t length = (uint64_t)cJSON_GetArraySize(mx_json_get(one, "prompt")) +
                                (uint64_t)cJSON_GetArraySize(mx_json_get(one, "answer"));
        if (length > longest) longest = length;
    }
    return longest;
}

static mx_status run_cases(struct mx_session *session, const cJSON *cases, const struct mx_progress *progress,
                           struct mx_ids *prompt, struct mx_ids *answer, struct mx_passkey *result,
                           struct mx_error *err)
{
    const int count = cJSON_GetArraySize(cases);
    const cJSON *one;
    cJSON_ArrayForEach (one, cases) {
        if (mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        bool right;
        MX_TRY(read_ids(mx_json_get(one, "prompt"), "prompt", prompt, err));
        MX_TRY(read_ids(mx_json_get(one, "answer"), "answer", answer, err));
        result->text = XXH3_64bits_withSeed(prompt->data, prompt->count * sizeof *prompt->data, result->text);
        MX_TRY(answer_one(session, prompt, answer, &right, err));
        result->cases++;
        result->right += right;
        result->as_reference += right == (bool)cJSON_IsTrue(mx_json_get(one, "correct_fp32"));
        mx_progress_report(progress, "passkey", (double)result->cases / count);
    }
    return MX_OK;
}

static mx_status run_file(struct mx_session *session, const cJSON *root, const char *path, const char *length,
                          const struct mx_kv_options *kv, const struct mx_progress *progress, struct mx_passkey *result,
                          struct mx_error *err)
{
    const cJSON *cases = mx_json_get(mx_json_get(root, "cases"), length);
    if (!cJSON_IsArray(cases)) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"cases\" has no list \"%s\"", path, length);
    }
    const struct mx_session_begin begin = {.context = longest(cases), .kv = *kv};
    MX_TRY(mx_session_begin(session, &begin, err));
    result->setup = *mx_sequence_setup(mx_session_sequence(session));
    struct mx_ids prompt = {0}, answer = {0};
    const mx_status status = run_cases(session, cases, progress, &prompt, &answer, result, err);
    mx_ids_free(&prompt);
    mx_ids_free(&answer);
    return status;
}

mx_status mx_passkey_run(struct mx_session *session, const char *path, const char *length,
                         const struct mx_kv_options *kv, const struct mx_progress *progress, struct mx_passkey *result,
                         struct mx_error *err)
{
    *result = (struct mx_passkey){0};
    cJSON *root;
    MX_TRY(mx_json_read_file(&root, path, FILE_LIMIT, &(struct mx_json_rules){0}, err));
    const mx_status status = run_file(session, root, path, length, kv, progress, result, err);
    cJSON_Delete(root);
    return status;
}
