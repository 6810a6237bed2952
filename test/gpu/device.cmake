# What the GPU's kernels are built as, for the tests and the bench: with RINGSIDE_REAL_GPU by nvcc, as
# the target ringside_cuda; else for the host, the sources in ${emulated}. Needs ${root}.
option(RINGSIDE_REAL_GPU "The kernels on this computer's GPU, in place of the emulator" OFF)
if(RINGSIDE_REAL_GPU)
  set(RINGSIDE_CUDA_ARCHITECTURES "native" CACHE STRING "native, or what CMAKE_CUDA_ARCHITECTURES takes")
  set(CMAKE_CUDA_ARCHITECTURES ${RINGSIDE_CUDA_ARCHITECTURES})
  enable_language(CUDA)
  include(${root}/kernels/cuda/cuda20.cmake)
  if(NOT TARGET ringside_cuda)
    add_subdirectory(${root}/kernels/cuda library)
  endif()
else()
  file(GLOB kernels CONFIGURE_DEPENDS ${root}/kernels/cuda/*.cu)
  list(FILTER kernels EXCLUDE REGEX "/device\\.cu$")
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
  set(emulated ${kernels} ${root}/kernels/cuda/device_emulated.cpp ${root}/kernels/cuda/emulator.cpp)
endif()

# target_uses_gpu(TARGET SOURCE...): the sources see the kernels' headers, whose launches are no C++
# for nvcc, and the target links the kernels' objects.
function(target_uses_gpu target)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CUDA)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:ringside_cuda>)
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
                                             CUDA_RUNTIME_LIBRARY Static)
endfunction()
