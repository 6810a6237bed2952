// A file, mapped read-only: its pages are shared with every other process that maps it, and read
// from disk when first touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace ringside {

class Mapping {
 public:
  // Throws EngineError MODEL_NOT_FOUND if the file cannot be opened, OUT_OF_MEMORY if not mapped.
  explicit Mapping(const std::filesystem::path& path);
  ~Mapping();
  Mapping(const Mapping&) = delete;  // owns the mapping
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Whether the file was written to since: what was mapped is other bytes by then, and behind its
  // new end a read would end the process. Windows lets nobody write to it.
  bool has_changed() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
#ifndef _WIN32
  int file_ = -1;
  int64_t seconds_ = 0, nanoseconds_ = 0;  // of the last change
#endif
  const std::byte* data_ = nullptr;  // null for an empty file
  size_t size_ = 0;
};

// Hints to the system about a part of a mapping; failing changes nothing but speed. `will_need`:
// read it soon. `drop_pages`: its pages may leave this process's memory, before all others; touched
// again, they come back from the file. `read_no_neighbours`: when a page is touched that is not
// there, read it alone (Linux reads up to megabytes around it otherwise).
void will_need(std::span<const std::byte> part);
void drop_pages(std::span<const std::byte> part);
void read_no_neighbours(std::span<const std::byte> part);

// The memory of this computer in bytes; the largest number where the system does not tell.
size_t physical_memory();

// The whole of a text file. Throws EngineError MODEL_NOT_FOUND, MODEL_CORRUPT beyond 256 MB.
std::string read_text(const std::filesystem::path& path);

}  // namespace ringside
