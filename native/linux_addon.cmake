# Linux is many systems: an addon may ask for no newer libraries than VS Code's server does, glibc 2.28
# and libstdc++ of GLIBCXX_3.4.25. So the C++ library is inside, where only the addon finds it.
function(finish_addon target)
  target_sources(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/linux_glibc.cpp)
  target_link_options(${target} PRIVATE -static-libstdc++ -Wl,--gc-sections
    -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/linux_addon.map
    $<$<NOT:$<CONFIG:Debug>>:-s>)
endfunction()
set_source_files_properties(linux_glibc.cpp PROPERTIES COMPILE_OPTIONS -ffunction-sections)
