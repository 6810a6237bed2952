# The same tests over the kernels as nvcc makes them: cmake -DRINGSIDE_REAL_GPU=ON. The kernels'
# objects are those of the GPU's library, so that they are compiled once.
set(RINGSIDE_CUDA_ARCHITECTURES "native" CACHE STRING "native, or what CMAKE_CUDA_ARCHITECTURES takes")
set(CMAKE_CUDA_ARCHITECTURES ${RINGSIDE_CUDA_ARCHITECTURES})
enable_language(CUDA)
include(${root}/test/cuda20.cmake)
if(NOT TARGET ringside_cuda)
  add_subdirectory(${root}/kernels/cuda library)
endif()

# What includes the kernels' headers sees a launch, which is no C++.
set_source_files_properties(tested.cpp ${tests} PROPERTIES LANGUAGE CUDA)
add_executable(cuda_test ../main.cpp tested.cpp ${shared} ${tests} $<TARGET_OBJECTS:ringside_cuda>)
target_include_directories(cuda_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/.. ${root}/kernels/cuda
                                             ${DOCTEST_INCLUDE})
target_link_libraries(cuda_test PRIVATE ringside_kernels)
set_target_properties(cuda_test PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON
                                           CUDA_RUNTIME_LIBRARY Static)
enable_testing()
add_test(NAME cuda COMMAND cuda_test)
