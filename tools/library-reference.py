#!/usr/bin/env python3
"""Tiny random models of the transformers library, and what it computes with them: goldens for tests/data/families.

    library-reference.py FOLDER [NAME...]     FOLDER/NAME/{config.json,model.safetensors,reference.json,logits.f32}

Needs torch and transformers (5.17). Weights are bf16, arithmetic is f32, attention is the plain one. BitNet's logits are
those of inputs that are not rounded to 8 bits; reference.json says how far the library's, which are, are from them, and how
far a cache in fp16 alone moves the library's.
"""
import json, os, sys, traceback

os.environ['TORCHDYNAMO_DISABLE'] = '1'
import torch
import transformers
from safetensors.torch import save_file
from transformers.integrations import bitnet as ternary

TOKENS, GREEDY, VOCAB = 48, 16, 128
SIZES = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             dtype='bfloat16')
TEXT = torch.randint(3, 89, (TOKENS,), generator=torch.Generator().manual_seed(7)).tolist()
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


def gpt_neox_japanese():
    sizes = {name: size for name, size in SIZES.items() if name not in ('intermediate_size', 'num_key_value_heads')}
    config = transformers.GPTNeoXJapaneseConfig(
        **sizes, intermediate_multiple_size=2, attention_dropout=0.0,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0})
    return transformers.GPTNeoXJapaneseForCausalLM, config


def ernie_vl():
    module = transformers.models.ernie4_5_vl_moe
    text = module.configuration_ernie4_5_vl_moe.Ernie4_5_VLMoeTextConfig(
        **{**SIZES, 'num_hidden_layers': 3}, moe_intermediate_size=[16, 8], moe_k=2, moe_num_experts=8,
        moe_num_shared_experts=2, tie_word_embeddings=True,
        rope_parameters={'rope_type': 'default', 'rope_theta': 500000.0, 'mrope_section': [1, 1, 2]})
    vision = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, patch_size=14)
    config = module.configuration_ernie4_5_vl_moe.Ernie4_5_VLMoeConfig(
        text_config=text.to_dict(), vision_config=vision, tie_word_embeddings=True, image_start_token_id=90,
        image_end_token_id=91, image_token_id=92, video_start_token_id=93, video_end_token_id=94, video_token_id=95)
    return module.modeling_ernie4_5_vl_moe.Ernie4_5_VLMoeForConditionalGeneration, config


class BitNet(transformers.BitNetForCausalLM):
    """Linear layers of one of the library's two classes, or weights that it makes ternary as it runs."""

    def make_ternary(self):
        how = transformers.BitNetQuantConfig(**self.config.quantization_config)
        weights = {n: m.weight.data for n, m in self.named_modules() if isinstance(m, torch.nn.Linear) and n != 'lm_head'}
        ternary.replace_with_bitnet_linear(self, ['lm_head'], how)
        self.stored = {n: t.to(torch.bfloat16) for n, t in self.state_dict().items()
                       if n != 'lm_head.weight' and n.rsplit('.', 1)[0] not in weights}
        for name, weight in weights.items():
            module = self.get_submodule(name).to_empty(device='cpu')
            if how.quantization_mode == 'online':
                module.weight.data = weight
                self.stored[name + '.weight'] = weight.to(torch.bfloat16)
                continue
            size = weight.abs().mean()
            codes = (weight / size).round().clamp(-1, 1)
            packed = ternary.pack_weights(codes.clone())
            scale = (size if how.linear_class == 'autobitlinear' else 1 / size).to(torch.bfloat16).reshape(1)
            module.weight_scale.data, module.dtype = scale.float(), torch.float32
            module.weight.data = codes if how.linear_class == 'autobitlinear' else packed
            self.stored.update({name + '.weight': packed, name + '.weight_scale': scale})

    def whole_inputs(self):
        """Leaves inputs as they are."""
        plain = ternary.ActQuant, ternary.BitLinear.activation_quant

        def undo():
            ternary.ActQuant, ternary.BitLinear.activation_quant = plain
        ternary.ActQuant = type('ActQuant', (), {'apply': staticmethod(lambda x: x)})
        ternary.BitLinear.activation_quant = lambda own, x: (x, torch.ones(1))
        return undo

    def save_pretrained(self, path):
        os.makedirs(path, exist_ok=True)
        save_file({n: t.contiguous() for n, t in self.stored.items()}, path + '/model.safetensors')
        with open(path + '/config.json', 'w') as file:
            json.dump({**self.config.to_diff_dict(), 'quantization_config': self.config.quantization_config}, file, indent=1)


