# Norms, rotary, activations, and products with weight matrices.
target_sources(mlxcel_objects PRIVATE dense.c matmul.c scalar/dense.c scalar/product.c)
