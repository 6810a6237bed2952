// Loads the addon: the packaged one beside the server's bundle, or the one that the build made.
"use strict";

const { existsSync } = require("node:fs");
const { join } = require("node:path");

/** A bundle has __dirname = dist/; the sources have __dirname = native/. */
const places = [
  join(__dirname, "ringside.node"),
  join(__dirname, "../dist/ringside.node"),
  join(__dirname, "../build/native/ringside.node"),
];

function load() {
  const place = places.find((path) => existsSync(path));
  if (place === undefined) {
    const message =
      `The native engine for ${process.platform}-${process.arch} is not at ` +
      `${places.join(" or ")}. Install the package made for this platform, or build it: ` +
      "node native/build.mjs";
    throw Object.assign(new Error(message), { code: "ENGINE_MISSING" });
  }
  try {
    return require(place);
  } catch (cause) {
    const message =
      `The native engine at ${place} does not load on ${process.platform}-${process.arch}: ` +
      `${cause.message}. Install the package made for this platform.`;
    throw Object.assign(new Error(message, { cause }), { code: "ENGINE_MISSING" });
  }
}

module.exports = load();
