/* What advice is asked about: a model's description and what is known of its weights. Opened from wherever models lie
 * (checkpoint/place.h), in milliseconds; of the weights only headers are read.
 */
#ifndef MX_ADVISOR_SUBJECT_H
#define MX_ADVISOR_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/place.h"
#include "config/arch.h"

/* How far the size of the weights can be trusted. */
enum mx_basis {
    MX_BASIS_EXACT,     /* from the headers of the weight files, or the index's own sum */
    MX_BASIS_ESTIMATED, /* from the config: every tensor times the bytes that its dtype or scheme takes */
    MX_BASIS_UNKNOWN,   /* the config does not describe enough to count, or its scheme has no width that is known */
};
const char *mx_basis_name(enum mx_basis basis); /* "exact", "estimated", "unknown" */

enum { MX_MAX_NOTES = 6, MX_NOTE_SIZE = 320 };

struct mx_subject {
    const char *path; /* as given; borrowed */
    struct mx_place place;
    char name[128]; /* for tables */
    struct mx_arch arch;
    struct mx_parameters parameters; /* of the text model, from the description */

    enum mx_basis basis;
    bool weights_here;      /* the files lie in the folder, and the engine may try them */
    uint64_t weights;       /* bytes; 0 if unknown */
    char weights_from[160]; /* "headers of 4 files", "config: 7.62 B parameters in bfloat16", ... */
    uint64_t count;         /* parameters in the weights: of the checkpoint if it is there, else of the description */
    double parameter_bytes; /* average over the weights */
    enum mx_quant_kind quant_kind; /* how the weights are stored now */
    struct mx_quant quant;         /* if quant_kind is not MX_QUANT_NONE; bits 0: not known */
    char quant_method[64];         /* of a foreign scheme */
    bool foreign;                  /* the scheme is one that the engine doesn't run */
    char dtype[16];                /* of what is not packed: "bfloat16", "float16", "float32", ...; "" unknown */
    bool strange;                  /* some tensors have a dtype that is not known */
    bool gguf;                     /* from a .gguf: `llama_cpp` tells what its own program needs */

    char notes[MX_MAX_NOTES][MX_NOTE_SIZE]; /* what a reader should know: one sentence each */
    int note_count;
};

/* `path` must outlive the subject. After a failure the subject needs no closing. */
mx_status mx_subject_open(struct mx_subject *subject, const char *path, struct mx_error *err);
void mx_subject_close(struct mx_subject *subject);

/* Adds a note; one too many is dropped. */
void mx_subject_note(struct mx_subject *subject, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes that one parameter takes when MLX quantizes it: codes, and a scale and an offset of 16 bits for each group. */
double mx_quant_parameter_bytes(const struct mx_quant *quant);

/* "4 bits, groups of 64", "bfloat16", "fp8 (another program's scheme)" into buffer[96]; returns buffer. */
const char *mx_subject_storage(const struct mx_subject *subject, char buffer[96]);
/* About how many bits a weight takes by such a text, its first number; 0 where it tells none. */
unsigned mx_storage_bits(const char *storage);

#endif
