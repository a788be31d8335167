#!/usr/bin/env python3
"""Tiny random models of the transformers library, and what it computes with them: goldens for tests/data/families.

    library-reference.py FOLDER [NAME...]     FOLDER/NAME/{config.json,model.safetensors,reference.json,logits.f32}

Needs torch and transformers (5.17). Weights are bf16, arithmetic is f32, attention is the plain one.
"""
import json, os, sys, traceback

import torch
import transformers

TOKENS, GREEDY, VOCAB = 48, 16, 128
SIZES = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             dtype='bfloat16')
VQ = dict(embed_dim=8, num_embeddings=4, resolution=16, base_channels=32, channel_multiplier=[1], num_res_blocks=1,
          latent_channels=8, attn_resolutions=None)


def chameleon(**more):
    config = transformers.ChameleonConfig(**{**SIZES, 'num_key_value_heads': 4, 'tie_word_embeddings': False,
                                             'vq_config': VQ, **more},
                                          vocabulary_map={'<image>': 90, 'IMGIMGAZ': 91, 'IMGIMGBZ': 92, 'IMGIMGCZ': 95})
    return transformers.ChameleonForConditionalGeneration, config


def mllama():
    config = transformers.models.mllama.MllamaTextConfig(
        **{**SIZES, 'num_hidden_layers': 4}, cross_attention_layers=[1, 3], tie_word_embeddings=False,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0})
    return transformers.MllamaForCausalLM, config


def phi4_multimodal():
    small = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    factors = [1 + 0.25 * i for i in range(2)]
    config = transformers.Phi4MultimodalConfig(
        **{**SIZES, 'num_attention_heads': 4}, tie_word_embeddings=True, sliding_window=None,
        original_max_position_embeddings=128,
        rope_parameters={'rope_type': 'longrope', 'rope_theta': 10000.0, 'partial_rotary_factor': 0.5,
                         'short_factor': factors, 'long_factor': [2 * f for f in factors]},
        vision_config={**small, 'image_size': 28, 'crop_size': 28, 'patch_size': 14},
        audio_config={**small, 'num_blocks': 1, 'ext_pw_out_channel': 16, 'nemo_conv_channels': 16, 'input_size': 16})
    return transformers.Phi4MultimodalForCausalLM, config


def step3p5():
    text = transformers.models.step3p7.configuration_step3p7.Step3p7TextConfig(
        **{**SIZES, 'num_hidden_layers': 4, 'num_attention_heads': 4}, head_dim=8, sliding_window=16,
        layer_types=['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention'],
        mlp_layer_types=['dense', 'dense', 'sparse', 'sparse'], num_sliding_attention_heads=6,
        moe_intermediate_size=16, n_routed_experts=8, num_experts_per_tok=2, share_expert_dim=16,
        moe_router_scaling_factor=3.0, swiglu_limits=[0, 0, 0, 0.3], swiglu_limits_shared=[0, 0, 0, 0.4],
        rope_theta=[5e6, 1e4, 1e4, 5e6], partial_rotary_factors=[0.5, 1.0, 1.0, 0.5])
    vision = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14, mlp_ratio=1.0)
    config = transformers.models.step3p7.configuration_step3p7.Step3p7Config(text_config=text, vision_config=vision)
    return transformers.models.step3p7.modeling_step3p7.Step3p7ForConditionalGeneration, config


def minimax_m3():
    module = transformers.models.minimax_m3_vl
    text = module.configuration_minimax_m3_vl.MiniMaxM3VLTextConfig(
        **{**SIZES, 'num_hidden_layers': 3}, head_dim=16, layer_types=['full_attention'] + 2 * ['minimax_m3_sparse'],
        mlp_layer_types=['dense', 'sparse', 'sparse'], num_local_experts=8, num_experts_per_tok=2,
        dense_intermediate_size=40, index_n_heads=2, index_head_dim=16, index_block_size=4, index_topk_blocks=3,
        index_local_blocks=1, shared_intermediate_size=24, rotary_dim=8,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0, 'partial_rotary_factor': 0.5})
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
                  patch_size=14)
    config = module.configuration_minimax_m3_vl.MiniMaxM3VLConfig(text_config=text, vision_config=vision)
    return module.modeling_minimax_m3_vl.MiniMaxM3SparseForConditionalGeneration, config


MODELS = {
    'chameleon': (chameleon, 'norms per head on q and k, tokens of images are never written'),
    'chameleon_swin': (lambda: chameleon(swin_norm=True), 'norms behind attention and feed-forward (34B)'),
    'mllama_text_model': (mllama, 'layers that attend to an image are passed over'),
    'phi4_multimodal': (phi4_multimodal, 'longrope, half of each head rotated, tied; other towers beside it'),
    'step3p5': (step3p5, 'windows with more heads, gates per head, clamped experts'),
    'minimax_m3': (minimax_m3, 'blocks of keys chosen by an indexer'),
}


def randomize(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(list(model.named_parameters()) + [
                (n, b) for n, b in model.named_buffers() if n in model.state_dict() and b.is_floating_point()]):
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() > 1 and 'norm' not in name:
                tensor.copy_((noise * (1.0 if 'embed_tokens' in name else 1.1 / tensor.shape[-1] ** 0.5)))
            elif 'norm' in name and name.endswith('weight'):
                tensor.copy_(tensor + 0.2 * noise)
            else:
                tensor.copy_(0.2 * noise)
            tensor.copy_(tensor.to(torch.bfloat16).float())


def compute(model, tokens):
    with torch.no_grad():
        ids = torch.tensor([tokens])
        logits = model(input_ids=ids).logits[0].float()
        greedy, margin = [], 1e9
        for _ in range(GREEDY):
            last = model(input_ids=ids).logits[0, -1].float()
            top = last.topk(2)
            margin = min(margin, float(top.values[0] - top.values[1]))
            greedy.append(int(top.indices[0]))
            ids = torch.cat([ids, top.indices[:1].view(1, 1)], 1)
    return logits, greedy, margin


def make(folder, name):
    build, note = MODELS[name]
    tokens = torch.randint(3, 89, (TOKENS,), generator=torch.Generator().manual_seed(7)).tolist()
    for seed in range(40):
        kind, config = build()
        config._attn_implementation = 'eager'
        model = kind(config).float().eval()
        randomize(model, seed)
        logits, greedy, margin = compute(model, tokens)
        if margin > 0.02:
            break
    path = os.path.join(folder, name)
    model.to(torch.bfloat16).save_pretrained(path)
    os.path.exists(path + '/generation_config.json') and os.remove(path + '/generation_config.json')
    logits.contiguous().numpy().astype('<f4').tofile(path + '/logits.f32')
    with open(path + '/reference.json', 'w') as file:
        file.write(json.dumps({'transformers': transformers.__version__, 'torch': torch.__version__.split('+')[0],
                               'model_type': name, 'tool': 'tools/library-reference.py ' + name, 'tokens': tokens,
                               'greedy': greedy, 'greedy_min_margin': round(margin, 5), 'vocab': logits.shape[-1],
                               'logits': 'logits.f32', 'note': note}))
    print(name, 'seed', seed, 'margin', margin, 'logits', tuple(logits.shape), float(logits.abs().max()))


for name in sys.argv[2:] or MODELS:
    try:
        make(sys.argv[1], name)
    except Exception:
        traceback.print_exc()
