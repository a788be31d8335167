mlxcel_test(kv_kernels test_kv.c)
