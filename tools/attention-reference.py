#!/usr/bin/env python3
"""BitNet and Gemma 4 in double precision, for tiny models: what a cache in fp16 does to them.

    attention-reference.py FOLDER            how far the folder's logits.f32 is from these, without and with rounding
    attention-reference.py FOLDER -o FILE    writes the logits with keys and values rounded to fp16

FOLDER is a golden's (golden.py). The scores of Gemma 4 are not scaled, and BitNet normalizes what attention gives: the
rounding of the cache grows on its way out, and the tests compare with FILE.
"""
import math

from golden import compare, config, flat, header, plus, product, reference

gemma = config['model_type'] == 'gemma4_text'
hidden, layers, heads = config['hidden_size'], config['num_hidden_layers'], config['num_attention_heads']
width = config.get('hidden_size_per_layer_input') or 0
shared_from = layers - config.get('num_kv_shared_layers', 0)


def cut(values, shape):
    if len(shape) < 2:
        return values
    size = len(values) // shape[0]
    return [cut(values[i * size:(i + 1) * size], shape[1:]) for i in range(shape[0])]


def tensor(name):
    return cut(flat(name), header[name]['shape'])


tensors = {name: tensor(name) for name in header if name != '__metadata__'}


def weight(name):
    return tensors[name + '.weight']


def norm(x, w=None):
    factor = 1 / math.sqrt(sum(a * a for a in x) / len(x) + config['rms_norm_eps'])
    return [a * factor * b for a, b in zip(x, w or [1] * len(x))]


def activate(x):
    if not gemma:
        return max(x, 0) ** 2
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


