# What addons need on Windows without MSVC: Node's functions from the program that loads them. And
# tree-sitter's runtime, whose prebuilt one for Windows asks for Node-API 10. Node 20, which VS Code
# has up to 1.100, knows 9, and crashes.
file(STRINGS ${RINGSIDE_NODE_API_DEF} functions REGEX "^(napi|node_api)_[a-z0-9_]+$")
list(TRANSFORM functions REPLACE "(.+)" "RINGSIDE_FROM_HOST(\\1)")
list(JOIN functions "\n" functions)
file(CONFIGURE OUTPUT node_api_functions.inc CONTENT "@functions@\n" @ONLY)

function(finish_addon target name)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/windows_host.cpp)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_options(${target} PRIVATE -s)  # the file would be twice as large with symbols
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".node" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
endfunction()

finish_addon(ringside_addon ringside)

enable_language(C)
set(runtime ${RINGSIDE_TREE_SITTER})
add_library(tree_sitter MODULE
  ${runtime}/src/binding.cc ${runtime}/src/conversions.cc ${runtime}/src/language.cc ${runtime}/src/logger.cc
  ${runtime}/src/lookaheaditerator.cc ${runtime}/src/node.cc ${runtime}/src/parser.cc ${runtime}/src/query.cc
  ${runtime}/src/tree.cc ${runtime}/src/tree_cursor.cc ${runtime}/vendor/tree-sitter/lib/src/lib.c)
# It includes a header of Node's that is not Node-API's, and uses nothing of it but assert().
file(CONFIGURE OUTPUT node_object_wrap.h CONTENT "#include <cassert>\n")
target_include_directories(tree_sitter SYSTEM PRIVATE
  ${CMAKE_JS_INC} ${RINGSIDE_NODE_ADDON_API} ${runtime}/vendor/tree-sitter/lib/include
  ${runtime}/vendor/tree-sitter/lib/src)
target_compile_definitions(tree_sitter PRIVATE NAPI_VERSION=8 NAPI_CPP_EXCEPTIONS)
target_compile_options(tree_sitter PRIVATE -w)  # not ours to mend
finish_addon(tree_sitter tree-sitter)

# The tests of what is in the addon, over the same objects: cross-compiling them apart takes minutes.
if(RINGSIDE_TESTS)
  set(tests ${CMAKE_CURRENT_SOURCE_DIR}/../test)
  add_subdirectory(${tests}/kernels kernels_tests EXCLUDE_FROM_ALL)
  add_subdirectory(${tests}/native native_tests EXCLUDE_FROM_ALL)
  foreach(test kernels_test native_tests)
    target_compile_options(${test} PRIVATE -O1)  # the tests' own code: it is what takes long to compile
  endforeach()
  add_custom_target(tests ALL DEPENDS kernels_test native_tests)
endif()
