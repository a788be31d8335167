mlxcel_bench(bench_attention bench_attention.c) # attention alone, mode by mode
