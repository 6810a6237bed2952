// Weights and activations on the device, for the tests of the kernels that multiply them.
#pragma once

#include <cstring>

#include "../support.h"
#include "ops.h"
#include "orders.h"

namespace ringside::cuda {

// Device memory of just so many values, given back at the end. Full of NaN at first.
template <typename T>
class Array {
 public:
  Array(Device& device, size_t size)
      : device_(device), data_(device.allocate_array<T>(size)), size_(size) {
    const std::vector<uint8_t> nan(size * sizeof(T), 0xff);  // what a real device gives is old
    if (size > 0) device.upload(data_, nan.data(), nan.size());
  }
  template <typename U>
  Array(Device& device, const std::vector<U>& host) : Array(device, host.size()) {
    device.upload(data_, host.data(), host.size() * sizeof(U));
  }
  ~Array() { device_.release(data_); }
  Array(const Array&) = delete;  // owns the memory

  T* data() const { return data_; }
  std::vector<T> host() const {
    std::vector<T> values(size_);
    device_.download(values.data(), data_, size_ * sizeof(T));
    return values;
  }

 private:
  Device& device_;
  T* data_;
  size_t size_;
};

class Placed {
 public:
  Placed(Device& device, const Matrix& host, size_t staging_bytes = 1000)
      : memory_(device, placed_bytes(host)) {
    const Array<uint8_t> staging(device, staging_bytes);
    matrix = place(device, host, memory_.data(), staging.data(), staging_bytes);
  }
  Matrix matrix;

 private:
  Array<uint8_t> memory_;
};

// Rows of activations in all forms that their width allows.
class Inputs {
 public:
  Inputs(Device& device, const Floats& x, int cols)
      : Inputs(device, int(x.size()) / std::max(cols, 1), cols) {
    device.upload(f32.data(), x.data(), x.size() * sizeof(float));
    prepare(device.queue(), view, rows_, forms);
  }
  // Of values that are yet to be made.
  Inputs(Device& device, int n, int cols)
      : f32(device, size_t(n * cols)),
        q(device, size_t(n * cols)),
        groups(device, size_t(n * (cols / kGroup))),
        bf16(device, size_t(n * cols)),
        rows_(n) {
    view = {f32.data(), q.data(), groups.data(), bf16.data(), cols};
    forms = cols % kGroup == 0 ? kIntegers | kBf16 : kBf16;
  }

  Array<float> f32;
  Array<int8_t> q;
  Array<float2> groups;
  Array<uint16_t> bf16;
  Activations view;
  unsigned forms;

 private:
  int rows_;
};

inline std::unique_ptr<Backend> reference_backend() {
  auto backend = make_reference_backend();
  Limits wide = limits();
  wide.max_cols = wide.max_rows = wide.max_hidden = 2048;
  backend->reserve(wide);
  return backend;
}

}  // namespace ringside::cuda
