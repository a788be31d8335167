/* What the published schemes are called, and where each keeps its figures. */
#include "checkpoint/scheme_table.h"

#include <ctype.h>
#include <string.h>

/* ---- words for widths ---- */

/* A part of a name in lower-case letters and digits, the most telling first. */
static const struct word {
    const char *word;
    struct mx_width width;
} words[] = {
    {"noquant", {0}},
    {"unquantized", {0}},
    {"fp8pb", {8, 128, 128, 4}},
    {"fp8block", {8, 128, 128, 4}},
    {"nvfp4", {4, 16, 1, 1}},
    {"nvfp", {-1, 16, 1, 1}},
    {"mxfp4", {4, 32, 1, 1}},
    {"mxfp6", {6, 32, 1, 1}},
    {"mxfp8", {8, 32, 1, 1}},
    {"mxfp", {-1, 32, 1, 1}}, /* the elements are told apart */
    {"mxint8", {8, 32, 1, 1}},
    {"mx6", {6, 0, 1, 0}},
    {"mx9", {9, 0, 1, 0}},
    {"w4a", {4, 128, 1, 2}},
    {"int4awq", {4, 128, 1, 2}},
    {"w8a", {8, 0, 1, 4}},
    {"int4weight", {4, 128, 1, 4}}, /* before "int8": int8 activations with int4 weights */
    {"int8weight", {8, 0, 1, 4}},
    {"uint1", {1, 64, 1, 4}},
    {"uint2", {2, 64, 1, 4}},
    {"uint3", {3, 64, 1, 4}},
    {"uint4", {4, 64, 1, 4}},
    {"uint5", {5, 64, 1, 4}},
    {"uint6", {6, 64, 1, 4}},
    {"uint7", {7, 64, 1, 4}},
    {"uint8", {8, 64, 1, 4}},
    {"int1", {1, 32, 1, 4}},
    {"int2", {2, 32, 1, 4}},
    {"int3", {3, 32, 1, 4}},
    {"int4", {4, 128, 1, 4}},
    {"int5", {5, 32, 1, 4}},
    {"int6", {6, 32, 1, 4}},
    {"int7", {7, 32, 1, 4}},
    {"int8", {8, 0, 1, 4}},
    {"fp4", {4, 32, 1, 1}},
    {"float4", {4, 32, 1, 1}},
    {"fp6", {6, 0, 1, 2}},
    {"fp8", {8, 0, 1, 4}},
    {"float8", {8, 0, 1, 4}},
    {"e4m3", {8, 0, 1, 4}},
    {"e5m2", {8, 0, 1, 4}},
    {"e2m1", {4, 32, 1, 1}},
    {"floatquantized", {8, 0, 1, 4}},
    {"intquantized", {8, 0, 1, 4}},
    {"naivequantized", {8, 0, 1, 4}},
};

bool mx_width_of_word(const char *text, struct mx_width *width)
{
    char plain[128];
    size_t length = 0;
    for (; *text && length < sizeof plain - 1; text++)
        if (isalnum((unsigned char)*text)) plain[length++] = (char)tolower((unsigned char)*text);
    plain[length] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strstr(plain, words[i].word)) continue;
        *width = words[i].width;
        return true;
    }
    return false;
}

/* ---- methods ---- */

