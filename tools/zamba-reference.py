#!/usr/bin/env python3
"""Zamba and Zamba 2 in double precision, straight from their papers, for tiny models: what a cache in fp16 does to them.

    zamba-reference.py FOLDER            how far the folder's logits.f32 is from these, without and with rounding
    zamba-reference.py FOLDER -o FILE    writes the logits with keys and values rounded to fp16

FOLDER is a golden's (golden.py). The shared blocks of these models add nothing to the stream, so that the rounding of the
cache reaches the output undamped: the tests compare with FILE.
"""
import math

from golden import compare, config, flat, header, plus, product, reference

second = config['model_type'] == 'zamba2'
hidden, heads = config['hidden_size'], config['num_attention_heads']
inner, states = hidden * config['mamba_expand'], config['mamba_d_state']
ssm_heads, rank = config['n_mamba_heads'], config.get('mamba_dt_rank')
dim, share = 2 * hidden // heads, inner // ssm_heads


def rows(values, cols):
    return [values[i:i + cols] for i in range(0, len(values), cols)]


def matrix(name):
    return rows(flat(name + '.weight'), header[name + '.weight']['shape'][-1])


def norm(x, w):
    factor = 1 / math.sqrt(sum(a * a for a in x) / len(x) + 1e-5)
    return [a * factor * b for a, b in zip(x, w)]


def silu(x):
    return x / (1 + math.exp(-x))


def gelu(x):
    return x / 2 * (1 + math.erf(x / math.sqrt(2)))


def softplus(x):
    return math.log1p(math.exp(x))


