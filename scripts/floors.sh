#!/usr/bin/env bash
# Dependency rules (docs/architecture.md): a folder of src/ includes only from the folders in its row.
# Prints each offending line and exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."

# folder: what it may include from (itself is understood)
floors='
base:
records:    base
report:     base records
config:     base
checkpoint: base config
jinja:      base
structure:  base
tokenizer:  base jinja
kernels:    base
cache:      base config kernels
model:      base config checkpoint kernels cache
engine:     base config checkpoint structure tokenizer kernels cache model
advisor:    base records config checkpoint cache model
evidence:   base records config checkpoint structure tokenizer kernels cache model engine
api:        base records config checkpoint structure tokenizer kernels cache model engine advisor evidence
serve:      base structure tokenizer cache config engine
cli:        base records report config checkpoint structure tokenizer kernels cache model engine advisor evidence serve
'

bad=0
while IFS=: read -r floor allowed; do
    [ -n "$floor" ] && [ -d "src/$floor" ] || continue
    pattern=$(echo "$floor $allowed" | xargs | tr ' ' '|')
    if grep -rnE '^\s*#\s*include\s+"' "src/$floor" --include='*.[ch]' --include='*.inc' | grep -vE "\"($pattern)/"; then
        echo "floors: src/$floor may include only from: $floor$allowed" >&2
        bad=1
    fi
done <<<"$floors"
exit $bad
