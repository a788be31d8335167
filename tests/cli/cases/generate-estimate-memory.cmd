# 200 million tokens fit no machine: refused before anything is loaded (the folder has no weights), and advice without a
# prompt
mlxcel generate -m examples/llama-3.1-8b --estimate-memory --ctx 200000k -p x 2>"$TMP/message"
echo "exit $?"
sed -E 's/[0-9.]+ [GT]B/SIZE/g; s/SIZE more than the SIZE available; .* \(/SIZE more than the SIZE available; ADVICE (/' "$TMP/message"
mlxcel generate -m examples/llama-3.1-8b --recommend-quant | head -1
