// Who may import whom: read from the sources, so that a shortcut fails here and not in a year.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { suite, test } from "node:test";

const root = join(__dirname, "../..");
const MAX_LINES = 450;

interface Source {
  readonly path: string; // from the root, with /
  readonly text: string;
}

function sourcesIn(folder: string): Source[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js|h|cpp|cu)$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.includes("node_modules"))
    .map((path) => ({
      path: relative(root, path).split(sep).join("/"),
      text: readFileSync(path, "utf8"),
    }));
}

/** What a source imports or includes, as it says it. */
function importsOf({ path, text }: Source): string[] {
  const pattern = /\.(h|cpp|cu)$/.test(path)
    ? /^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm
    : /(?:\bfrom\s+|\bimport\s+|\bimport\(\s*|\brequire\(\s*)["']([^"']+)["']/g;
  return [...text.matchAll(pattern)].map(([, name]) => name!);
}

interface Rule {
  readonly says: string;
  readonly over: RegExp; // paths that the rule is about
  readonly forbids: RegExp; // imports
  readonly except?: RegExp; // paths that may
}

const network =
  /^(node:)?(http2?|https|net|tls|dgram|dns(\/promises)?|undici|axios|node-fetch|ws)$/;
const native = /^(\.\.\/)+native(\/|$)/;

const rules: readonly Rule[] = [
  { says: "vscode only in extension/", over: /^(server|native|training)\//, forbids: /^vscode$/ },
  {
    says: "the LSP library only in server/main",
    over: /^server\//,
    forbids: /^vscode-(languageserver|languageclient|jsonrpc)/,
    except: /^server\/main\.ts$/,
  },
  {
    says: "extension/ imports of server/ only the protocol",
    over: /^extension\//,
    forbids: /server\/(?!protocol$)/,
  },
  { says: "extension/ never imports native/", over: /^extension\//, forbids: native },
  {
    says: "server/ reaches native/ only through engine, and through probe in its own process",
    over: /^server\//,
    forbids: native,
    except: /^server\/(engine|probe)\.ts$/,
  },
  { says: "server/ never imports extension/", over: /^(server|native)\//, forbids: /extension\// },
  {
    says: "network only in server/models/download and server/remote/client",
    over: /^(server|extension)\//,
    forbids: network,
    except: /^server\/(models\/download|remote\/client)\.ts$/,
  },
  {
    says: "downloads only for what was asked for by name",
    over: /^(server|extension)\//,
    forbids: /(^|\/)(download|pull)$/,
    except: /^server\/models\/(pull|cli|requests)\.ts$/,
  },
  {
    says: "endpoints only for who opens what the user named",
    over: /^(server\/(?!remote\/)|extension\/)/,
    forbids: /(^|\/)remote\//,
    except: /^server\/(session|main)\.ts$/,
  },
  {
    says: "prompt, finish and cache import only each other",
    over: /^server\/(prompt|window|fim|tuning|finish|cache)\.ts$/,
    forbids: /^(?!\.\/(prompt|window|lines|fim|finish|cache|generator|units|protocol)$)/,
  },
  { says: "debounce imports nothing", over: /^server\/debounce\.ts$/, forbids: /./ },
  {
    says: "napi.h only in native/addon",
    over: /^(native|kernels)\//,
    forbids: /^(napi|node_api|uv)\.h$/,
    except: /^native\/addon\.cpp$/,
  },
  {
    says: "the addon's headers only in the addon",
    over: /^(native|kernels)\//,
    forbids: /addon_\w+\.h$/,
    except: /^native\/addon(\.cpp|_\w+\.h)$/,
  },
  {
    says: "intrinsics only in kernels/cpu/dot_*",
    over: /^(native|kernels)\//,
    forbids: /^(\w*mmintrin|x86intrin|arm_neon|arm_sve)\.h$/,
    except: /^kernels\/cpu\/dot_\w+\.cpp$/,
  },
  {
    says: "native/ knows of kernels/ its backend and types alone",
    over: /^native\//,
    forbids: /kernels\/(?!(backend|quant)\.h$)/,
  },
  {
    says: "CUDA's and AMD's headers only in kernels/cuda",
    over: /^(native|kernels)\//,
    forbids: /^(cuda(?!_backend)\w*|hip\/\w+|nvml)\.h$/,
    except: /^kernels\/cuda\/(queue\.h|device\.cu)$/,
  },
  {
    says: "native/ and the other kernels know of kernels/cuda nothing",
    over: /^(native|kernels\/(?!cuda\/))/,
    forbids: /(^|\/)cuda\//,
  },
  { says: "kernels/ never includes native/", over: /^kernels\//, forbids: /native\// },
  { says: "nobody imports probe", over: /^(server|extension)\//, forbids: /(^|\/)probe$/ },
  {
    says: "texts of refactorings know of no editor",
    over: /^extension\/refactor\/(hunks|proposal|unfinished|history|presets)\.ts$/,
    forbids: /^(vscode|node:)/,
  },
];

/** What breaks a rule: `path imports name: rule`. */
function violations(sources: readonly Source[]): string[] {
  return sources.flatMap((source) =>
    rules
      .filter(({ over, except }) => over.test(source.path) && !except?.test(source.path))
      .flatMap(({ says, forbids }) =>
        importsOf(source)
          .filter((name) => forbids.test(name))
          .map((name) => `${source.path} imports ${name}: ${says}`),
      ),
  );
}

const calls = /\b(fetch|XMLHttpRequest|WebSocket|EventSource)\s*\(/;
const ours = ["extension", "server", "native", "kernels"].flatMap(sourcesIn);

/** A planted source must break exactly the rules that say `expected`. */
function check(path: string, text: string, ...expected: string[]) {
  const found = violations([{ path, text }]).map((line) => line.replace(/^.*?: /, ""));
  assert.deepEqual(found, expected);
}

suite("architecture", () => {
  test("reads the sources", () => {
    assert.ok(ours.length > 40);
    const main = ours.find(({ path }) => path === "server/main.ts")!;
    assert.ok(importsOf(main).includes("vscode-languageserver/node"));
  });
  test("has every import where it belongs", () => assert.deepEqual(violations(ours), []));
  test("calls no network", () => {
    const own = ours.filter(
      ({ path }) => /^(server|extension)\//.test(path) && path !== "server/models/download.ts",
    );
    assert.deepEqual(
      own.filter(({ text }) => calls.test(text)).map(({ path }) => path),
      [],
    );
    assert.match("await fetch(url)", calls);
  });
  test("has files that fit a reader", () => {
    const long = ours.filter(({ text }) => text.split("\n").length > MAX_LINES);
    assert.deepEqual(
      long.map(({ path }) => path),
      [],
    );
  });
  test("has defaults of settings in package.json alone", () => {
    const { text } = ours.find(({ path }) => path === "server/settings.ts")!;
    assert.match(text, /import manifest from "\.\.\/package\.json"/);
    const own = ours.filter(({ path }) => /^(server|extension)\//.test(path));
    const given = /\b(contextTokens|maxTokens|debounceMs|threads)\s*(:|=|\?\?)\s*\d/;
    assert.deepEqual(
      own.filter(({ text }) => given.test(text)).map(({ path }) => path),
      [],
    );
    assert.match("{ maxTokens: 48 }", given);
  });
  test("finds what is planted", () => {
    check("server/x.ts", 'import { window } from "vscode";', rules[0]!.says);
    check("server/x.ts", 'import * as s from "vscode-languageserver/node";', rules[1]!.says);
    check("extension/x.ts", 'import { finish } from "../server/finish";', rules[2]!.says);
    check("extension/x.ts", 'const e = require("../native/index.js");', rules[3]!.says);
    check("server/cli.ts", 'const e = await import("../native");', rules[4]!.says);
    check("server/x.ts", 'import "../extension/main";', rules[5]!.says);
    check("server/x.ts", 'import { get } from "node:https";', rules[6]!.says);
    check("server/models/source.ts", 'import { request } from "undici";', rules[6]!.says);
    check("extension/x.ts", 'const { connect } = require("node:net");', rules[6]!.says);
    check("server/remote/engine.ts", 'import { request } from "undici";', rules[6]!.says);
    check("server/models/download.ts", 'import { request } from "undici";');
    check("server/remote/client.ts", 'import { request } from "undici";');
    check(
      "server/context/context.ts",
      'import { openEndpoint } from "../remote/open";',
      rules[8]!.says,
    );
    check("server/session.ts", 'import { download } from "./models/download";', rules[7]!.says);
    check("server/models/source.ts", 'import { pull } from "./pull";', rules[7]!.says);
    check("server/cache.ts", 'import { readFileSync } from "node:fs";', rules[9]!.says);
    check("server/debounce.ts", 'import { lines } from "./prompt";', rules[10]!.says);
    check("native/engine.cpp", "#include <napi.h>", rules[11]!.says);
    check("native/engine.cpp", '#include "addon_call.h"', rules[12]!.says);
    check("kernels/cpu/threads.cpp", "#include <immintrin.h>", rules[13]!.says);
    check("native/model.cpp", '#include "../kernels/cpu/cpu.h"', rules[14]!.says);
    check("kernels/gpu_library.cpp", "#include <cuda_runtime.h>", rules[15]!.says);
    check("kernels/cuda/norms.cu", "#include <hip/hip_runtime.h>", rules[15]!.says);
    check("native/model.cpp", '#include "cuda/ops.h"', rules[16]!.says);
    check("kernels/reference.cpp", '#include "../native/engine.h"', rules[17]!.says);
    check("server/devices.ts", 'import "./probe";', rules[18]!.says);
    const editor = "texts of refactorings know of no editor";
    check("extension/refactor/hunks.ts", 'import { Range } from "vscode";', editor);
  });

  test("the hash of the GPU library's interface is of every header that both sides see", () => {
    const cmake = readFileSync(join(root, "kernels/CMakeLists.txt"), "utf8");
    const hashed = /set\(interface ([^)]*)\)/.exec(cmake)?.[1]?.split(" ") ?? [];
    assert.ok(hashed.includes("gpu_library.h") && hashed.includes("device_error.h"));
    for (const header of hashed) {
      const text = readFileSync(join(root, "kernels", header), "utf8");
      for (const [, included] of text.matchAll(/#include "([^"]+)"/g)) {
        assert.ok(hashed.includes(included!), `${header} includes ${included}`);
      }
    }
  });
});
