/* libmlxcel: advice about, and text out of, compressed KV caches.
 *
 * Three sections, in the order in which a program grows into them:
 *
 *   SIMPLE     mx_advise        what a model needs, what fits, which cache mode to try; in milliseconds
 *              mx_llm_open      a checkpoint ready to run
 *              mx_llm_generate  text out of a prompt or a conversation, streamed
 *              mx_llm_evaluate  how well it predicts a text, through a cache mode
 *   EXPLICIT   mx_llm           facts; tokens in and out; the chat template
 *              mx_seq           one text on a model: generate, go on, cut back, fork, save, load, cancel
 *   ADVANCED   mx_seq           tokens and logits by hand, sampling, scores
 *
 * Conventions
 *   Errors      mx_status and one line in struct mx_error (error.h), which may be NULL. After a failure, outputs are as
 *               they were, and handles may be used on or closed, unless a function says otherwise.
 *   Structs     Each begins with its size, so that fields can be added at its end without breaking programs: take
 *               options from their _default() function, and set the size of what a function fills, `result.size =
 * sizeof result`, before the call. Fields that a program doesn't know have their defaults; those that a library doesn't
 *               know are left alone.
 *   Text        UTF-8. Strings inside a struct that was filled live forever ("static") unless it says otherwise.
 *   Handles     Opaque; what opens has a close, and NULL may be closed. Sequences are closed before their model.
 *   Threads     No global state. Models and advice: any number of threads at once. A sequence: one thread at a time,
 *               but for mx_seq_cancel. Sequences of one model in several threads share its cores and take turns
 *               token by token; what each gets is the same to the bit as alone.
 *   Callbacks   Come from within the call that they were given to, in its thread, and must not use the same sequence.
 *   Processes   The library handles no signals. Weights stay in mapped files: a file that is cut short while it is in
 *               use raises SIGBUS, as for any mapping; docs/security.md says what the program mlxcel does about it.
 *
 * Link with `pkg-config --cflags --libs mlxcel`. MX_ABI_VERSION changes when something here stops fitting programs that
 * were built before; before version 1.0 that may happen. mx_abi_version() tells what the loaded library has.
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

#define MX_ABI_VERSION 2

MX_API int mx_abi_version(void);
MX_API const char *mx_version(void); /* "0.1.0"; static */

/* ==== SIMPLE ================================================================================================== */

/* ---- Advice ---- */

