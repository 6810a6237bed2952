# What Node loads: the engine, and of tree-sitter what npm's packages do not have for the target.
if(MINGW)
  include(windows_addon.cmake)
elseif(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  include(linux_addon.cmake)
elseif(APPLE)
  include(macos_addon.cmake)
endif()

function(add_addon target name)
  add_library(${target} MODULE ${ARGN})
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".node" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY "$<1:${CMAKE_CURRENT_BINARY_DIR}>"
    RUNTIME_OUTPUT_DIRECTORY "$<1:${CMAKE_CURRENT_BINARY_DIR}>")
  target_include_directories(${target} SYSTEM PRIVATE ${CMAKE_JS_INC} ${RINGSIDE_NODE_ADDON_API})
  target_compile_definitions(${target} PRIVATE NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS)
  if(COMMAND finish_addon)
    finish_addon(${target})
  endif()
endfunction()

add_addon(ringside_addon ringside addon.cpp ${CMAKE_JS_SRC})
# No exception of C++ ends the process: it becomes one of JavaScript, or, where the environment is going
# and takes none any more, nothing.
target_compile_definitions(ringside_addon PRIVATE
  NODE_ADDON_API_CPP_EXCEPTIONS_ALL NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
  NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED)
target_link_libraries(ringside_addon PRIVATE ringside_engine ${CMAKE_JS_LIB})

if(RINGSIDE_TREE_SITTER OR RINGSIDE_GRAMMARS)
  enable_language(C)
endif()

# Its sources are not ours to mend.
function(add_foreign_addon target name)
  add_addon(${target} ${name} ${ARGN})
  target_compile_options(${target} PRIVATE -w)
endfunction()

# The runtime, from its package's folder.
if(RINGSIDE_TREE_SITTER)
  set(runtime ${RINGSIDE_TREE_SITTER})
  add_foreign_addon(tree_sitter tree-sitter
    ${runtime}/src/binding.cc ${runtime}/src/conversions.cc ${runtime}/src/language.cc ${runtime}/src/logger.cc
    ${runtime}/src/lookaheaditerator.cc ${runtime}/src/node.cc ${runtime}/src/parser.cc ${runtime}/src/query.cc
    ${runtime}/src/tree.cc ${runtime}/src/tree_cursor.cc ${runtime}/vendor/tree-sitter/lib/src/lib.c)
  # It includes a header of Node's that is not Node-API's, and uses nothing of it but assert().
  file(CONFIGURE OUTPUT node_object_wrap.h CONTENT "#include <cassert>\n")
  target_include_directories(tree_sitter SYSTEM PRIVATE ${CMAKE_CURRENT_BINARY_DIR}
    ${runtime}/vendor/tree-sitter/lib/include ${runtime}/vendor/tree-sitter/lib/src)
endif()

# Grammars, from their packages' folders. A package may hold several: tree-sitter-typescript does.
foreach(package IN LISTS RINGSIDE_GRAMMARS)
  get_filename_component(name ${package} NAME)
  file(GLOB sources ${package}/src/parser.c ${package}/src/scanner.c
                    ${package}/*/src/parser.c ${package}/*/src/scanner.c)
  add_foreign_addon(${name} ${name} ${package}/bindings/node/binding.cc ${sources})
  list(GET sources 0 parser)
  get_filename_component(folder ${parser} DIRECTORY)
  target_include_directories(${name} SYSTEM PRIVATE ${folder})
endforeach()

# The tests of what is in the addon, over the same objects: cross-compiling them apart takes minutes.
if(RINGSIDE_TESTS)
  set(tests ${CMAKE_CURRENT_SOURCE_DIR}/../test)
  add_subdirectory(${tests}/kernels kernels_tests EXCLUDE_FROM_ALL)
  add_subdirectory(${tests}/native native_tests EXCLUDE_FROM_ALL)
  target_compile_options(kernels_test PRIVATE -O1)  # as native_tests are: they take long to compile
  add_custom_target(tests ALL DEPENDS kernels_test native_tests)
endif()
