/* Where a model lies, in folders as people have them: a checkpoint's folder, its config.json alone, a root of the
 * Hugging Face cache (models--ORG--NAME), a .gguf file or a folder with one, weights published with params.json. And
 * what is said where there is none: an adapter names its base, a Hub id what would fetch it, an empty folder what was
 * looked for. Nothing is ever downloaded.
 */
#ifndef MX_CHECKPOINT_PLACE_H
#define MX_CHECKPOINT_PLACE_H

#include <stdbool.h>

#include "base/error.h"

enum mx_place_kind {
    MX_PLACE_CONFIG,   /* a config.json, of params.json the fields that it shares */
    MX_PLACE_GGUF,     /* one file, or the first of a split series */
    MX_PLACE_PIPELINE, /* a model_index.json: parts of an image or video model */
};

struct mx_place {
    enum mx_place_kind kind;
    char *file;     /* config.json, params.json, the .gguf, model_index.json */
    char *folder;   /* where weights would lie beside it; NULL where the file itself was given */
    char name[128]; /* for people: of the folder, of the Hub repository, or of the file; cleaned (base/clean.h) */
};

/* Fails with MX_ERR_IO or MX_ERR_FORMAT and one line that says what is there instead. After a failure nothing is to be
 * freed. */
mx_status mx_place_find(struct mx_place *place, const char *path, struct mx_error *err);
void mx_place_free(struct mx_place *place);

/* The folder to run or to tokenize with, for the caller to free: `path` itself where a config or a tokenizer lies in
 * it, of a cache root its snapshot. Fails as mx_place_find does, and for what is no folder of safetensors. */
mx_status mx_place_folder(char **folder, const char *path, struct mx_error *err);

/* True if the file begins like a git-lfs pointer; *bytes is then the size of what it stands for (0: it does not say).
 */
bool mx_is_lfs_pointer(const char *path, unsigned long long *bytes);

#endif