struct mx_advise_options {
    size_t size;
    uint64_t context;     /* tokens to plan for; 0: 4096, or the model's own limit if that is smaller */
    uint32_t batch;       /* sequences held at once; at least 1 */
    uint64_t budget;      /* bytes of memory; 0: what this machine has available */
    const char *evidence; /* a folder of measurements, or a store (docs/evidence.md); NULL: what came with the library;
                             "none": the rules alone */
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

enum { MX_ADVICE_RANGES = 4, MX_ADVICE_MODES = 24 }; /* room; the counts tell how many there are */

struct mx_advice {
    size_t size;
    char model_type[64];
    const char *class_name; /* "standard", "sliding_window", "mla", "hybrid", "recurrent", "other"; of what is no
                               decoder "encoder", "encoder_decoder", "diffusion", "other": nothing in `ranges` is then
                               advice; static */
    uint64_t parameters;    /* of the text model */
    uint64_t weights;       /* bytes; 0: unknown */
    bool weights_exact;     /* from the headers of the weight files; otherwise from the config */
    uint64_t available;     /* bytes that were planned with; 0: unknown */
    uint64_t context;       /* tokens that were planned for */
    uint32_t range_count, mode_count;
    struct mx_advice_range ranges[MX_ADVICE_RANGES]; /* short, medium, long */
    struct mx_advice_mode modes[MX_ADVICE_MODES];
};

/* Advises about `path`: a model's folder, or its config.json alone. Reads headers, never weights. There is nothing to
 * free. Thread-safe. */
MX_API mx_status mx_advise(const char *path, const struct mx_advise_options *options, struct mx_advice *advice,
                           struct mx_error *err);

/* ---- A model that runs ---- */

struct mx_llm;

/* How long work is followed. Returning false cancels: the call ends soon with MX_ERR_INTERRUPTED, or, where something
 * was generated already, with what there is. `what` names the work ("loading", "prefill"; static), `done` is in
 * [0, 1]. */
typedef bool (*mx_on_progress)(void *context, const char *what, double done);

struct mx_llm_options {
    size_t size;
    int threads;                /* 0: the physical cores */
    mx_on_progress on_progress; /* of loading; may be NULL */
    void *context;              /* for on_progress */
};
MX_API struct mx_llm_options mx_llm_options_default(void);

/* Opens the checkpoint in `directory` (Hugging Face or MLX safetensors, with its tokenizer), or in the main snapshot
 * of `directory` where that is a root of the Hugging Face cache (models--ORG--NAME): maps the weights and starts the
 * threads. `options` may be NULL. On failure *llm is NULL. */
MX_API mx_status mx_llm_open(struct mx_llm **llm, const char *directory, const struct mx_llm_options *options,
                             struct mx_error *err);
MX_API void mx_llm_close(struct mx_llm *llm); /* after its sequences */

/* How a text's keys and values are kept. */
struct mx_seq_options {
    size_t size;
    uint64_t context; /* tokens of the text, prompt and answers together; 0: 4096, or the model's limit if smaller */
    /* "fp16", "int8", "int8+turbo4", ... (docs/turbo-kv-cache.md); a plan file that `mlxcel calibrate` wrote, a path
     * with a slash or that ends in ".json"; or "advised": what mx_advise suggests for this context on this machine.
     * "turbo4" runs where the measurements that came with the library graded it at least acceptable on the model's
     * family or kin for this context, else "fp16+turbo4" does (mx_seq_facts says why). NULL: fp16. */
    const char *cache_mode;
    int32_t recent;          /* newest tokens kept in fp16; -1: the mode's default */
    int32_t sink;            /* first tokens kept in fp16; -1: the mode's default */
    int32_t boundary_layers; /* V of the first and last so many layers in fp16 */
    int center;              /* key offset taken off before coding: 0 off, 1 on, -1 decided from the first keys */
    bool force_mode;         /* run cache_mode even where it is unproven for this model, instead of a safer one */
    bool ignore_memory;      /* go on where the cache exceeds the memory that is available */
    uint32_t forks;          /* forks (mx_seq_fork) that will share this one's memory */
    uint32_t marks; /* recurrent states that are put aside at the beginning and the end of each prompt, the newest
                       so many, at most 8: lengths that mx_seq_cut can go back to; 0: only to none. Saved files
                       hold them; loading takes as many of the newest as this says */
};
MX_API struct mx_seq_options mx_seq_options_default(void); /* 0, NULL, -1, -1, 0, -1, false, false, 0, 0 */

struct mx_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* NUL-terminated */
};

/* How the next token is chosen: penalty, temperature, top-k, top-p, min-p, draw, in this order. */
struct mx_sampling {
    size_t size;
    double temperature;    /* >= 0; 0: the likeliest token, whatever the seed */
    uint32_t top_k;        /* of the k likeliest; 0: of all */
    double top_p;          /* of the likeliest that together reach this probability, in (0, 1]; 1: of all */
    double min_p;          /* of those at least this times as likely as the likeliest, in [0, 1]; 0: of all */
    double repeat_penalty; /* logits of the newest 64 tokens are divided by this, negative ones multiplied; 1: off
                              (CTRL, arXiv 1909.05858) */
    uint64_t seed;         /* the same seed gives the same text */
};
MX_API struct mx_sampling mx_sampling_default(void); /* 0, 0, 1, 0, 1, 0 */

struct mx_generate_request {
    size_t size;
    /* Exactly one of the three: a text, a conversation (put into the model's chat template, which then asks for the
     * assistant's answer), or token ids. */
    const char *prompt;
    const struct mx_message *messages;
    const int32_t *tokens;
    size_t count; /* of messages or tokens */

    uint32_t max_tokens;
    const struct mx_sampling *sampling; /* NULL: mx_sampling_default() */
    const char *const *stops;           /* texts that end the answer and are not shown; NULL: none */
    size_t stop_count;
    /* Receives the text as it is made, whole characters only; `text` is not NUL-terminated. Returning false ends the
     * answer. May be NULL. */
    bool (*on_text)(void *context, const char *text, size_t length);
    mx_on_progress on_progress; /* of the prefill; may be NULL */
    void *context;              /* for both */
};
MX_API struct mx_generate_request mx_generate_request_default(void); /* 256 tokens at temperature 0 */

