/* What the functions that fill a description share while they work. Private to src/config/.
 *
 * Order (arch.c): the model's sizes, then its layers' kinds (layers.c), recurrent states (recurrent.c), experts
 * (experts.c), positions (rope.c), then the family's own function, then checks and the class.
 */
#ifndef MX_CONFIG_BUILD_H
#define MX_CONFIG_BUILD_H

#include "config/arch.h"
#include "config/families.h"
#include "config/fields.h"

struct mx_build {
    struct mx_config *config;
    struct mx_arch *arch;
    const struct mx_family *family; /* the generic row for unknown types */
    uint32_t heads, kv_heads, head_dim, v_dim;
    struct mx_latent latent; /* kv_rank 0: attention is not latent */
    uint32_t intermediate;   /* of dense layers; 0 if the config does not say */
    uint32_t window;         /* 0: none */
    bool parts_apart;        /* a layer is a mixer or a feed-forward part, not both (Nemotron-H) */
};

/* layers.c: the kind of every layer, from the lists and patterns of the config. */
void mx_build_layers(struct mx_build *build);
/* Turns a layer into attention of this kind with the model's head sizes. */
void mx_layer_attend(const struct mx_build *build, struct mx_layer *layer, enum mx_attention_kind attention);
/* The window of a model: the field, the class default, or 0 where either says that there is none. */
uint32_t mx_build_window(struct mx_build *build);

/* That of a layer in per_layer_config, or the model's. */
uint32_t mx_layer_own(const struct mx_build *build, const char *field, uint32_t layer, uint32_t all);

/* arch.c: tells, once, of something that was read and not understood, which the figures may depend on. */
void mx_build_tell(struct mx_build *build, const char *path);

/* One block shape for all layers. */
void mx_build_block(struct mx_build *build, enum mx_block_shape block);

/* recurrent.c: makes a layer recurrent, of this kind. */
void mx_layer_recur(struct mx_build *build, struct mx_layer *layer, enum mx_recurrence_kind kind);
/* The kind of recurrence that the fields speak of; NONE if they speak of none. */
enum mx_recurrence_kind mx_build_recurrence(const struct mx_build *build);

/* experts.c: which layers have experts, how many, how wide. */
void mx_build_experts(struct mx_build *build);

/* arch.c: a token that the model never writes. */
void mx_build_mute(struct mx_build *build, const cJSON *token);

/* rope.c */
void mx_build_rope(struct mx_build *build);
/* Reads one set of parameters: `prefix` is a path of the config ("rope_parameters.full_attention"), `dims` the
 * numbers per head of which a part is rotated. */
void mx_rope_read(struct mx_build *build, struct mx_rope *rope, const char *prefix, uint32_t dims, double theta);

#endif
