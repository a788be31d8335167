mlxcel_test(kernels_dense test_dense.c)
mlxcel_test(kernels_matmul test_matmul.c)
mlxcel_test(kernels_mlx test_mlx.c)
