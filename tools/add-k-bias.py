#!/usr/bin/env python3
"""Makes a Qwen2-type checkpoint with a large K bias out of a Llama-type one (bf16, one file), for bench/k-bias.sh.

The result computes the same attention scores up to the bias: q and v biases are 0, and each KV head's k bias is a
random direction FACTOR times as long as the head's typical key, whose length is taken from the weights (inputs of
k_proj are normalized: E|k|^2 is the sum of (W_ij * g_j)^2, with g the weight of the norm before it).

usage: add-k-bias.py SOURCE_DIR OUTPUT_DIR FACTOR slow|fast|all
       slow: only in coordinates that rotary turns by less than half a turn in 1024 tokens, which is where trained
             models keep a constant; fast: only in the two pairs that turn most, which queries are made blind to, so
             that the model stays sound; all: in every coordinate, which ruins the model, since queries see the bias
"""
import json
import math
import random
import shutil
import struct
import sys
from pathlib import Path


def widen(raw):
    return struct.unpack(f"<{len(raw) // 2}f", b"".join(b"\0\0" + raw[i : i + 2] for i in range(0, len(raw), 2)))


def narrow(values):
    def bits(value):
        (word,) = struct.unpack("<I", struct.pack("<f", value))
        return (word + 0x7FFF + (word >> 16 & 1)) >> 16

    return struct.pack(f"<{len(values)}H", *map(bits, values))


def main():
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    factor, where = float(sys.argv[3]), sys.argv[4]
    output.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    data = (source / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = bytearray(data[8 + length :])

    def tensor(name):
        begin, end = header[name]["data_offsets"]
        return body[begin:end]

    dim, hidden = config["head_dim"], config["hidden_size"]
    theta = config["rope_parameters"]["rope_theta"]
    turns = [theta ** (-2 * (i % (dim // 2)) / dim) for i in range(dim)]  # radians per token
    is_used = {"all": lambda turn: True, "slow": lambda turn: 1024 * turn < math.pi, "fast": lambda turn: turn >= turns[1]}
    used = [is_used[where](turn) for turn in turns]
    chance = random.Random(1)
    added = {}
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        gain = widen(tensor(prefix + "input_layernorm.weight"))
        weight = widen(tensor(prefix + "self_attn.k_proj.weight"))
        bias = []
        for head in range(config["num_key_value_heads"]):
            rows = range(head * dim, (head + 1) * dim)
            key = math.sqrt(sum((weight[r * hidden + j] * gain[j]) ** 2 for r in rows for j in range(hidden)))
            direction = [chance.gauss(0, 1) * use for use in used]
            norm = math.sqrt(sum(x * x for x in direction))
            bias += [factor * key * x / norm for x in direction]
        added[prefix + "self_attn.k_proj.bias"] = bias
        query = header[prefix + "self_attn.q_proj.weight"]["data_offsets"][0]
        for row in range(config["num_attention_heads"] * dim if where == "fast" else 0):
            if used[row % dim]:
                body[query + row * 2 * hidden : query + (row + 1) * 2 * hidden] = bytes(2 * hidden)
        added[prefix + "self_attn.q_proj.bias"] = [0.0] * (config["num_attention_heads"] * dim)
        added[prefix + "self_attn.v_proj.bias"] = [0.0] * (config["num_key_value_heads"] * dim)

    for name, values in added.items():
        raw = narrow(values)
        header[name] = {"dtype": "BF16", "shape": [len(values)], "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    (output / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    config.update(model_type="qwen2", architectures=["Qwen2ForCausalLM"], use_sliding_window=False)
    (output / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        if (source / name).exists():
            shutil.copy(source / name, output / name)


main()
