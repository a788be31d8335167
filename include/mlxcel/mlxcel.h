/* libmlxcel: advice about, and attention on, compressed KV caches.
 *
 *   mx_advise       what a model needs, what fits, which cache mode to try; from its config.json, in milliseconds
 *   mx_llm_open     a checkpoint ready to run
 *   mx_llm_generate text out of a prompt, streamed
 *   mx_llm_evaluate how well it predicts a text, through the cache mode that was chosen
 *
 * Conventions. Structs of options come from their _default() function, so that a field added later has a value. Handles
 * are opaque; what opens has a close. Text is UTF-8. Errors: error.h. There is no global state: different handles may
 * be used in different threads at the same time; one handle by one thread at a time. Strings inside a result live as
 * long as the result; those marked static live forever.
 *
 * Link with `pkg-config --cflags --libs mlxcel`. The ABI is not promised before version 1.0; MX_ABI_VERSION changes
 * whenever a struct or a function here does, and mx_abi_version() tells what the loaded library has.
 */
#ifndef MLXCEL_H
#define MLXCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mlxcel/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MX_API __attribute__((visibility("default")))
#else
#define MX_API
#endif

#define MX_ABI_VERSION 1

MX_API int mx_abi_version(void);
MX_API const char *mx_version(void); /* "0.1.0"; static */

/* ---- Advice -------------------------------------------------------------------------------------------------- */

struct mx_advise_options {
    uint64_t context;     /* tokens to plan for; 0: 4096, or the model's own limit if that is smaller */
    uint32_t batch;       /* sequences held at once; at least 1 */
    uint64_t budget;      /* bytes of memory; 0: what this machine has available */
    const char *evidence; /* a folder of measurements (docs/evidence-format.md); NULL: the rules alone */
    bool prefer_memory;   /* of measured modes that passed, the smallest instead of the fastest */
};
MX_API struct mx_advise_options mx_advise_options_default(void);

/* Advice for one range of context lengths. */
struct mx_advice_range {
    uint64_t from, to;           /* tokens */
    const char *suggested;       /* a cache mode; static */
    const char *alternatives[3]; /* to benchmark beside it; NULL where fewer; static */
    char reason[256];
    uint64_t bytes_saved; /* against fp16 at the range's end, one sequence */
    bool from_evidence;   /* measured; otherwise by the rules */
};

/* What one cache mode would take. */
struct mx_advice_mode {
    const char *mode;    /* static */
    const char *runs_as; /* the mode that would really run on this model; static */
    uint64_t cache;      /* bytes of cache and recurrent state at the context, all sequences */
    uint64_t total;      /* bytes of everything */
    bool fits;
    uint64_t max_context; /* the largest context that fits; 0: none, or not known */
};

enum { MX_ADVICE_RANGES = 3, MX_ADVICE_MODES = 7 };

struct mx_advice {
    char model_type[64];
    const char *class_name; /* "standard", "sliding_window", "mla", "hybrid", "recurrent"; static */
    uint64_t parameters;    /* of the text model */
    uint64_t weights;       /* bytes; 0: unknown */
    bool weights_exact;     /* from the headers of the weight files; otherwise from the config */
    uint64_t available;     /* bytes that were planned with; 0: unknown */
    uint64_t context;       /* tokens that were planned for */
    struct mx_advice_range ranges[MX_ADVICE_RANGES]; /* short, medium, long */
    struct mx_advice_mode modes[MX_ADVICE_MODES];
};

/* Advises about `path`: a model's folder, or its config.json alone. Reads headers, never weights. On failure *advice is
 * unchanged. There is nothing to free. */
MX_API mx_status mx_advise(const char *path, const struct mx_advise_options *options, struct mx_advice *advice,
                           struct mx_error *err);

/* ---- A model that runs --------------------------------------------------------------------------------------- */

struct mx_llm;

struct mx_llm_options {
    int threads;            /* 0: the physical cores */
    uint64_t context;       /* tokens that prompt and answer may take together; 0: 4096, or the model's own limit */
    const char *cache_mode; /* "fp16", "int8", "int8+turbo4", ...; NULL: fp16 */
};
MX_API struct mx_llm_options mx_llm_options_default(void);

/* Opens the checkpoint in `directory` (Hugging Face or MLX safetensors): maps the weights, allocates the cache. On
 * failure *llm is NULL. */
MX_API mx_status mx_llm_open(struct mx_llm **llm, const char *directory, const struct mx_llm_options *options,
                             struct mx_error *err);
MX_API void mx_llm_close(struct mx_llm *llm); /* NULL is fine */

/* The mode that really runs, which may differ from the one asked for; static. */
MX_API const char *mx_llm_cache_mode(const struct mx_llm *llm);
/* Bytes allocated for the cache. */
MX_API uint64_t mx_llm_cache_bytes(const struct mx_llm *llm);

struct mx_generate_request {
    const char *prompt;
    uint32_t max_tokens;
    double temperature; /* 0: the likeliest token, the same for any number of threads */
    uint64_t seed;
    /* Receives the text as it is made, whole characters only; `text` is not NUL-terminated. Returning false ends the
     * generation. May be NULL. */
    bool (*on_text)(void *context, const char *text, size_t length);
    void *context;
};
MX_API struct mx_generate_request mx_generate_request_default(void); /* 128 tokens at temperature 0 */

struct mx_generate_result {
    uint32_t prompt_tokens, tokens;
    double prefill_tokens_per_second, decode_tokens_per_second;
};

/* Generates. What the prompt shares with the text before it is not computed again. `result` may be NULL. Fails with
 * MX_ERR_LIMIT where the prompt does not fit the context. */
MX_API mx_status mx_llm_generate(struct mx_llm *llm, const struct mx_generate_request *request,
                                 struct mx_generate_result *result, struct mx_error *err);

struct mx_evaluation {
    double mean_nll;   /* nats per token */
    double perplexity; /* its exponential */
    uint64_t tokens;   /* predictions */
};

/* Perplexity of `text`, cut into windows of the handle's context (docs/json.md, "perplexity"). The text must hold one
 * window and one token more. The handle keeps no text afterwards. */
MX_API mx_status mx_llm_evaluate(struct mx_llm *llm, const char *text, struct mx_evaluation *evaluation,
                                 struct mx_error *err);

#ifdef __cplusplus
}
#endif
#endif
