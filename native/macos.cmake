# macOS from Linux, by Zig's Clang, which brings Apple's headers, what Apple's libraries have, and a libc++
# that is linked in. The environment's ZIG is its folder, where that is not in PATH. RINGSIDE_MACOS: aarch64
# or x86_64.
set(CMAKE_SYSTEM_NAME Darwin)
if(NOT RINGSIDE_MACOS)
  message(FATAL_ERROR "Say which Macs: -DRINGSIDE_MACOS=aarch64 or x86_64.")
endif()
set(CMAKE_SYSTEM_PROCESSOR ${RINGSIDE_MACOS})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RINGSIDE_MACOS)
find_program(RINGSIDE_ZIG zig HINTS ENV ZIG REQUIRED)
# 11: the oldest that Node 20 runs on, on Apple silicon, and Node 22 on Intel.
set(target -target ${RINGSIDE_MACOS}-macos.11.0)
set(CMAKE_C_COMPILER ${RINGSIDE_ZIG} cc ${target})
set(CMAKE_CXX_COMPILER ${RINGSIDE_ZIG} c++ ${target})
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_WORKS TRUE)  # CMake tries with flags that Zig does not take
  set(CMAKE_${language}_ARCHIVE_CREATE "${RINGSIDE_ZIG} ar qc <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "")
endforeach()
set(CMAKE_INSTALL_NAME_TOOL ${CMAKE_COMMAND} -E true)  # nothing is installed
set(CMAKE_HAVE_LIBC_PTHREAD TRUE CACHE INTERNAL "In libSystem.")
