#!/usr/bin/env python3
"""Tiny random decoders in double precision, of families whose code no library has: what their goldens are.

    decoder-reference.py FAMILY FOLDER     writes config.json, model.safetensors (bf16), reference.json, logits.f32
    decoder-reference.py FAMILY --check    FOLDER is tests/data/families/FAMILY: says how far its logits are from these

Each family is what its publisher's modeling code computes for text, told by the functions below and by nothing of this
project's. FAMILY is one of those in the table at the end.
"""
import json, math, os, random, struct, sys

TOKENS, GREEDY, HIDDEN, LAYERS, HEADS, KV_HEADS, WIDTH, VOCAB = 48, 16, 32, 2, 4, 2, 48, 128
DIM = HIDDEN // HEADS


def bf16(x):
    bits = struct.unpack('<I', struct.pack('<f', x))[0]
    return struct.unpack('<f', struct.pack('<I', (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000))[0]


class Weights:
    """Random tensors by name, in the order in which they are asked for first."""

    def __init__(self, seed):
        self.random, self.of = random.Random(seed), {}

    def __call__(self, name, *shape, around=0.0, spread=None):
        if name not in self.of:
            spread = spread or (1.1 / math.sqrt(shape[-1]) if len(shape) > 1 else 0.2)
            count = math.prod(shape)
            self.of[name] = shape, [bf16(around + spread * self.random.gauss(0, 1)) for _ in range(count)]
        return self.of[name][1]

    def rows(self, name, rows, cols, **how):
        flat = self(name, rows, cols, **how)
        return [flat[i:i + cols] for i in range(0, len(flat), cols)]


# ---- arithmetic ----

def product(w, x, bias=None):
    out = [sum(a * b for a, b in zip(row, x)) for row in w]
    return [a + b for a, b in zip(out, bias)] if bias else out


def plus(x, y):
    return [a + b for a, b in zip(x, y)]


def rms(x, w, eps):
    factor = 1 / math.sqrt(sum(a * a for a in x) / len(x) + eps)
    return [a * factor * b for a, b in zip(x, w)]


def layer_norm(x, w, bias, eps):
    mean = sum(x) / len(x)
    factor = 1 / math.sqrt(sum((a - mean) ** 2 for a in x) / len(x) + eps)
    return [(a - mean) * factor * b + c for a, b, c in zip(x, w, bias)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def silu(x):
    return x * sigmoid(x)


def rotate(x, position, theta, dims=None, factors=None, scale=1.0):
    dims, out = dims or len(x), x[:]
    for i in range(dims // 2):
        angle = position * theta ** (-2 * i / dims) / (factors[i] if factors else 1)
        a, b = x[i], x[i + dims // 2]
        out[i] = (a * math.cos(angle) - b * math.sin(angle)) * scale
        out[i + dims // 2] = (b * math.cos(angle) + a * math.sin(angle)) * scale
    return out


def heads_of(x, dim=DIM):
    return [x[i:i + dim] for i in range(0, len(x), dim)]


def attend(q, keys, values, scale, sees=lambda head, key: True):
    """Queries of one token by head; keys[t] and values[t] by K/V head."""
    out, group = [], len(q) // len(keys[0])
    for h, query in enumerate(q):
        seen = [t for t in range(len(keys)) if sees(h, t)]
        scores = [scale * sum(a * b for a, b in zip(query, keys[t][h // group])) for t in seen]
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        total = sum(weights)
        out += [sum(w * values[t][h // group][i] for w, t in zip(weights, seen)) / total
                for i in range(len(values[0][0]))]
    return out


# ---- families: each gives its config and a function from (token, position, cache) to logits ----

BASE = {'hidden_size': HIDDEN, 'intermediate_size': WIDTH, 'num_hidden_layers': LAYERS, 'num_attention_heads': HEADS,
        'num_key_value_heads': KV_HEADS, 'vocab_size': VOCAB, 'max_position_embeddings': 256, 'rope_theta': 10000.0,
        'rms_norm_eps': 1e-5, 'hidden_act': 'silu', 'tie_word_embeddings': False, 'torch_dtype': 'bfloat16',
        'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 0}


def without(config, *names, **more):
    return {**{key: value for key, value in config.items() if key not in names}, **more}


def gated(gate, up, down, x):
    return product(down, [silu(a) * b for a, b in zip(product(gate, x), product(up, x))])


def llama_step(weights, fused, feed, head, eps=1e-5, kv_heads=KV_HEADS, theta=10000.0, o='self_attn.o_proj',
               embedding='model.embed_tokens', qk_norm=None, dims=None):
    """Norm, attention, norm, feed-forward; q, k and v in one matrix called `fused`."""
    def turn(at, which, heads, position):
        if qk_norm:
            heads = [rms(a, weights(at + qk_norm.format(which), DIM, around=1), eps) for a in heads]
        return [rotate(a, position, theta, dims) for a in heads]

    def step(token, position, cache):
        x = weights.rows(embedding + '.weight', VOCAB, HIDDEN, spread=1)[token]
        for i in range(LAYERS):
            at = f'model.layers.{i}.'
            h = rms(x, weights(at + 'input_layernorm.weight', HIDDEN, around=1), eps)
            qkv = heads_of(product(weights.rows(at + fused, (HEADS + 2 * kv_heads) * DIM, HIDDEN), h))
            cache[i][0].append(turn(at, 'key', qkv[HEADS:HEADS + kv_heads], position))
            cache[i][1].append(qkv[HEADS + kv_heads:])
            y = attend(turn(at, 'query', qkv[:HEADS], position), *cache[i], 1 / math.sqrt(DIM))
            x = plus(x, product(weights.rows(at + o + '.weight', HIDDEN, HIDDEN), y))
            h = rms(x, weights(at + 'post_attention_layernorm.weight', HIDDEN, around=1), eps)
            x = plus(x, feed(at, h))
        return head(rms(x, weights('model.norm.weight', HIDDEN, around=1), eps))
    return step


def mlp(weights, part='mlp', width=WIDTH):
    return lambda at, h: gated(weights.rows(f'{at}{part}.gate_proj.weight', width, HIDDEN),
                               weights.rows(f'{at}{part}.up_proj.weight', width, HIDDEN),
                               weights.rows(f'{at}{part}.down_proj.weight', HIDDEN, width), h)


def head_of(weights):
    return lambda h: product(weights.rows('lm_head.weight', VOCAB, HIDDEN), h)


def baichuan2(weights):
    """W_pack; the rows of the output matrix are normalized. The vocabulary tells the second generation."""
    def head(h):
        rows = weights.rows('lm_head.weight', VOCAB, HIDDEN)
        return [sum(a * b for a, b in zip(row, h)) / max(math.sqrt(sum(a * a for a in row)), 1e-12) for row in rows]
    config = without(BASE, 'num_key_value_heads', model_type='baichuan', architectures=['BaichuanForCausalLM'],
                     z_loss_weight=0)
    return config, llama_step(weights, 'self_attn.W_pack.weight', mlp(weights), head, kv_heads=HEADS)


EXPERTS, USED, EXPERT_WIDTH, SHARED = 8, 2, 16, 2


def ling(weights):
    """Experts chosen by softmax, shared ones beside them; the columns of the output matrix are normalized."""
    def feed(at, h):
        scores = product(weights.rows(at + 'mlp.gate.weight', EXPERTS, HIDDEN, spread=0.5), h)
        shares = [math.exp(s - max(scores)) for s in scores]
        best = sorted(range(EXPERTS), key=lambda e: -shares[e])[:USED]
        out = mlp(weights, 'mlp.shared_experts', SHARED * EXPERT_WIDTH)(at, h)
        for e in range(EXPERTS):  # all, so that a file holds each
            y = mlp(weights, f'mlp.experts.{e}', EXPERT_WIDTH)(at, h)
            if e in best:
                out = plus(out, [a * shares[e] / sum(shares[b] for b in best) for a in y])
        return out

    def head(h):
        rows = weights.rows('lm_head.weight', VOCAB, HIDDEN)
        lengths = [math.sqrt(sum(row[j] ** 2 for row in rows)) + 1e-7 for j in range(HIDDEN)]
        return product(rows, [a / b for a, b in zip(h, lengths)])
    config = {**BASE, 'model_type': 'bailing_moe', 'architectures': ['BailingMoeForCausalLM'], 'norm_head': True,
              'num_experts': EXPERTS, 'num_experts_per_tok': USED, 'num_shared_experts': SHARED,
              'moe_intermediate_size': EXPERT_WIDTH, 'norm_topk_prob': True, 'first_k_dense_replace': 0,
              'use_bias': False, 'use_qkv_bias': False, 'norm_softmax': False, 'multi_gate': False,
              'head_dim': DIM, 'rope_scaling': None}
    return config, llama_step(weights, 'attention.query_key_value.weight', feed, head, o='attention.dense',
                              embedding='model.word_embeddings')


def ling2(weights):
    """A dense layer, then experts chosen by sigmoid and a correction among the best groups; norms on queries and keys,
    of which half is rotated."""
    groups, groups_used, scale = 4, 2, 2.5

    def feed(at, h):
        if at == 'model.layers.0.':
            return mlp(weights)(at, h)
        shares = [sigmoid(s) for s in product(weights.rows(at + 'mlp.gate.weight', EXPERTS, HIDDEN), h)]
        ranks = plus(shares, weights(at + 'mlp.gate.expert_bias', EXPERTS, spread=0.1))
        size = EXPERTS // groups
        worth = [sum(sorted(ranks[g * size:(g + 1) * size])[-2:]) for g in range(groups)]
        chosen = sorted(range(groups), key=lambda g: -worth[g])[:groups_used]
        best = sorted((e for e in range(EXPERTS) if e // size in chosen), key=lambda e: -ranks[e])[:USED]
        out = mlp(weights, 'mlp.shared_experts', EXPERT_WIDTH)(at, h)
        for e in range(EXPERTS):
            y = mlp(weights, f'mlp.experts.{e}', EXPERT_WIDTH)(at, h)
            if e in best:
                out = plus(out, [a * scale * shares[e] / sum(shares[b] for b in best) for a in y])
        return out
    config = {**BASE, 'model_type': 'bailing_moe_v2', 'architectures': ['BailingMoeV2ForCausalLM'],
              'num_experts': EXPERTS, 'num_experts_per_tok': USED, 'num_shared_experts': 1,
              'moe_intermediate_size': EXPERT_WIDTH, 'norm_topk_prob': True, 'first_k_dense_replace': 1,
              'use_bias': False, 'use_qkv_bias': False, 'head_dim': DIM, 'use_qk_norm': True, 'n_group': groups,
              'topk_group': groups_used, 'routed_scaling_factor': scale, 'score_function': 'sigmoid',
              'moe_router_enable_expert_bias': True, 'partial_rotary_factor': 0.5, 'rope_scaling': None,
              'num_nextn_predict_layers': 0, 'use_rmsnorm': True, 'rotary_dim': DIM // 2, 'use_sliding_window': False,
              'max_window_layers': LAYERS}
    return config, llama_step(weights, 'attention.query_key_value.weight', feed, head_of(weights), o='attention.dense',
                              embedding='model.word_embeddings', qk_norm='attention.{}_layernorm.weight',
                              dims=DIM // 2)


def phi3small(weights):
    """muP, layer norms with biases, groups of queries with their key and value, gegelu; some tokens are never
    written. (The blocks of its sparse layers all count in a text this short.)"""
    limit, embedding, width, group = 1.5, 10.0, 2.0, HEADS // KV_HEADS
    never = [5, 90, 91, 127]

    def gegelu(x):
        out = []
        for gate, up in zip(x[::2], x[1::2]):
            gate, up = min(gate, limit), max(-limit, min(up, limit))
            out.append(gate * sigmoid(1.702 * gate) * (up + 1))
        return out

    def norm(at, x):
        return layer_norm(x, weights(at + '.weight', HIDDEN, around=1), weights(at + '.bias', HIDDEN), 1e-5)

    def linear(at, rows, cols, x):
        return product(weights.rows(at + '.weight', rows, cols), x, weights(at + '.bias', rows))

    def step(token, position, cache):
        table = weights.rows('model.embed_tokens.weight', VOCAB, HIDDEN, spread=0.1)
        x = [embedding * a for a in table[token]]
        for i in range(LAYERS):
            at = f'model.layers.{i}.'
            h = norm(at + 'input_layernorm', x)
            qkv = heads_of(linear(at + 'self_attn.query_key_value', (HEADS + 2 * KV_HEADS) * DIM, HIDDEN, h))
            groups = [qkv[g * (group + 2):(g + 1) * (group + 2)] for g in range(KV_HEADS)]
            cache[i][0].append([rotate(g[-2], position, 1e6) for g in groups])
            cache[i][1].append([g[-1] for g in groups])
            q = [rotate(a, position, 1e6) for g in groups for a in g[:group]]
            x = plus(x, linear(at + 'self_attn.dense', HIDDEN, HIDDEN, attend(q, *cache[i], 1 / DIM)))
            h = norm(at + 'post_attention_layernorm', x)
            h = gegelu(linear(at + 'mlp.up_proj', 2 * WIDTH, HIDDEN, h))
            x = plus(x, linear(at + 'mlp.down_proj', HIDDEN, WIDTH, h))
        logits = [a / width for a in product(table, norm('model.final_layernorm', x))]
        return [-3.4028234663852886e38 if i in never else a for i, a in enumerate(logits)]
    config = without(BASE, 'rms_norm_eps', 'hidden_act', 'tie_word_embeddings', 'rope_theta', 'intermediate_size',
                     model_type='phi3small', architectures=['Phi3SmallForCausalLM'], hidden_act='gegelu',
                     ff_intermediate_size=WIDTH, gegelu_limit=limit, layer_norm_epsilon=1e-5, mup_use_scaling=True,
                     mup_attn_multiplier=1.0, mup_embedding_multiplier=embedding, mup_width_multiplier=width,
                     rope_embedding_base=1000000, rope_position_scale=1.0, blocksparse_block_size=16,
                     blocksparse_num_local_blocks=64, blocksparse_vert_stride=8, blocksparse_homo_head_pattern=False,
                     blocksparse_triton_kernel_block_size=64, dense_attention_every_n_layers=2,
                     gegelu_pad_to_256=True, dummy_token_indices=never)
    return config, step


def molmo(weights):
    """Norms, a fused projection with biases, the half of the feed-forward that is activated last; images elsewhere."""
    def step(token, position, cache):
        body = 'model.transformer.'
        x = weights.rows(body + 'wte.embedding', VOCAB, HIDDEN, spread=1)[token]
        weights.rows(body + 'wte.new_embedding', 8, HIDDEN)  # of images
        weights.rows('model.vision_backbone.image_projector.w1.weight', 8, 8)
        for i in range(LAYERS):
            at = f'{body}blocks.{i}.'
            h = rms(x, weights(at + 'attn_norm.weight', HIDDEN, around=1), 1e-5)
            rows = (HEADS + 2 * KV_HEADS) * DIM
            qkv = heads_of(product(weights.rows(at + 'att_proj.weight', rows, HIDDEN), h,
                                   weights(at + 'att_proj.bias', rows)))
            cache[i][0].append([rotate(a, position, 1e4) for a in qkv[HEADS:HEADS + KV_HEADS]])
            cache[i][1].append(qkv[HEADS + KV_HEADS:])
            y = attend([rotate(a, position, 1e4) for a in qkv[:HEADS]], *cache[i], 1 / math.sqrt(DIM))
            x = plus(x, product(weights.rows(at + 'attn_out.weight', HIDDEN, HIDDEN), y))
            h = rms(x, weights(at + 'ff_norm.weight', HIDDEN, around=1), 1e-5)
            both = product(weights.rows(at + 'ff_proj.weight', 2 * WIDTH, HIDDEN), h)
            h = [silu(gate) * a for a, gate in zip(both[:WIDTH], both[WIDTH:])]
            x = plus(x, product(weights.rows(at + 'ff_out.weight', HIDDEN, WIDTH), h))
        x = rms(x, weights(body + 'ln_f.weight', HIDDEN, around=1), 1e-5)
        return product(weights.rows(body + 'ff_out.weight', VOCAB, HIDDEN), x)
    config = without(BASE, 'rms_norm_eps', 'hidden_act', model_type='molmo', architectures=['MolmoForCausalLM'],
                     embedding_size=VOCAB, layer_norm_eps=1e-5, layer_norm_type='rms', qkv_bias=True, clip_qkv=None,
                     attention_layer_norm=False, norm_after=False, weight_tying=False, use_position_ids=True,
                     intermediate_size=2 * WIDTH)
    return config, step


def phi4mm(weights):
    """Phi-3's arithmetic: half of each head turns, by the short factors of longrope. Matrices are the bases of adapters
    for images and sound, which a text does not use."""
    original, context, dims = 4096, 16384, DIM // 2
    short, long = [1.0, 1.25], [2.0, 5.5]
    scale = math.sqrt(1 + math.log(context / original) / math.log(original))

    def base(at, rows, cols):
        for sense, rank in (('vision', 4), ('speech', 2)):
            weights.rows(f'{at}.lora_A.{sense}.weight', rank, cols)
            weights.rows(f'{at}.lora_B.{sense}.weight', rows, rank)
        return weights.rows(at + '.base_layer.weight', rows, cols)

    def step(token, position, cache):
        table = weights.rows('model.embed_tokens.weight', VOCAB, HIDDEN, spread=0.3)
        weights.rows('model.embed_tokens_extend.image_embed.img_projection.0.weight', 8, 8)
        x = table[token]
        for i in range(LAYERS):
            at = f'model.layers.{i}.'
            h = rms(x, weights(at + 'input_layernorm.weight', HIDDEN, around=1), 1e-5)
            qkv = heads_of(product(base(at + 'self_attn.qkv_proj', (HEADS + 2 * KV_HEADS) * DIM, HIDDEN), h))
            q = [rotate(a, position, 1e4, dims, short, scale) for a in qkv[:HEADS]]
            cache[i][0].append([rotate(a, position, 1e4, dims, short, scale) for a in qkv[HEADS:HEADS + KV_HEADS]])
            cache[i][1].append(qkv[HEADS + KV_HEADS:])
            y = attend(q, *cache[i], 1 / math.sqrt(DIM))
            x = plus(x, product(base(at + 'self_attn.o_proj', HIDDEN, HIDDEN), y))
            h = rms(x, weights(at + 'post_attention_layernorm.weight', HIDDEN, around=1), 1e-5)
            both = product(base(at + 'mlp.gate_up_proj', 2 * WIDTH, HIDDEN), h)
            h = [silu(a) * b for a, b in zip(both[:WIDTH], both[WIDTH:])]
            x = plus(x, product(base(at + 'mlp.down_proj', HIDDEN, WIDTH), h))
        return product(table, rms(x, weights('model.norm.weight', HIDDEN, around=1), 1e-5))
    config = without(BASE, 'tie_word_embeddings', model_type='phi4mm', architectures=['Phi4MMForCausalLM'],
                     tie_word_embeddings=True, partial_rotary_factor=0.5, original_max_position_embeddings=original,
                     max_position_embeddings=context, sliding_window=262144, attention_bias=False, mlp_bias=False,
                     lm_head_bias=False, img_processor=None, interpolate_factor=1,
                     rope_scaling={'type': 'longrope', 'short_factor': short, 'long_factor': long},
                     vision_lora={'layer': 'layers.*', 'r': 4, 'lora_alpha': 8, 'dp': 0.0},
                     speech_lora={'layer': 'layers.*', 'r': 2, 'lora_alpha': 4, 'dp': 0.01})
    return config, step


FAMILIES = {
    'phi4mm': (phi4mm, 'longrope on half of each head; adapters for images and sound beside each matrix'),
    'molmo': (molmo, 'fused projections with biases; tensors of images beside them'),
    'baichuan2': (baichuan2, 'the rows of the output matrix are normalized'),
    'phi3small': (phi3small, 'muP, gegelu, queries grouped with their key and value; tokens that are never written'),
    'ling': (ling, 'the columns of the output matrix are normalized; shared experts'),
    'ling2': (ling2, 'sigmoid router with groups and correction, norms on q and k, half of each rotated'),
}


# ---- files ----

def run(step):
    tokens = random.Random(7).choices(range(3, VOCAB), k=TOKENS)
    cache, logits, greedy, margins = [([], []) for _ in range(LAYERS)], [], [], []
    for position, token in enumerate(tokens):
        logits.append(step(token, position, cache))
    last = logits[-1]
    for position in range(TOKENS, TOKENS + GREEDY):
        order = sorted(range(len(last)), key=lambda i: -last[i])
        greedy.append(order[0])
        margins.append(last[order[0]] - last[order[1]])
        last = step(order[0], position, cache)
    return tokens, logits, greedy, min(margins)


def save(folder, family, config, weights, result, note):
    os.makedirs(folder, exist_ok=True)
    tokens, logits, greedy, margin = result
    header, data = {}, b''
    for name, (shape, values) in weights.of.items():
        raw = b''.join(struct.pack('<f', v)[2:] for v in values)
        header[name] = {'dtype': 'BF16', 'shape': shape, 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(folder + '/model.safetensors', 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)
    with open(folder + '/config.json', 'w') as file:
        file.write(json.dumps(config, indent=1))
    with open(folder + '/reference.json', 'w') as file:
        file.write(json.dumps({'tool': 'tools/decoder-reference.py ' + family, 'model_type': config['model_type'],
                               'tokens': tokens, 'greedy': greedy, 'greedy_min_margin': round(margin, 5),
                               'vocab': len(logits[0]), 'logits': 'logits.f32', 'note': note}))
    with open(folder + '/logits.f32', 'wb') as file:
        file.write(b''.join(struct.pack('<f', x) for row in logits for x in row))


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in FAMILIES:
        sys.exit(__doc__ + 'Families: ' + ', '.join(FAMILIES))
    make, note = FAMILIES[sys.argv[1]]
    check = sys.argv[2] == '--check'
    for seed in range(100):
        weights = Weights(seed)
        config, step = make(weights)
        result = run(step)
        if result[3] > 0.02:  # no rounding turns the continuation
            break
    if not check:
        save(sys.argv[2], sys.argv[1], config, weights, result, note)
    else:
        with open('tests/data/families/' + sys.argv[1] + '/logits.f32', 'rb') as file:
            stored = [x[0] for x in struct.iter_unpack('<f', file.read())]
        flat = [x for row in result[1] for x in row]
        pairs = [(a, b) for a, b in zip(stored, flat) if a != b or a > -3e38]  # not those that are never written
        off = math.sqrt(sum((a - b) ** 2 for a, b in pairs) / sum(b * b for _, b in pairs))
        print(f'{sys.argv[1]}: the stored logits are off by {off:.2g}')
        sys.exit(off > 1e-6 or len(stored) != len(flat))


main()
