// On Windows, Node's functions are the running program's, whatever it is called: node.exe,
// Code.exe, Electron. An import library would name one file, so each pointer that the linker would
// have had from one is filled here, when the addon is loaded. (A delay-loaded import with a hook is
// what MSVC takes for this. The stubs that dlltool makes for it lose the floats of a function's
// first call.)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace {

void* from_host(const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(GetModuleHandleW(nullptr), name));
}

}  // namespace

// Null where the host is older than the function; those of NAPI_VERSION are in all that we support.
#define RINGSIDE_FROM_HOST(name) extern "C" void* const __imp_##name = from_host(#name);
#include "node_api_functions.inc"
