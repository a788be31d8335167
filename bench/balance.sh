#!/usr/bin/env bash
# What "balanced K" changes (docs/kv-cache-quality.md), from the figures of an independent implementation that lie beside
# the trained models. Writes bench/results/balance.txt.
# usage: bench/balance.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bench/results
{
    echo "# bench/balance.sh: mean KL of 4- and 3-bit keys and values, in nats; kv-quality.json of each trained model"
    printf '%-13s %5s  %-6s  %-22s %9s %9s %6s  %9s %6s\n' model ctx codes protections as-is balanced ratio centered ratio
    for file in ../shared/fixtures/trained/*/kv-quality.json; do
        awk -F'": ' '
            { gsub(/[",]/, "", $2); sub(/"/, "", $1) }
            $1 == "family" { model = $2 }
            $1 == "ctx" { ctx = $2 }
            $1 == "mode" { mode = $2 }
            $1 == "variant" { variant = $2 }
            $1 == "kl_mean" { kl[ctx, mode, variant] = $2 }
            function row(ctx, mode, name, plain, balanced, centered,   a, b, c) {
                a = kl[ctx, mode, plain]; b = kl[ctx, mode, balanced]; c = kl[ctx, mode, centered]
                if (a == "" || b == "") return
                printf "%-13s %5d  %-6s  %-22s %9.5f %9.5f %6.2f", model, ctx, mode, name, a, b, b / a
                if (c != "") printf "  %9.5f %6.2f", c, c / a
                printf "\n"
            }
            END {
                u = "scale=unbiased"
                for (ctx = 2048; ctx <= 8192; ctx *= 4) {
                    row(ctx, "turbo4", "none", u, u "; balance 256", u "; center+balance 256")
                    row(ctx, "turbo4", "sink 4, recent 64", u "; sink 4 recent 64", u "; balance 256 sink 4 recent 64",
                        u "; center+balance 256 sink 4 recent 64")
                    row(ctx, "turbo3", "none", u "; plain", u "; balance 256", "")
                }
            }' "$file"
    done
} >bench/results/balance.txt
