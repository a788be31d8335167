#!/usr/bin/env bash
# Attention on a latent: alone, beside the bandwidth and what the multiply-adds allow; in a model of DeepSeek-V2-Lite's
# shape (9 of its 27 layers, random weights at 4 bits), mode beside mode; and with an indexer that chooses 2048 tokens,
# beside the same model without one.
# Writes bench/results/latent.txt.
# usage: bench/latent.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/release
models=build/models
mkdir -p bench/results "$models"
[ -d "$models/deepseek-v2-lite-q4" ] || "$build/tools/make-checkpoint" deepseek-v2-lite -o "$models/deepseek-v2-lite-q4"
for type in deepseek_v3 deepseek_v32; do
    [ -d "$models/$type-q4" ] && continue
    cat > "$models/$type.json" <<JSON
{"model_type": "$type", "num_hidden_layers": 2, "hidden_size": 2048, "num_attention_heads": 32, "kv_lora_rank": 512,
 "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 4096,
 "first_k_dense_replace": 2, "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 1024,
 "n_group": 1, "topk_group": 1, "vocab_size": 32768, "max_position_embeddings": 163840, "rms_norm_eps": 1e-06,
 "index_n_heads": 16, "index_head_dim": 128, "index_topk": 2048, "tie_word_embeddings": true}
JSON
    "$build/tools/make-checkpoint" "$models/$type.json" -o "$models/$type-q4"
done
show() { # TITLE COMMAND...
    printf '\n%s: mlxcel %s\n' "$1" "${*:2}"
    "$build/mlxcel" "${@:2}"
}
{
    echo "# bench/latent.sh"
    echo "# $(sed -n 's/^model name[^:]*: //p;T;q' /proc/cpuinfo), $(nproc) cpus, $(date +%F), $("$build/mlxcel" --version), load $(cut -d' ' -f1 /proc/loadavg)"
    printf '\nattention alone, the heads of DeepSeek-V2-Lite and of V3: bench_latent 15\n'
    "$build/bench/bench_latent" 15
    show "DeepSeek-V2-Lite, 9 of 27 layers" bench -m "$models/deepseek-v2-lite-q4" --depth 0,4096,32768 --fill random \
        --modes fp16,int8,turbo4 --force-kv-mode --prefill 0 --decode 4 --repeat 15
    for type in deepseek_v3 deepseek_v32; do
        show "2 layers of 32 heads, $type" bench -m "$models/$type-q4" --depth 2048,8192,32768,131072 --fill random \
            --modes fp16 --prefill 0 --decode 4 --repeat 9
    done
} 2>/dev/null | tee bench/results/latent.txt
