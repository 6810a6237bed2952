// What tests can do to the emulated device.
#pragma once

#include <stddef.h>

namespace ringside::emulator {

// Allocations beyond this are out of memory. 1 GiB at first.
void set_memory_limit(size_t bytes);

// The device is lost when it is waited for after `waits` more times, and whatever is asked of it
// then fails; -1: never, and no longer.
void lose_device_after(int waits);

// One allocation is out of memory, after `allocations` more; -1: none.
void fail_allocation_after(int allocations);

// There is another device, before the one that can be used, which another program has for itself.
void add_busy_device(bool add);

}  // namespace ringside::emulator
