#!/bin/sh
# Compiles the GPU's kernels for AMD, which nothing here runs: kernels/cuda/gpu.h keeps them portable.
cd "$(dirname "$0")/../.." || exit 1
for file in kernels/cuda/*.cu; do
  case $file in
  */device.cu | */library.cu | */cuda_backend.cu | */cuda_operations.cu) continue ;; # CUDA's runtime, and what is made with it
  esac
  echo "$file"
done | xargs -P "$(nproc)" -n 1 \
  hipcc -std=c++20 --offload-arch=gfx1030 -Wall -Wextra -Wno-unused-command-line-argument -fsyntax-only