enum mx_end_reason {
    MX_END_LENGTH,    /* max_tokens were made */
    MX_END_MODEL,     /* the model ended its text */
    MX_END_STOP,      /* a stop text came */
    MX_END_CONTEXT,   /* the context is full */
    MX_END_CANCELLED, /* a callback returned false, or mx_seq_cancel was called */
};
MX_API const char *mx_end_reason_name(enum mx_end_reason reason); /* "length", "model", "stop", ...; static */

struct mx_generate_result {
    size_t size;
    enum mx_end_reason end;
    uint32_t prompt_tokens;
    uint32_t reused_tokens; /* of the prompt: those that the sequence held already */
    uint32_t tokens;        /* that were made */
    double prefill_tokens_per_second, decode_tokens_per_second; /* 0: nothing to time */
};

/* Generates in a sequence of its own, made for this call. `cache` and `result` may be NULL. Being cancelled is no
 * failure. Fails with MX_ERR_LIMIT where the prompt does not fit the context, MX_ERR_NOT_A_NUMBER where the model's
 * weights give no numbers. Thread-safe. */
MX_API mx_status mx_llm_generate(struct mx_llm *llm, const struct mx_seq_options *cache,
                                 const struct mx_generate_request *request, struct mx_generate_result *result,
                                 struct mx_error *err);

struct mx_evaluation {
    size_t size;
    double mean_nll;   /* nats per token */
    double perplexity; /* its exponential */
    uint64_t tokens;   /* predictions */
};

/* Perplexity of `text`, cut into windows of `cache`'s context, each token predicted from those before it in its window.
 * The text must hold one window and one token more. `cache` may be NULL. Thread-safe. */
MX_API mx_status mx_llm_evaluate(struct mx_llm *llm, const struct mx_seq_options *cache, const char *text,
                                 struct mx_evaluation *evaluation, struct mx_error *err);

/* ==== EXPLICIT ================================================================================================ */

/* ---- The model ---- */

struct mx_llm_facts {
    size_t size;
    const char *model_type; /* lives as long as the model, as all strings here */
    const char *class_name; /* "standard", "sliding_window", ... */
    uint32_t layers, hidden, vocabulary;
    uint32_t max_context;   /* tokens that it was made for; 0: its config doesn't say */
    uint64_t weight_bytes;  /* of the mapped files */
    uint64_t step_bytes;    /* of weights, read to decode one token */
    uint64_t fingerprint;   /* of names, shapes and samples of the weights: tells checkpoints apart */
    int threads;            /* that compute */
    bool has_chat_template; /* conversations can be given */
};
MX_API mx_status mx_llm_facts(const struct mx_llm *llm, struct mx_llm_facts *facts, struct mx_error *err);

/* ---- Tokens. All thread-safe. ---- */

/* The ids of `length` bytes of text into tokens[capacity], with `special` also those that the model wants around a text
 * (a beginning-of-text token, usually). *count is how many there are, also where they don't fit, which is MX_ERR_LIMIT
 * and fills nothing. With tokens NULL they are only counted. */
MX_API mx_status mx_llm_encode(const struct mx_llm *llm, const char *text, size_t length, bool special, int32_t *tokens,
                               size_t capacity, size_t *count, struct mx_error *err);
/* The text of `count` ids into buffer[size], NUL-terminated, special tokens left out unless `special`. *length is how
 * long it is without the NUL, also where it doesn't fit (MX_ERR_LIMIT). With buffer NULL it is only measured. */
MX_API mx_status mx_llm_decode(const struct mx_llm *llm, const int32_t *tokens, size_t count, bool special,
                               char *buffer, size_t size, size_t *length, struct mx_error *err);
/* A conversation as the model's chat template writes it; with `answer` it ends where the assistant's answer begins.
 * *length and buffer as above. Encode it without `special`. MX_ERR_ARGUMENT where there is no template, or it refuses.
 */
MX_API mx_status mx_llm_render(const struct mx_llm *llm, const struct mx_message *messages, size_t count, bool answer,
                               char *buffer, size_t size, size_t *length, struct mx_error *err);
MX_API const char *mx_llm_piece(const struct mx_llm *llm, int32_t token); /* as the tokenizer spells it; NULL: none */
MX_API int32_t mx_llm_token(const struct mx_llm *llm, const char *piece); /* the other way; -1: none */
MX_API bool mx_llm_is_end(const struct mx_llm *llm, int32_t token);       /* does it end a text? */

/* ---- Sequences ---- */

struct mx_seq;

/* An empty text. `options` may be NULL. Fails with MX_ERR_LIMIT where the cache does not fit the memory available.
 * On failure *seq is NULL. */
