// What goes wrong on a device that computes for the processor.
#pragma once

#include <stdexcept>
#include <string>

namespace ringside {

// The device can't be used, or not any longer; or, where out_of_memory, has no room. What it says
// are whole sentences.
class DeviceError : public std::runtime_error {
 public:
  explicit DeviceError(const std::string& what, bool out_of_memory = false)
      : std::runtime_error(what), out_of_memory_(out_of_memory) {}

  bool out_of_memory() const { return out_of_memory_; }

 private:
  bool out_of_memory_;
};

}  // namespace ringside
