#include "mapping.h"

#include <cstdint>

#include "display.h"
#include "error.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace ringside {

namespace {

constexpr size_t kMaxText = 256u << 20;  // bytes; a tokenizer of 262,144 tokens has 34 MB

EngineError not_found(const std::filesystem::path& path) {
  return EngineError(ErrorCode::model_not_found,
                     "Cannot read " + display(path) +
                         ". Choose a .gguf file, or a folder with config.json, tokenizer.json and "
                         "model.safetensors, that this user may read.");
}

EngineError not_mapped(const std::filesystem::path& path) {
  return EngineError(ErrorCode::out_of_memory, "The system refused to map " + display(path) +
                                                   " into memory. Close other programs, or choose "
                                                   "a smaller model.");
}

}  // namespace

#ifdef _WIN32

Mapping::Mapping(const std::filesystem::path& path) : path_(path) {
  const HANDLE file = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) throw not_found(path);
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file, &size)) {
    CloseHandle(file);
    throw not_found(path);
  }
  size_ = static_cast<size_t>(size.QuadPart);
  if (size_ > 0) {
    const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping != nullptr) {
      data_ = static_cast<const std::byte*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
      CloseHandle(mapping);  // the view keeps it
    }
  }
  CloseHandle(file);
  if (size_ > 0 && data_ == nullptr) throw not_mapped(path);
}

Mapping::~Mapping() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
}

bool Mapping::has_changed() const { return false; }

void will_need(std::span<const std::byte> part) {
  WIN32_MEMORY_RANGE_ENTRY range{const_cast<std::byte*>(part.data()), part.size()};
  PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

size_t physical_memory() {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? size_t(status.ullTotalPhys) : SIZE_MAX;
}

// Unlocking pages that are not locked takes them out of the working set (VirtualUnlock, remarks).
void drop_pages(std::span<const std::byte> part) {
  VirtualUnlock(const_cast<std::byte*>(part.data()), part.size());
}

void read_no_neighbours(std::span<const std::byte>) {}

#else

namespace {

timespec changed_at(const struct stat& status) {
#ifdef __APPLE__
  return status.st_mtimespec;
#else
  return status.st_mtim;
#endif
}

}  // namespace

Mapping::Mapping(const std::filesystem::path& path) : path_(path) {
  // Not to wait: a pipe that nobody writes to would never be open.
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) throw not_found(path);
  struct stat status;
  if (fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file_);
    throw not_found(path);
  }
  size_ = static_cast<size_t>(status.st_size);
  seconds_ = changed_at(status).tv_sec;
  nanoseconds_ = changed_at(status).tv_nsec;
  void* data = nullptr;
  if (size_ > 0) data = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file_, 0);
  if (data == MAP_FAILED) {
    close(file_);
    throw not_mapped(path);
  }
  data_ = static_cast<const std::byte*>(data);
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
  close(file_);
}

bool Mapping::has_changed() const {
  struct stat status;
  if (fstat(file_, &status) != 0) return false;  // nothing says that it was
  const timespec changed = changed_at(status);
  return static_cast<size_t>(status.st_size) != size_ || changed.tv_sec != seconds_ ||
         changed.tv_nsec != nanoseconds_;
}

namespace {

// `part` in whole pages. Rounded outwards: the mapping is read-only, so a neighbour whose page is
// dropped too only has it read again.
void advise(std::span<const std::byte> part, int advice) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data()) / page * page;
  const auto end =
      (reinterpret_cast<uintptr_t>(part.data()) + part.size() + page - 1) / page * page;
  madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

}  // namespace

size_t physical_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? size_t(pages) * size_t(page) : SIZE_MAX;
}

// In pieces: Linux reads no more of one request than the device takes at once.
void will_need(std::span<const std::byte> part) {
  constexpr size_t kPiece = 128 << 10;
  for (; part.size() > kPiece; part = part.subspan(kPiece)) {
    advise(part.first(kPiece), MADV_WILLNEED);
  }
  advise(part, MADV_WILLNEED);
}

// Linux would keep the pages for whoever maps them next, as lately used ones, and in their place
// drop others when memory gets short.
void drop_pages(std::span<const std::byte> part) {
#ifdef MADV_PAGEOUT
  advise(part, MADV_PAGEOUT);
#endif
  advise(part, MADV_DONTNEED);
}

void read_no_neighbours(std::span<const std::byte> part) { advise(part, MADV_RANDOM); }

#endif

std::string read_text(const std::filesystem::path& path) {
  const Mapping file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > kMaxText) {
    throw EngineError(ErrorCode::model_corrupt,
                      display(path) + " has " + std::to_string(bytes.size()) +
                          " bytes; the text files of a model have 256 MB at most. Download the "
                          "model again.");
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace ringside
