/* `mlxcel serve`: the model behind the HTTP interface that tools speak, for many users at once. */
#include "cli/serve.h"

#include <stddef.h>

#include "config/arch.h"

static const struct mx_serve_flags defaults = {.port = 8080,
                                               .parallel = 16,
                                               .queue = 64,
                                               .connections = 2048,
                                               .request_seconds = 60,
                                               .drain_seconds = 30,
                                               .max_body = 8 << 20,
                                               .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"host", 0, MX_FLAG_TEXT, "ADDRESS", "address to listen on (default 127.0.0.1: this machine only)",
     offsetof(struct mx_serve_flags, host)},
    {"port", 0, MX_FLAG_WHOLE, "N", "port to listen on (default 8080); 0 takes a free one",
     offsetof(struct mx_serve_flags, port), 0, 65535},
    {"name", 0, MX_FLAG_TEXT, "NAME", "what clients call the model (default: its folder's name)",
     offsetof(struct mx_serve_flags, name)},
    {"parallel", 0, MX_FLAG_WHOLE, "N", "texts to run at once (default 16)", offsetof(struct mx_serve_flags, parallel),
     1, 1024},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "context size of each text (default: the model's, at most 8192)",
     offsetof(struct mx_serve_flags, context), 1, MX_ARCH_MAX_CONTEXT},
    {"memory", 0, MX_FLAG_BYTES, "SIZE", "memory for all KV caches (default: what is available, less a margin)",
     offsetof(struct mx_serve_flags, memory)},
    {"queue", 0, MX_FLAG_WHOLE, "N", "texts that may wait; further requests get a 429 (default 64)",
     offsetof(struct mx_serve_flags, queue), 0, 1 << 20},
    {"template", 0, MX_FLAG_PATH, "FILE", "a Jinja template instead of the model's",
     offsetof(struct mx_serve_flags, template)},
    {"api-key-file", 0, MX_FLAG_PATH, "FILE", "API keys that clients must present, one per line",
     offsetof(struct mx_serve_flags, key_file)},
    {"tls-cert", 0, MX_FLAG_PATH, "FILE", "serve HTTPS with this certificate (PEM)",
     offsetof(struct mx_serve_flags, tls_cert)},
    {"tls-key", 0, MX_FLAG_PATH, "FILE", "the certificate's key (PEM)", offsetof(struct mx_serve_flags, tls_key)},
    {"cors", 0, MX_FLAG_LIST, "ORIGIN", "a site whose pages may call the API, or *; may be repeated",
     offsetof(struct mx_serve_flags, origins)},
    {"max-body", 0, MX_FLAG_BYTES, "SIZE", "the largest request (default 8 MiB)",
     offsetof(struct mx_serve_flags, max_body)},
    {"connections", 0, MX_FLAG_WHOLE, "N", "at most N connections (default 2048)",
     offsetof(struct mx_serve_flags, connections), 4, 1 << 16},
    {"timeout", 0, MX_FLAG_NUMBER, "SECONDS", "to receive a request, or deliver an answer (default 60)",
     offsetof(struct mx_serve_flags, request_seconds), 1, 3600},
    {"drain", 0, MX_FLAG_NUMBER, "SECONDS", "to finish accepted requests after SIGTERM (default 30)",
     offsetof(struct mx_serve_flags, drain_seconds), 0, 3600},
    {"log", 0, MX_FLAG_PATH, "FILE", "one line of JSON per request (default: stderr; none: no log)",
     offsetof(struct mx_serve_flags, log)},
    {"log-prompts", 0, MX_FLAG_SWITCH, NULL, "log prompts and messages, too",
     offsetof(struct mx_serve_flags, log_prompts)},
    {"force", 0, MX_FLAG_SWITCH, NULL, "run even if memory seems too small", offsetof(struct mx_serve_flags, force)},
    MX_ENGINE_FLAG_ROWS(struct mx_serve_flags, engine),
    MX_KV_FLAG_ROWS(struct mx_serve_flags, kv),
    {0},
};

const struct mx_command mx_command_serve = {
    .name = "serve",
    .summary = "serve a model over HTTP, with OpenAI's API",
    .about = "Prints one line that says where it listens, and serves /v1/chat/completions, /v1/completions,\n"
             "/v1/models, /tokenize, /detokenize, /health and /metrics until SIGTERM or Ctrl-C; then it ends\n"
             "what it has accepted.\n",
    .flags = flags,
    .examples = {"mlxcel serve -m DIR --kv-cache-mode advised --ctx 16k",
                 "mlxcel serve -m DIR --host 0.0.0.0 --api-key-file keys.txt --tls-cert cert.pem --tls-key key.pem"},
    .options_size = sizeof(struct mx_serve_flags),
    .defaults = &defaults,
    .run = mx_run_serve,
};
