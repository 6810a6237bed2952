// Required before the server starts: gives the engine a GPU that is not there. What the GPU does is
// the variable RINGSIDE_FAKE_GPU: "works", "is lost" by the first generation, or "crashes" the probe.
"use strict";

const Module = require("node:module");

const does = process.env.RINGSIDE_FAKE_GPU;
const load = Module._extensions[".node"];
Module._extensions[".node"] = (module, path) => {
  load(module, path);
  if (/ringside\.node$/.test(path)) module.exports = withGpu(module.exports);
};

function withGpu(native) {
  return {
    ...native,
    Engine: { load: loader(native.Engine) },
    probeDevices,
    gpuLibrary: () => __filename,
  };
}

function probeDevices() {
  if (does === "crashes" && process.platform === "win32") process.exit(0xc0000005); // as it is seen there
  if (does === "crashes") process.kill(process.pid, "SIGSEGV");
  const memory = { totalBytes: 12e9, freeBytes: 11e9 };
  const gpu = { index: 0, name: "Fake GPU", computeCapability: "8.9", ...memory, problem: null };
  const versions = { runtimeVersion: "13.0", driverVersion: "13.0" };
  return { library: __filename, ...versions, devices: [gpu], problem: null };
}

/** Loads on the CPU, and says what it would on a GPU where `gpu` asks for one. */
function loader(Engine) {
  return async (path, { gpu = null, gpuMemoryBytes, ...options }, onProgress) => {
    const engine = await Engine.load(path, options, onProgress);
    if (gpu === null) return engine;
    const explanation = "All 6 layers run on the fake GPU.";
    const placement = { gpu: "Fake GPU", layers: 6, gpuLayers: 6, gpuBytes: 7e6, explanation };
    const info = { ...engine.info, backend: "cuda", placement };
    const lost = Object.assign(new Error("CUDA error 719."), { code: "DEVICE_LOST" });
    const bound = (key) => {
      if (typeof engine[key] !== "function") return engine[key];
      if (key !== "generate" || does !== "is lost") return engine[key].bind(engine);
      return () => ({ done: Promise.reject(lost), cancel: () => {} });
    };
    // Not a proxy of the engine itself: its info can't be replaced.
    return new Proxy({ info }, { get: (own, key) => own[key] ?? bound(key) });
  };
}