def bitnet(linear_class, mode, layers=1):
    config = transformers.BitNetConfig(
        **{**SIZES, 'hidden_size': 64, 'intermediate_size': 96, 'num_hidden_layers': layers}, tie_word_embeddings=True,
        rope_parameters={'rope_type': 'default', 'rope_theta': 10000.0})
    config.quantization_config = {'quant_method': 'bitnet', 'linear_class': linear_class, 'quantization_mode': mode,
                                  'modules_to_not_convert': None}
    config.architectures = ['BitNetForCausalLM']
    return BitNet, config


MODELS = {
    'bitnet_packed': (lambda: bitnet('autobitlinear', 'offline', 2), 'four ternary weights to a byte, times weight_scale'),
    'bitnet_divided': (lambda: bitnet('bitlinear', 'offline'), 'four ternary weights to a byte, divided by weight_scale'),
    'bitnet_online': (lambda: bitnet('autobitlinear', 'online'), 'weights that are made ternary as they are read'),
    'gpt_neox_japanese': (gpt_neox_japanese, 'a bias behind the last layer\'s attention alone'),
    'ernie4_5_vl_moe': (ernie_vl, 'experts for images beside those for text'),
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


def rounded_inputs(model, logits):
    """How far rounding inputs to 8 bits moves the logits, and then keys and values as a cache in fp16 holds them."""
    def moved(a, b):
        return round(float((a - b).norm() / b.norm()), 5)
    module = transformers.models.bitnet.modeling_bitnet
    plain, rounded = module.eager_attention_forward, compute(model, TEXT)[0]
    module.eager_attention_forward = lambda own, q, k, v, *rest, **more: plain(
        own, q, k.half().float(), v.half().float(), *rest, **more)
    cached = compute(model, TEXT)[0]
    module.eager_attention_forward = plain
    return {'inputs_in_8_bits_move_logits_by': moved(rounded, logits),
            'a_cache_in_fp16_moves_these_by': moved(cached, rounded)}


def make(folder, name):
    build, note = MODELS[name]
    tokens = TEXT
    for seed in range(40):
        kind, config = build()
        config._attn_implementation = 'eager'
        model = kind(config).float().eval()
        randomize(model, seed)
        if hasattr(model, 'make_ternary'):
            model.make_ternary()
        restore = model.whole_inputs() if hasattr(model, 'whole_inputs') else lambda: None
        logits, greedy, margin = compute(model, tokens)
        restore()
        if margin > 0.02:
            break
    path = os.path.join(folder, name)
    more = rounded_inputs(model, logits) if hasattr(model, 'make_ternary') else {}
    model.to(torch.bfloat16).save_pretrained(path)
    os.path.exists(path + '/generation_config.json') and os.remove(path + '/generation_config.json')
    logits.contiguous().numpy().astype('<f4').tofile(path + '/logits.f32')
    with open(path + '/reference.json', 'w') as file:
        file.write(json.dumps({'transformers': transformers.__version__, 'torch': torch.__version__.split('+')[0],
                               'model_type': name, 'tool': 'tools/library-reference.py ' + name, 'tokens': tokens,
                               'greedy': greedy, 'greedy_min_margin': round(margin, 5), 'vocab': logits.shape[-1],
                               'logits': 'logits.f32', 'note': note, **more}))
    print(name, more, 'seed', seed, 'margin', margin, 'logits', tuple(logits.shape), float(logits.abs().max()))


for name in sys.argv[2:] or MODELS:
    try:
        make(sys.argv[1], name)
    except Exception:
        traceback.print_exc()
