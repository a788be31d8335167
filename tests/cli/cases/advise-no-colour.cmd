# to a pipe, and on a terminal under NO_COLOR, there is no escape sequence; on a terminal there is
config="tests/cli/configs/llama-8b.json --budget 24GB --bandwidth 30GB"
# shellcheck disable=SC2086
mlxcel recommend $config | grep -c $'\033'
NO_COLOR=1 script -qec "mlxcel recommend $config" /dev/null | grep -c $'\033'
script -qec "mlxcel recommend $config" /dev/null | grep -q $'\033' && echo colour
