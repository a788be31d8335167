/* Families whose layers, or whose vocabulary, are in part for images. */
#include <string.h>

#include "base/json.h"
#include "config/families/fills.h"

/* To a text alone the layer does nothing, and it keeps nothing of it. */
static void look_at_image(struct mx_layer *layer)
{
    layer->attention.kind = MX_ATTENTION_NONE;
    layer->attention.cache_copies = 0;
    layer->feed_forward.kind = MX_FEED_FORWARD_NONE;
    layer->cross = true;
}

/* Some layers attend to the image alone. The embedding has rows for what stands for one. */
void mx_fill_mllama(struct mx_build *build)
{
    static const uint32_t usual[] = {3, 8, 13, 18, 23, 28, 33, 38};
    struct mx_arch *arch = build->arch;
    const cJSON *list = mx_config_list(build->config, "cross_attention_layers"), *item;
    for (size_t i = 0; !list && i < sizeof usual / sizeof *usual; i++)
        if (usual[i] < arch->layer_count) look_at_image(&arch->layers[usual[i]]);
    cJSON_ArrayForEach (item, list) {
        look_at_image(
            &arch->layers[mx_config_item(build->config, item, "cross_attention_layers", 0, arch->layer_count - 1)]);
    }
    arch->image_rows = 8;
}

/* intermediate_size counts gate and up together; 128 more rows of the embedding are for the image's tokens. */
void mx_fill_molmo(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].feed_forward.width /= 2;
    mx_config_flag(build->config, "tie_word_embeddings|weight_tying", false);
    if (mx_config_flag(build->config, "attention_layer_norm", false)) arch->qk_norm = MX_QK_NORM_ALL;
    if (mx_config_flag(build->config, "norm_after", false)) mx_build_block(build, MX_BLOCK_POST);
}

/* Tokens of images, which only images stand for, are never written. The 34B has its norms behind each part. */
void mx_fill_chameleon(struct mx_build *build)
{
    const cJSON *map = mx_config_object(build->config, "vocabulary_map"), *token;
    static const char image[] = "IMGIMG";
    cJSON_ArrayForEach (token, map) {
        mx_config_mark(build->config, token);
        if (!strncmp(token->string, image, sizeof image - 1)) mx_build_mute(build, token);
    }
    if (mx_config_flag(build->config, "swin_norm", false)) mx_build_block(build, MX_BLOCK_POST);
}
