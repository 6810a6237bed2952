// Asks the graphics driver for GPUs and prints the report: the program of the process that
// devices.ts starts, so that a driver which crashes or hangs takes nothing else with it.

import type * as Native from "../native";

function report(): Native.DeviceReport {
  try {
    const native: typeof Native = require("../native/index.js");
    return native.probeDevices();
  } catch (error) {
    const problem = (error as Error).message; // the engine is missing, or made for another platform
    return { library: null, runtimeVersion: null, driverVersion: null, devices: [], problem };
  }
}

// A line of its own: drivers print too.
process.stdout.write(`\n${JSON.stringify(report())}\n`);