MX_API mx_status mx_seq_open(struct mx_seq **seq, struct mx_llm *llm, const struct mx_seq_options *options,
                             struct mx_error *err);
MX_API void mx_seq_close(struct mx_seq *seq);

struct mx_seq_facts {
    size_t size;
    const char *cache_mode;     /* that runs; static */
    const char *requested_mode; /* static */
    char reason[256];           /* why another one runs than was asked for, or why it was advised; "": neither */
    uint32_t applied_layers, cache_layers; /* layers that store something coded (fp16: all), of those with a cache */
    uint32_t recent, sink;                 /* tokens kept in fp16, in effect */
    uint64_t context, length;              /* tokens that fit, and that it holds */
    uint64_t bytes, full_bytes;            /* that it holds now, and with a full context */
};
MX_API mx_status mx_seq_facts(const struct mx_seq *seq, struct mx_seq_facts *facts, struct mx_error *err);

/* The token ids that the sequence holds; valid until it changes. */
MX_API const int32_t *mx_seq_tokens(const struct mx_seq *seq, size_t *count);

/* Makes the text begin with the prompt, computing only what it doesn't hold of it, and answers. The sequence then holds
 * both, but for the last token made, so a conversation with a further message costs little more than that message.
 * `result` may be NULL. Errors as mx_llm_generate. */
MX_API mx_status mx_seq_generate(struct mx_seq *seq, const struct mx_generate_request *request,
                                 struct mx_generate_result *result, struct mx_error *err);

/* Ends the call that uses the sequence now, soon, as a callback that returns false would; nothing where there is none.
 * From any thread or signal handler, as long as the sequence is open. */
MX_API void mx_seq_cancel(struct mx_seq *seq);

/* Cuts the text back to its first `length` tokens, or, where the cache no longer holds what that needs (windows, coded
 * blocks; recurrent layers but for marks), to fewer, at worst none: returns how many remain. */
MX_API uint64_t mx_seq_cut(struct mx_seq *seq, uint64_t length);

/* A copy that goes on by itself. With options.forks it shares the memory of what both have in common. */
MX_API mx_status mx_seq_fork(struct mx_seq **fork, const struct mx_seq *seq, struct mx_error *err);

/* The sequence in a file, which is the owner's alone if it is new and appears whole or not at all. It belongs to the
 * model, config, weights and tokenizer: the first time, all weights are read for that. */
MX_API mx_status mx_seq_save(const struct mx_seq *seq, const char *path, struct mx_error *err);
/* Replaces the text by a saved one. Refuses, in one line, what another model, mode or set of options has saved, and a
 * damaged file; the sequence is empty then. */
MX_API mx_status mx_seq_load(struct mx_seq *seq, const char *path, struct mx_error *err);

/* ==== ADVANCED ================================================================================================ */

/* Appends n >= 1 tokens to the text; `decoded`: they were sampled from the last logits, one at a time. The logits that
 * follow the last one are then at mx_seq_logits. Fails with MX_ERR_ARGUMENT on a token beyond the vocabulary,
 * MX_ERR_LIMIT where they don't fit, MX_ERR_INTERRUPTED when cancelled: the text then has what was fed. */
MX_API mx_status mx_seq_feed(struct mx_seq *seq, const int32_t *tokens, size_t n, bool decoded, struct mx_error *err);

/* [vocabulary], of the token that follows the text; NULL where the text is empty or was cut, loaded or cancelled since.
 * They may be changed (a bias, a mask) before mx_seq_sample; valid until the sequence changes. */
MX_API float *mx_seq_logits(struct mx_seq *seq);

/* Chooses a token from the logits, which are used up by it. The seed counts from the first call with these settings.
 * Feed the token to go on. MX_ERR_ARGUMENT where there are no logits or the settings are out of range. */
MX_API mx_status mx_seq_sample(struct mx_seq *seq, const struct mx_sampling *sampling, int32_t *token,
                               struct mx_error *err);

/* Appends n >= 1 tokens as mx_seq_feed does, and gives for each the natural logarithm of the probability that the model
 * gave it in advance, scores[n]; 0 for the first token of a text, and for the first one fed where there are no logits,
 * since nothing predicted it. */
MX_API mx_status mx_seq_score(struct mx_seq *seq, const int32_t *tokens, size_t n, double *scores,
                              struct mx_error *err);

#ifdef __cplusplus
}
#endif
#endif
