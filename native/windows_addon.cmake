# What addons need on Windows without MSVC: Node's functions from the program that loads them.
file(STRINGS ${RINGSIDE_NODE_API_DEF} functions REGEX "^(napi|node_api)_[a-z0-9_]+$")
list(TRANSFORM functions REPLACE "(.+)" "RINGSIDE_FROM_HOST(\\1)")
list(JOIN functions "\n" functions)
file(CONFIGURE OUTPUT node_api_functions.inc CONTENT "@functions@\n" @ONLY)

function(finish_addon target)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/windows_host.cpp)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
  target_link_options(${target} PRIVATE -s)  # the file would be twice as large with symbols
endfunction()
