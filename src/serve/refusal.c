/* Refusals: a table of kinds, and their JSON. */
#include "serve/refusal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

static const struct {
    int http;
    const char *type, *code; /* as OpenAI's interface names them; code NULL: null */
} kinds[] = {
    [MX_REFUSE_REQUEST] = {400, "invalid_request_error", NULL},
    [MX_REFUSE_KEY] = {401, "invalid_request_error", "invalid_api_key"},
    [MX_REFUSE_ORIGIN] = {403, "invalid_request_error", "origin_not_allowed"},
    [MX_REFUSE_MODEL] = {404, "invalid_request_error", "model_not_found"},
    [MX_REFUSE_PATH] = {404, "invalid_request_error", "unknown_url"},
    [MX_REFUSE_METHOD] = {405, "invalid_request_error", "method_not_supported"},
    [MX_REFUSE_SIZE] = {413, "invalid_request_error", "request_too_large"},
    [MX_REFUSE_CONTEXT] = {400, "invalid_request_error", "context_length_exceeded"},
    [MX_REFUSE_BUSY] = {429, "rate_limit_error", "rate_limit_exceeded"},
    [MX_REFUSE_INTERNAL] = {500, "server_error", NULL},
    [MX_REFUSE_NOT_HERE] = {501, "invalid_request_error", "unsupported"},
    [MX_REFUSE_LEAVING] = {503, "server_error", "service_unavailable"},
};

int mx_refusal_http(enum mx_refusal_kind kind)
{
    return kinds[kind].http;
}

static bool fill(struct mx_refusal *refusal, enum mx_refusal_kind kind, const char *param)
{
    refusal->kind = kind;
    snprintf(refusal->param, sizeof refusal->param, "%s", param ? param : "");
    return false;
}

bool mx_refuse(struct mx_refusal *refusal, enum mx_refusal_kind kind, const char *param, const char *format, ...)
{
    char message[sizeof refusal->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)mx_fail(&refusal->error, MX_ERR_ARGUMENT, "%s", message);
    return fill(refusal, kind, param);
}

bool mx_refuse_error(struct mx_refusal *refusal, enum mx_refusal_kind kind, const char *param,
                     const struct mx_error *error)
{
    refusal->error = *error;
    return fill(refusal, error->status == MX_ERR_MEMORY ? MX_REFUSE_LEAVING : kind, param);
}

void mx_refusal_write(struct mx_str *out, const struct mx_refusal *refusal)
{
    const char *code = kinds[refusal->kind].code;
    mx_str_puts(out, "{\"error\": {\"message\": ");
    mx_json_quote(out, refusal->error.message);
    mx_str_printf(out, ", \"type\": \"%s\", \"param\": ", kinds[refusal->kind].type);
    if (refusal->param[0])
        mx_json_quote(out, refusal->param);
    else
        mx_str_puts(out, "null");
    if (code)
        mx_str_printf(out, ", \"code\": \"%s\"}}", code);
    else
        mx_str_puts(out, ", \"code\": null}}");
}
