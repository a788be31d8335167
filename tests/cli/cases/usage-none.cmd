mlxcel 2>&1 >/dev/null | tail -1
exit "${PIPESTATUS[0]}"