def rotate(x, position, theta, planes):
    out, dim = x[:], len(x)
    for i in range(planes):
        angle = position * theta ** (-2 * i / dim)
        a, b = x[i], x[i + dim // 2]
        out[i], out[i + dim // 2] = a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)
    return out


def feed_forward(name, x):
    middle = [activate(g) * u for g, u in zip(product(weight(name + '.gate_proj'), x), product(weight(name + '.up_proj'), x))]
    if not gemma:
        middle = norm(middle, weight(name + '.ffn_sub_norm'))
    return product(weight(name + '.down_proj'), middle)


def experts(name, x):
    seen = [a * s / math.sqrt(hidden) for a, s in zip(norm(x), tensors[name + '.router.scale'])]
    scores = [math.exp(s) for s in product(weight(name + '.router.proj'), seen)]
    best = sorted(range(len(scores)), key=lambda e: -scores[e])[:config['top_k_experts']]
    x, out = norm(x, weight(name + '.pre_feedforward_layernorm_2')), [0.0] * hidden
    for e in best:
        both = product(tensors[name + '.experts.gate_up_proj'][e], x)
        middle = [activate(g) * u for g, u in zip(both[:len(both) // 2], both[len(both) // 2:])]
        share = scores[e] / sum(scores[i] for i in best) * tensors[name + '.router.per_expert_scale'][e]
        out = plus(out, [share * a for a in product(tensors[name + '.experts.down_proj'][e], middle)])
    return out


class Attention:
    """One layer's, with its keys and values; a later layer may read them."""

    def __init__(self, layer, rounding, caches):
        own = config.get('per_layer_config', {}).get(str(layer), {})
        kind = config.get('layer_types', ['full_attention'] * layers)[layer]
        rope = config['rope_parameters'].get(kind, config['rope_parameters'])
        self.name, self.rounding, self.owns = f'model.layers.{layer}.self_attn', rounding, layer < shared_from
        self.dim = own.get('head_dim', config.get('head_dim', hidden // heads))
        self.kv_heads = own.get('num_key_value_heads', config['num_key_value_heads'])
        self.window = config['sliding_window'] if kind == 'sliding_attention' else None
        self.theta, self.planes = rope['rope_theta'], int(rope.get('partial_rotary_factor', 1) * self.dim // 2)
        if self.owns:
            caches[kind] = ([], [])
        self.keys, self.values = caches[kind]

    def cut(self, x):
        return [x[i:i + self.dim] for i in range(0, len(x), self.dim)]

    def prepare(self, x, which, t):
        if gemma:
            x = norm(x, weight(f'{self.name}.{which}_norm'))
        return rotate(x, t, self.theta, self.planes)

    def __call__(self, x, t):
        queries = [self.prepare(q, 'q', t) for q in self.cut(product(weight(self.name + '.q_proj'), x))]
        if self.owns:
            keys = self.cut(product(weight(self.name + '.k_proj'), x))
            own_values = self.name + '.v_proj.weight' in tensors
            values = self.cut(product(weight(self.name + '.v_proj'), x)) if own_values else keys
            keys, values = [self.prepare(k, 'k', t) for k in keys], [norm(v) if gemma else v for v in values]
            self.keys.append([[self.rounding(a) for a in k] for k in keys])
            self.values.append([[self.rounding(a) for a in v] for v in values])
        first, out = max(0, t + 1 - self.window) if self.window else 0, []
        for h, q in enumerate(queries):
            head, scale = h * self.kv_heads // heads, 1 if gemma else 1 / math.sqrt(self.dim)
            scores = [scale * sum(a * b for a, b in zip(q, k[head])) for k in self.keys[first:t + 1]]
            shares = [math.exp(s - max(scores)) for s in scores]
            out += [sum(s * v[head][i] for s, v in zip(shares, self.values[first:t + 1])) / sum(shares)
                    for i in range(self.dim)]
        if not gemma:
            out = norm(out, weight(self.name + '.attn_sub_norm'))
        return product(weight(self.name + '.o_proj'), out)


def layer_inputs(token, x):
    """Of all layers, for one token."""
    made = [a / math.sqrt(hidden) for a in product(weight('model.per_layer_model_projection'), x)]
    row = weight('model.embed_tokens_per_layer')[token]
    return [[(a + b * math.sqrt(width)) / math.sqrt(2) for a, b in
             zip(norm(made[i:i + width], weight('model.per_layer_projection_norm')), row[i:i + width])]
            for i in range(0, layers * width, width)]


def run_layer(layer, attention, x, t, own_input):
    name = f'model.layers.{layer}.'
    attended = attention(norm(x, weight(name + 'input_layernorm')), t)
    if not gemma:
        x = plus(x, attended)
        return plus(x, feed_forward(name + 'mlp', norm(x, weight(name + 'post_attention_layernorm'))))
    x = plus(x, norm(attended, weight(name + 'post_attention_layernorm')))
    fed = feed_forward(name + 'mlp', norm(x, weight(name + 'pre_feedforward_layernorm')))
    if config['enable_moe_block']:
        fed = plus(norm(fed, weight(name + 'post_feedforward_layernorm_1')),
                   norm(experts(name[:-1], x), weight(name + 'post_feedforward_layernorm_2')))
    x = plus(x, norm(fed, weight(name + 'post_feedforward_layernorm')))
    if width:
        gate = [activate(g) * a for g, a in zip(product(weight(name + 'per_layer_input_gate'), x), own_input)]
        x = plus(x, norm(product(weight(name + 'per_layer_projection'), gate), weight(name + 'post_per_layer_input_norm')))
    return [a * tensors[name + 'layer_scalar'][0] for a in x]


def logits(rounding):
    table, cap = weight('model.embed_tokens'), config.get('final_logit_softcapping')
    stream = [[a * (math.sqrt(hidden) if gemma else 1) for a in table[token]] for token in reference['tokens']]
    inputs = [layer_inputs(token, x) if width else [None] * layers for token, x in zip(reference['tokens'], stream)]
    caches = {}
    for layer in range(layers):
        attention = Attention(layer, rounding, caches)
        stream = [run_layer(layer, attention, x, t, inputs[t][layer]) for t, x in enumerate(stream)]
    out = [a for x in stream for a in product(table, norm(x, weight('model.norm')))]
    return [cap * math.tanh(a / cap) for a in out] if cap else out


compare(logits)
