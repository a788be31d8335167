/* The functions that finish the description of types whose config is unusual. Each is named by a row of the table
 * (families.c) and runs after everything that fields alone say has been filled. Private to src/config/.
 */
#ifndef MX_CONFIG_FILLS_H
#define MX_CONFIG_FILLS_H

#include "config/build.h"

/* classic.c: learned positions, fused biases, the older GPTs */
void mx_fill_biogpt(struct mx_build *build);
void mx_fill_bloom(struct mx_build *build);
void mx_fill_chatglm(struct mx_build *build);
void mx_fill_falcon(struct mx_build *build);
void mx_fill_gpt_neo(struct mx_build *build);
void mx_fill_nanochat(struct mx_build *build);
void mx_fill_gpt2(struct mx_build *build);
void mx_fill_gpt_bigcode(struct mx_build *build);
void mx_fill_gpt_neox(struct mx_build *build);
void mx_fill_gpt_neox_japanese(struct mx_build *build);
void mx_fill_mpt(struct mx_build *build);
void mx_fill_olmo(struct mx_build *build);
void mx_fill_opt(struct mx_build *build);
void mx_fill_persimmon(struct mx_build *build);
void mx_fill_qwen(struct mx_build *build);
void mx_fill_baichuan(struct mx_build *build);
void mx_fill_ctrl(struct mx_build *build);
void mx_fill_internlm3(struct mx_build *build);
void mx_fill_stablelm(struct mx_build *build);
void mx_fill_xglm(struct mx_build *build);

/* gemma.c */
void mx_fill_gemma(struct mx_build *build);
void mx_fill_gemma3(struct mx_build *build);
void mx_fill_gemma3n(struct mx_build *build);
void mx_fill_gemma4(struct mx_build *build);
void mx_fill_gemma4_unified(struct mx_build *build);

/* latent.c: multi-head latent attention */
void mx_fill_axk1(struct mx_build *build);
void mx_fill_deepseek_v4(struct mx_build *build);
void mx_fill_kimi_linear(struct mx_build *build);
void mx_fill_longcat(struct mx_build *build);
void mx_fill_minicpm(struct mx_build *build);
void mx_fill_minicpm3(struct mx_build *build);
void mx_fill_mistral4(struct mx_build *build);
void mx_fill_sparse_indexer(struct mx_build *build);
void mx_fill_glm_sparse(struct mx_build *build);

/* hybrid.c: attention beside recurrence, and pure recurrence */
void mx_fill_falcon_h1(struct mx_build *build);
void mx_fill_granite_hybrid(struct mx_build *build);
void mx_fill_hymba(struct mx_build *build);
void mx_fill_falcon_mamba(struct mx_build *build);
void mx_fill_hunyuan(struct mx_build *build);
void mx_fill_ministral3(struct mx_build *build);
void mx_fill_jamba(struct mx_build *build);
void mx_fill_linear(struct mx_build *build);
void mx_fill_lfm2(struct mx_build *build);
void mx_fill_olmo_hybrid(struct mx_build *build);
void mx_fill_minimax(struct mx_build *build);
void mx_fill_nemotron_h(struct mx_build *build);
void mx_fill_recurrent_gemma(struct mx_build *build);
void mx_fill_rwkv(struct mx_build *build);
void mx_fill_xlstm(struct mx_build *build);
void mx_fill_zamba(struct mx_build *build);
void mx_fill_zamba2(struct mx_build *build);
void mx_fill_zaya(struct mx_build *build);

/* layered.c: layers that differ in sizes, and other families with a twist */
void mx_fill_afmoe(struct mx_build *build);
void mx_fill_bailing(struct mx_build *build);
void mx_fill_bitnet(struct mx_build *build);
void mx_fill_cohere(struct mx_build *build);
void mx_fill_cohere2_moe(struct mx_build *build);
void mx_fill_decilm(struct mx_build *build);
void mx_fill_diffllama(struct mx_build *build);
void mx_fill_doge(struct mx_build *build);
void mx_fill_ernie(struct mx_build *build);
void mx_fill_ernie_vl(struct mx_build *build);
void mx_fill_granite(struct mx_build *build);
void mx_fill_granite_swa(struct mx_build *build);
void mx_fill_hrm(struct mx_build *build);
void mx_fill_hyperclovax(struct mx_build *build);
void mx_fill_jetmoe(struct mx_build *build);
void mx_fill_laguna(struct mx_build *build);
void mx_fill_llama4(struct mx_build *build);
void mx_fill_mimo(struct mx_build *build);
void mx_fill_minimax_m3(struct mx_build *build);
void mx_fill_mllama(struct mx_build *build);
void mx_fill_modernbert(struct mx_build *build);
void mx_fill_openelm(struct mx_build *build);
void mx_fill_phimoe(struct mx_build *build);
void mx_fill_molmo(struct mx_build *build);
void mx_fill_chameleon(struct mx_build *build);
void mx_fill_phi3small(struct mx_build *build);
void mx_fill_step(struct mx_build *build);
void mx_fill_seed_oss(struct mx_build *build);
void mx_fill_smollm3(struct mx_build *build);
void mx_fill_solar_open(struct mx_build *build);

#endif
