# What Node brings is found when the addon is loaded.
function(finish_addon target)
  target_link_options(${target} PRIVATE -undefined dynamic_lookup)
endfunction()
if(RINGSIDE_MACOS)
  # Zig's linker makes no bundles; a shared library is loaded alike.
  set(CMAKE_SHARED_MODULE_CREATE_CXX_FLAGS -shared)
endif()
