// A backend's memory, owned.
#pragma once

#include <cstddef>
#include <utility>

#include "backend.h"

namespace ringside {

template <typename T>
class Buffer {
 public:
  Buffer() = default;
  // Contents undefined. Throws std::bad_alloc, or DeviceError.
  Buffer(Backend& backend, size_t size) : backend_(&backend), size_(size) {
    if (size > 0) data_ = static_cast<T*>(backend.allocate(size * sizeof(T)));
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) backend_->release(data_);
  }

  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  Backend* backend_ = nullptr;
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ringside
