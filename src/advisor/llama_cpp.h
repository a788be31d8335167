/* What llama.cpp's own KV cache takes for a model in a .gguf: that is what its user can run. Its cache types in place
 * of our modes, by the width of K and V; its rules, as of late 2025: a full layer holds the context, a windowed one the
 * window and a batch, each in steps of 256 tokens; a latent layer holds one run of latent and rotary part, in K's type;
 * blocks of 32 numbers share a 16-bit scale, so a head dimension must be a multiple of 32.
 */
#ifndef MX_ADVISOR_LLAMA_CPP_H
#define MX_ADVISOR_LLAMA_CPP_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/mode.h"
#include "config/arch.h"

struct mx_llama_cpp_cache {
    const char *type_k, *type_v; /* what -ctk and -ctv take; static */
    enum mx_mode like;           /* the mode of ours whose widths come nearest */
    bool possible;               /* false: a head dimension is no multiple of 32 */
    uint64_t bytes;              /* of one sequence at the context */
    uint64_t bytes_per_token;    /* that one more token adds once the windows are full */
};

enum { MX_LLAMA_CPP_CACHES = 5 };

void mx_llama_cpp_caches(struct mx_llama_cpp_cache caches[MX_LLAMA_CPP_CACHES], const struct mx_arch *arch,
                         uint64_t context);

#endif