static const struct mx_scheme_row rows[] = {
    {.method = "auto-round",
     .bits = "bits",
     .group = "group_size",
     .usual_group = 128,
     .scale_bytes = 2,
     .zeros = true,
     .ignore = "modules_to_not_convert"},
    {.method = "awq",
     .bits = "bits|w_bit",
     .group = "group_size|q_group_size",
     .usual_group = 128,
     .scale_bytes = 2,
     .zeros = true,
     .ignore = "modules_to_not_convert"},
    {.method = "bitnet",
     .bits = "",
     .usual_bits = 2,
     .group = "",
     .usual_group = 128, /* of the codes that they become */
     .scale_bytes = 4,
     .ignore = "modules_to_not_convert"},
    {.method = "eetq", .bits = "", .usual_bits = 8, .group = "", .scale_bytes = 2, .ignore = "modules_to_not_convert"},
    {.method = "exl2", .bits = "bits", .group = "", .head = "head_bits"},
    {.method = "exl3", .bits = "bits", .group = "", .head = "head_bits"},
    {.method = "experts_int8", .scope = MX_SCOPE_EXPERTS, .bits = "", .usual_bits = 8, .group = "", .scale_bytes = 4},
    {.method = "fbgemm_fp8",
     .bits = "",
     .usual_bits = 8,
     .group = "",
     .scale_bytes = 4,
     .ignore = "modules_to_not_convert"},
    {.method = "fp8",
     .bits = "",
     .usual_bits = 8,
     .group = "weight_block_size",
     .scale_bytes = 4,
     .ignore = "modules_to_not_convert|ignored_layers|ignore"},
    {.method = "fp_quant", .bits = "", .word = "forward_dtype", .group = "", .ignore = "modules_to_not_convert"},
    {.method = "gptq",
     .bits = "bits",
     .group = "group_size",
     .usual_group = 128,
     .scale_bytes = 2,
     .zeros = true,
     .ignore = "modules_to_not_convert"},
    {.method = "higgs",
     .bits = "bits",
     .group = "group_size",
     .usual_group = 256,
     .scale_bytes = 2,
     .ignore = "modules_to_not_convert"},
    {.method = "hqq",
     .bits = "quant_config.weight_quant_params.nbits|weight_quant_params.nbits|nbits|weight_bits|bits",
     .group = "quant_config.weight_quant_params.group_size|weight_quant_params.group_size|group_size",
     .usual_group = 64,
     .scale_bytes = 4,
     .ignore = "skip_modules|modules_to_not_convert"},
    {.method = "mxfp4",
     .scope = MX_SCOPE_EXPERTS,
     .bits = "",
     .usual_bits = 4,
     .group = "",
     .usual_group = 32,
     .scale_bytes = 1,
     .ignore = "modules_to_not_convert"},
    {.method = "quanto", .bits = "", .word = "weights", .group = "", .ignore = "modules_to_not_convert"},
    {.method = "sinq",
     .bits = "nbits|bits",
     .group = "group_size",
     .usual_group = 64,
     .scale_bytes = 4,
     .ignore = "modules_to_not_convert"},
    {.method = "spqr", .bits = "bits", .group = "", .scale_bytes = 2, .ignore = "modules_to_not_convert"},
};
/* What no row names: a number of bits counts where one is said, or a word in the method's own name ("w8a8_int8"). */
static const struct mx_scheme_row any = {.bits = "bits|num_bits|w_bit|wbits|nbits|weight_bits",
                                         .word = "weights|weight_dtype|quant_method",
                                         .group = "group_size",
                                         .usual_group = 128,
                                         .scale_bytes = 2,
                                         .ignore = "modules_to_not_convert|ignore|exclude|ignored_layers"};

/* Other names of the same. */
static const struct {
    const char *name, *method;
} synonyms[] = {
    {"auto-gptq", "gptq"},
    {"auto_round", "auto-round"},
    {"autoround", "auto-round"},
    {"gptq_marlin", "gptq"},
    {"gptqmodel", "gptq"},
    {"inc", "auto-round"},
    {"intel/auto-round", "auto-round"},
    {"awq_marlin", "awq"},
    {"autoawq", "awq"},
    {"fbgemm", "fbgemm_fp8"},
    {"finegrained_fp8", "fp8"},
    {"gpt-oss-mxfp4", "mxfp4"},
    {"bnb", "bitsandbytes"},
};

const struct mx_scheme_row *mx_scheme_row_find(const char *method)
{
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcmp(method, synonyms[i].name)) method = synonyms[i].method;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(method, rows[i].method)) return &rows[i];
    return &any;
}
