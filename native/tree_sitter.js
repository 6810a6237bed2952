// Loads tree-sitter's runtime: the one that was packaged with the bundle, or the one that npm installed.
"use strict";

const { existsSync, readdirSync } = require("node:fs");
const { dirname, join } = require("node:path");

// A bundle has __dirname = dist/.
const runtime = join(__dirname, "tree-sitter.node");
const grammars = join(__dirname, "grammars");

/** Has the grammars that were packaged with the bundle loaded in place of those that npm installed. */
function preferPackagedGrammars() {
  for (const name of existsSync(grammars) ? readdirSync(grammars) : []) {
    // Where node-gyp-build looks, which a grammar's own JavaScript calls.
    const variable = `${name.toUpperCase().replaceAll("-", "_")}_PREBUILD`;
    process.env[variable] = join(grammars, name);
  }
}

module.exports = () => {
  preferPackagedGrammars();
  if (existsSync(runtime)) return require(runtime);
  return require("node-gyp-build")(dirname(require.resolve("tree-sitter/package.json")));
};
