#include "gpu_library.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "device_error.h"
#include "display.h"

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace ringside {

namespace {

#if defined(_WIN32)
constexpr const char* kFile = "ringside_cuda.dll";
#else
constexpr const char* kFile = "ringside_cuda.so";
#endif

// The folder of the file that this code is in.
std::filesystem::path own_folder() {
#if defined(_WIN32)
  HMODULE module = nullptr;
  GetModuleHandleExW(
      GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
      reinterpret_cast<LPCWSTR>(&own_folder), &module);
  wchar_t path[4096] = {};
  GetModuleFileNameW(module, path, 4095);
  return std::filesystem::path(path).parent_path();
#else
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0) return {};
  return std::filesystem::path(info.dli_fname).parent_path();
#endif
}

std::filesystem::path library_path() {
#if defined(_WIN32)
  // Not getenv(): that has the letters of one code page, and the variables from before Node set
  // any.
  wchar_t named[4096] = {};
  const DWORD length = GetEnvironmentVariableW(L"RINGSIDE_GPU_LIBRARY", named, 4096);
  const bool is_named = length > 0 && length < 4096;
#else
  const char* named = std::getenv("RINGSIDE_GPU_LIBRARY");
  const bool is_named = named != nullptr && *named != '\0';
#endif
  return is_named ? std::filesystem::path(named) : own_folder() / kFile;
}

// Once opened it stays: the driver does not like to be unloaded.
GpuLibraryEntry entry_of(const std::filesystem::path& path, std::string& problem) {
#if defined(_WIN32)
  const HMODULE library = LoadLibraryW(path.c_str());
  if (library == nullptr) problem = "error " + std::to_string(GetLastError());
  if (library == nullptr) return nullptr;
  // Through void*: GCC warns of a cast between functions, which is what GetProcAddress is for.
  return reinterpret_cast<GpuLibraryEntry>(
      reinterpret_cast<void*>(GetProcAddress(library, "ringside_gpu_library")));
#else
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* error = dlerror();
    problem = error != nullptr ? error : "unknown error";
    return nullptr;
  }
  return reinterpret_cast<GpuLibraryEntry>(dlsym(library, "ringside_gpu_library"));
#endif
}

}  // namespace

std::string gpu_library_file() {
  const std::filesystem::path path = library_path();
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? display(path) : "";
}

namespace {

const GpuLibrary& open_library(const std::filesystem::path& path) {
  if (gpu_library_file().empty()) {
    throw DeviceError("This build has no GPU part (" + display(path) + " is not there).");
  }
  std::string problem = "it has no entry";
  const GpuLibraryEntry entry = entry_of(path, problem);
  if (entry == nullptr) throw DeviceError(display(path) + " can't be opened: " + problem + ".");
  const GpuLibrary& library = *entry();
  if (std::string_view(library.interface_hash) != RINGSIDE_INTERFACE_HASH) {
    throw DeviceError(display(path) + " belongs to another version of Ringside. Build or install " +
                      "both together.");
  }
  return library;
}

}  // namespace

GpuReport probe_gpus() {
  const std::filesystem::path path = library_path();
  GpuReport report;
  try {
    const GpuLibrary& library = open_library(path);
    report = library.probe();
    report.library = display(path);
  } catch (const std::exception& error) {
    report.problem = error.what();
  }
  return report;
}

std::unique_ptr<Backend> open_gpu(int index) {
  return std::unique_ptr<Backend>(open_library(library_path()).open(index));
}

}  // namespace ringside