def rotate(x, position):
    out = x[:]
    for i in range(dim // 2):
        angle = position * 10000.0 ** (-2 * i / dim)
        a, b = x[i], x[i + dim // 2]
        out[i], out[i + dim // 2] = a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)
    return out


def attend(name, inputs, use, rounding):
    """Attention over all inputs; `use` counts the uses of shared blocks."""
    def project(which, x):
        out = product(matrix(f'{name}.{which}_proj'), x)
        if second:
            adapter = f'{name}.linear_{which}_adapter_list.{use}.'
            out = plus(out, product(matrix(adapter + '1'), product(matrix(adapter + '0'), x)))
        return rows(out, dim)
    q, k, v = ([project(which, x) for x in inputs] for which in 'qkv')
    if second:
        q, k = ([[rotate(head, t) for head in token] for t, token in enumerate(x)] for x in (q, k))
    k, v = ([[[rounding(a) for a in head] for head in token] for token in x] for x in (k, v))
    outputs = []
    for t in range(len(inputs)):
        out = []
        for h in range(heads):
            scores = [sum(a * b for a, b in zip(q[t][h], k[s][h])) / math.sqrt(dim / 2) for s in range(t + 1)]
            weights = [math.exp(s - max(scores)) for s in scores]
            out += [sum(w * v[s][h][i] for s, w in enumerate(weights)) / sum(weights) for i in range(dim)]
        outputs.append(product(matrix(name + '.o_proj'), out))
    return outputs


def feed_forward(name, x, use):
    if second:
        adapter = f'{name}.gate_up_proj_adapter_list.{use}.'
        both = plus(product(matrix(name + '.gate_up_proj'), x), product(matrix(adapter + '1'), product(matrix(adapter + '0'), x)))
        gate, up = both[:len(both) // 2], both[len(both) // 2:]
    else:
        gate, up = product(matrix(name + '.gate_proj'), x), product(matrix(name + '.up_proj'), x)
    return product(matrix(name + '.down_proj'), [gelu(g) * u for g, u in zip(gate, up)])


def convolve(name, inputs):
    weight, bias = rows(flat(name + '.conv1d.weight'), 4), flat(name + '.conv1d.bias')
    return [[silu(bias[c] + sum(weight[c][j] * inputs[t - 3 + j][c] for j in range(4) if t - 3 + j >= 0))
             for c in range(len(bias))] for t in range(len(inputs))]


def mamba(name, inputs):
    projected = [product(matrix(name + '.in_proj'), x) for x in inputs]
    mixed = convolve(name, [p[0::2] for p in projected])
    x_weight, dt_weight = rows(flat(name + '.x_proj_weight'), share), rows(flat(name + '.dt_proj_weight'), rank)
    bias, d, a = flat(name + '.dt_proj_bias'), flat(name + '.D'), rows(flat(name + '.A_log'), states)
    state = [[0.0] * states for _ in range(inner)]
    outputs, width = [], rank + 2 * states
    for t, x in enumerate(mixed):
        out = []
        for h in range(ssm_heads):
            p = product(x_weight[h * width:(h + 1) * width], x[h * share:(h + 1) * share])
            b, c = p[rank:rank + states], p[rank + states:]
            for i in range(h * share, (h + 1) * share):
                dt = softplus(sum(w * y for w, y in zip(dt_weight[i], p)) + bias[i])
                state[i] = [math.exp(-dt * math.exp(a[i][s])) * state[i][s] + dt * b[s] * x[i] for s in range(states)]
                out.append((sum(y * z for y, z in zip(c, state[i])) + d[i] * x[i]) * silu(projected[t][2 * i + 1]))
        outputs.append(product(matrix(name + '.out_proj'), out))
    return outputs


def mamba2(name, inputs):
    projected = [product(matrix(name + '.in_proj'), x) for x in inputs]
    mixed = convolve(name, [p[inner:-ssm_heads] for p in projected])
    bias, d, a = flat(name + '.dt_bias'), flat(name + '.D'), flat(name + '.A_log')
    state = [[0.0] * states for _ in range(inner)]
    outputs = []
    for t, x in enumerate(mixed):
        b, c, out = x[inner:inner + states], x[inner + states:], []
        for i in range(inner):
            h = i // share
            dt = max(softplus(projected[t][h - ssm_heads] + bias[h]), config.get('time_step_min', 0.001))
            decay = math.exp(-dt * math.exp(a[h]))
            state[i] = [decay * y + dt * z * x[i] for y, z in zip(state[i], b)]
            out.append((sum(y * z for y, z in zip(c, state[i])) + d[h] * x[i]) * silu(projected[t][i]))
        outputs.append(product(matrix(name + '.out_proj'), norm(out, flat(name + '.norm.weight'))))
    return outputs


def logits(rounding):
    table = matrix('model.embed_tokens')
    embedded = [table[token] for token in reference['tokens']]
    stream, use = embedded, 0
    for layer, kind in enumerate(config['layers_block_type']):
        name, inputs = f'model.layers.{layer}', stream
        if kind == 'hybrid':
            block = name + ('.shared_transformer' if second else '.shared_transf')
            first = use % config.get('num_mem_blocks', 1)
            owner = [i for i, k in enumerate(config['layers_block_type']) if k == 'hybrid'][first]
            block = block.replace(f'.{layer}.', f'.{owner}.')
            wide = [norm(x + e, flat(block + '.input_layernorm.weight')) for x, e in zip(stream, embedded)]
            attended = attend(block + '.self_attn', wide, use, rounding)
            fed = [feed_forward(block + '.feed_forward', norm(x, flat(block + '.pre_ff_layernorm.weight')), use)
                   for x in attended]
            inputs = [plus(x, product(matrix(name + '.linear'), y)) for x, y in zip(stream, fed)]
            name, use = name + '.mamba_decoder', use + 1
        normed = [norm(x, flat(name + '.input_layernorm.weight')) for x in inputs]
        stream = [plus(x, y) for x, y in zip(stream, (mamba2 if second else mamba)(name + '.mamba', normed))]
    return [a for x in stream for a in product(table, norm(x, flat('model.final_layernorm.weight')))]


compare(logits)
