# Norms, rotary, activations, and products with weight matrices.
target_sources(mlxcel_objects PRIVATE bandwidth.c dense.c matmul.c scalar/dense.c scalar/product.c)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64|AMD64")
  set(DENSE_AVX2 avx2/dense.c)
  set(DENSE_AVX512 avx512/dense.c)
  target_sources(mlxcel_objects PRIVATE ${DENSE_AVX2} ${DENSE_AVX512})
  # A source's options are set where its target is defined, which is the root folder.
  set_source_files_properties(${DENSE_AVX2} TARGET_DIRECTORY mlxcel_objects PROPERTIES COMPILE_OPTIONS "${MLXCEL_AVX2}")
  set_source_files_properties(${DENSE_AVX512} TARGET_DIRECTORY mlxcel_objects PROPERTIES COMPILE_OPTIONS "${MLXCEL_AVX512}")
endif()
