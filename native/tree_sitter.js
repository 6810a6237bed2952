// Loads tree-sitter's runtime: the one that was packaged with the bundle, or the one that npm installed.
"use strict";

const { existsSync } = require("node:fs");
const { dirname, join } = require("node:path");

module.exports = () => {
  const packaged = join(__dirname, "tree-sitter.node"); // a bundle has __dirname = dist/
  if (existsSync(packaged)) return require(packaged);
  return require("node-gyp-build")(dirname(require.resolve("tree-sitter/package.json")));
};
