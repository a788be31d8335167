/* Windows of a text. */
#include "evidence/windows.h"

mx_status mx_windows_count(const struct mx_windows *windows, size_t *count, struct mx_error *err)
{
    if (windows->length < 1) return mx_fail(err, MX_ERR_ARGUMENT, "a window of 0 tokens predicts nothing");
    const size_t fit = windows->count ? (windows->count - 1) / windows->length : 0;
    if (fit == 0) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a window of %u tokens needs %u ids, the text has %zu; lower the context",
                       windows->length, windows->length + 1, windows->count);
    }
    *count = windows->limit && windows->limit < fit ? windows->limit : fit;
    return MX_OK;
}
