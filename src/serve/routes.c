/* What there is: the paths of the interface, as a table, and the answers that need no engine. */
#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "serve/http.h"

/* --- models --- */

static void put_model(struct mx_str *out, const struct mx_served *served)
{
    mx_str_puts(out, "{\"id\": ");
    mx_json_quote(out, served->name);
    mx_str_printf(out,
                  ", \"object\": \"model\", \"created\": %" PRId64
                  ", \"owned_by\": \"mlxcel\", \"max_model_len\": %" PRIu64 "}",
                  served->created, served->context);
}

static bool list_models(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                        struct mx_refusal *refusal)
{
    (void)request;
    (void)refusal;
    mx_str_puts(&reply->body, "{\"object\": \"list\", \"data\": [");
    put_model(&reply->body, served);
    mx_str_puts(&reply->body, "]}\n");
    return true;
}

static bool show_model(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                       struct mx_refusal *refusal)
{
    const char *name = request->path + strlen("/v1/models/");
    if (strcmp(name, served->name) != 0) {
        return mx_refuse(refusal, MX_REFUSE_MODEL, "model", "the model \"%.200s\" is not here; this server has %s",
                         name, served->name);
    }
    put_model(&reply->body, served);
    mx_str_putc(&reply->body, '\n');
    return true;
}

/* --- tokens --- */

static bool parse(cJSON **root, const struct mx_http_request *request, struct mx_refusal *refusal)
{
    struct mx_error error;
    if (mx_json_parse(root, mx_str_text(&request->body), request->body.length, "the body",
                      &(struct mx_json_rules){.refuse_nul = true}, &error) == MX_OK) {
        return true;
    }
    return mx_refuse_error(refusal, MX_REFUSE_REQUEST, NULL, &error);
}

static bool put_tokens(const struct mx_served *served, const cJSON *root, struct mx_str *out,
                       struct mx_refusal *refusal)
{
    const cJSON *text = mx_json_get_set(root, "content"), *special = mx_json_get_set(root, "add_special");
    struct mx_ids ids = {0};
    struct mx_error error;
    if (!cJSON_IsString(text)) {
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "content", "\"content\" must be the text that is to be encoded");
    }
    if (special && !cJSON_IsBool(special)) {
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "add_special", "\"add_special\" must be true or false");
    }
    const bool good = mx_tokenizer_encode(served->tokenizer, text->valuestring, strlen(text->valuestring),
                                          cJSON_IsTrue(special), &ids, &error) == MX_OK;
    if (!good) mx_refuse_error(refusal, MX_REFUSE_REQUEST, "content", &error);
    mx_str_puts(out, "{\"tokens\": [");
    for (size_t i = 0; good && i < ids.count; i++) mx_str_printf(out, "%s%" PRId32, i ? ", " : "", ids.data[i]);
    mx_str_puts(out, "]}\n");
    mx_ids_free(&ids);
    return good;
}

static bool tokenize(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                     struct mx_refusal *refusal)
{
    cJSON *root;
    if (!parse(&root, request, refusal)) return false;
    const bool good = put_tokens(served, root, &reply->body, refusal);
    cJSON_Delete(root);
    return good;
}

static bool put_text(const struct mx_served *served, const cJSON *root, struct mx_str *out, struct mx_refusal *refusal)
{
    const cJSON *list = mx_json_get_set(root, "tokens"), *one;
    struct mx_ids ids = {0};
    struct mx_str text = {0};
    struct mx_error error = {0};
    bool good = cJSON_IsArray(list);
    cJSON_ArrayForEach (one, list) {
        int64_t id;
        good = good && mx_json_whole(one, 0, (int64_t)served->vocab - 1, &id);
        good = good && mx_ids_append(&ids, (int32_t)id, &error) == MX_OK;
    }
    if (!good) {
        mx_refuse(refusal, MX_REFUSE_REQUEST, "tokens", "\"tokens\" must be a list of ids from 0 to %" PRIu32,
                  served->vocab - 1);
    } else if (mx_tokenizer_decode(served->tokenizer, ids.data, ids.count, false, &text, &error) != MX_OK) {
        good = mx_refuse_error(refusal, MX_REFUSE_REQUEST, "tokens", &error);
    }
    mx_str_puts(out, "{\"content\": ");
    mx_json_quote_bytes(out, mx_str_text(&text), text.length);
    mx_str_puts(out, "}\n");
    mx_str_inherit(out, &text);
    mx_str_free(&text);
    mx_ids_free(&ids);
    return good;
}

static bool detokenize(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                       struct mx_refusal *refusal)
{
    cJSON *root;
    if (!parse(&root, request, refusal)) return false;
    const bool good = put_text(served, root, &reply->body, refusal);
    cJSON_Delete(root);
    return good;
}

/* --- the rest --- */

static bool refuse_embeddings(const struct mx_served *served, struct mx_http_request *request,
                              struct mx_http_reply *reply, struct mx_refusal *refusal)
{
    (void)served;
    (void)request;
    (void)reply;
    return mx_refuse(
        refusal, MX_REFUSE_NOT_HERE, NULL,
        "this server has no embeddings: it runs models that write text, whose hidden states are not trained "
        "to be compared");
}

static bool show_health(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                        struct mx_refusal *refusal)
{
    (void)served;
    (void)request;
    (void)refusal;
    reply->constant = "{\"status\": \"ok\"}\n";
    reply->type = "application/json";
    return true;
}

static bool show_metrics(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                         struct mx_refusal *refusal)
{
    (void)request;
    (void)refusal;
    mx_metrics_write(served->metrics, &reply->body);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    return true;
}

static bool show_page(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                      struct mx_refusal *refusal)
{
    (void)served;
    (void)request;
    (void)refusal;
    reply->constant = mx_serve_page;
    reply->type = "text/html; charset=utf-8";
    reply->page = true;
    return true;
}

const struct mx_route mx_routes[] = {
    {"GET", "/", .answer = show_page, .open = true},
    {"POST", "/v1/chat/completions", .asks = true, .kind = MX_ASK_CHAT},
    {"POST", "/v1/responses", .asks = true, .kind = MX_ASK_RESPONSE},
    {"POST", "/v1/completions", .asks = true, .kind = MX_ASK_COMPLETION},
    {"GET", "/v1/models", .answer = list_models},
    {"GET", "/v1/models/", .answer = show_model},
    {"POST", "/v1/embeddings", .answer = refuse_embeddings},
    {"POST", "/tokenize", .answer = tokenize},
    {"POST", "/detokenize", .answer = detokenize},
    {"GET", "/health", .answer = show_health, .open = true},
    {"GET", "/metrics", .answer = show_metrics},
};
const size_t mx_route_count = sizeof mx_routes / sizeof *mx_routes;
