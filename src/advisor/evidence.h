/* Evidence: what was measured about KV-cache modes, and which models it speaks for. It is read from records, in
 * evidence files (docs/evidence-format.md) and in the store of this machine's own measurements. A file that can't be
 * read in whole is named, and left out in whole.
 */
#ifndef MX_ADVISOR_EVIDENCE_H
#define MX_ADVISOR_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/mode.h"
#include "config/arch.h"
#include "records/grade.h"
#include "records/record.h"

/* A figure that was not measured. */
#define MX_NOT_MEASURED (-1.0)

/* One mode, or one plan, at one context, for one sequence at a time; of one text where it has quality. Figures are
 * MX_NOT_MEASURED where the cell lacks them. */
struct mx_evidence_cell {
    enum mx_mode mode;          /* MX_MODE_COUNT: a plan */
    struct mx_record_plan plan; /* with the protections that ran */
    char text[17];
    uint64_t context;
    double decode_ratio; /* decode speed over fp16's in the same run */
    double bytes_per_token;
    double kl;                        /* mean KL divergence from the fp16 cache, nats */
    double top1;                      /* share of positions with the same first choice, 0 to 1 */
    double perplexity_change;         /* relative: 0.01 is one per cent; may be negative; only with `kl` */
    double retrieval, retrieval_fp16; /* shares of hidden keys that are found */
    uint32_t prompts;                 /* that these are of */
    enum mx_grade grade;              /* MX_GRADE_NONE where quality was not measured */
};

/* What one source says of one model on one machine, by one version of the program. */
struct mx_evidence {
    char file[64]; /* the file's name; "your own" of the store */
    struct mx_record_model model;
    char machine[96], machine_fingerprint[17], version[24], date[11]; /* the newest date */
    struct mx_evidence_cell *cells;
    size_t cell_count, cell_capacity;
};

enum { MX_EVIDENCE_IGNORED = 8 }; /* reasons that are kept; more files may be ignored */

struct mx_evidence_set {
    struct mx_evidence *items;
    size_t count, capacity;
    char ignored[MX_EVIDENCE_IGNORED][256]; /* one line each: which file, why */
    size_t ignored_count;                   /* of all files that were ignored */
};

/* Adds the records of every *.json of a folder, sorted by name; of one evidence file; or of a store (a SQLite
 * database). A path that leads nowhere is MX_ERR_IO; a file that is damaged, of another version or no evidence at all
 * is ignored and noted in the set. The set starts zeroed, and is to be closed after a failure too. */
mx_status mx_evidence_add(struct mx_evidence_set *set, const char *path, struct mx_error *err);
/* Adds what came with this build (shipped.h). */
mx_status mx_evidence_add_shipped(struct mx_evidence_set *set, struct mx_error *err);
/* Adds the records of one file's text, or fails: `name` starts every message. */
mx_status mx_evidence_parse(struct mx_evidence_set *set, const char *text, size_t length, const char *name,
                            struct mx_error *err);
void mx_evidence_close(struct mx_evidence_set *set); /* fine on a zeroed one */

/* How near a measured model is to one that advice is wanted for. */
enum mx_kin {
    MX_KIN_NONE,
    MX_KIN_LIKE,   /* another family whose attention is alike: head dimension, query and key norms, biases, kind */
    MX_KIN_FAMILY, /* its model type, and all of that */
    MX_KIN_SELF,   /* of its name and number of parameters too */
};
enum mx_kin mx_evidence_kin(const struct mx_evidence *evidence, const struct mx_arch *arch, const char *name,
                            uint64_t parameters);

#endif
