// Draws results/ring-attention.svg from results/ring-attention.json:
//
//   node test/bench/plot.mjs
//
// With --record DEVICE it first makes that JSON from the bench's output:
//
//   build/kernels/bench_kernels attention --json | node test/bench/plot.mjs --record "DEVICE"
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const results = new URL("results/", import.meta.url);
const jsonFile = new URL("ring-attention.json", results);

const panelWidth = 320;
const panelHeight = 260;
const top = 52;
const lefts = [78, 78 + panelWidth + 92];
const width = lefts[1] + panelWidth + 24;
const height = top + panelHeight + 118;

const style = `
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .small { font-size: 12px }
  .grid { stroke: #8c959f; stroke-opacity: .28 }
  .axis { stroke: #6e7781; fill: none }
  .line { fill: none; stroke-width: 2.25; stroke-linejoin: round }
  .full { stroke: #bc4c00 } .ring { stroke: #0969da }
  .dot.full { fill: #bc4c00 } .dot.ring { fill: #0969da } .dot { stroke: none }
  .wide { stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .full { stroke: #f0883e } .ring { stroke: #58a6ff }
    .dot.full { fill: #f0883e } .dot.ring { fill: #58a6ff }
  }`;

/** The recorded run: the bench's last line, and where and when it ran. */
function record(device) {
  const { attention, backend, threadCount, clock } = JSON.parse(
    readFileSync(0, "utf8").trimEnd().split("\n").at(-1),
  );
  const { reading, decoding, ...ring } = attention;
  const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const run = { device, commit, date, backend, threadCount, clock, ring };
  const lines = (rows) => rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  const head = JSON.stringify(run, null, 2).slice(0, -2);
  const tables = `  "table": [\n${lines(reading)}\n  ],\n  "decoding": [\n${lines(decoding)}\n  ]`;
  writeFileSync(jsonFile, `${head},\n${tables}\n}\n`);
}

const powersOf = (base, low, high) => {
  const powers = [];
  for (let x = base ** Math.floor(Math.log(low) / Math.log(base) + 1e-9); ; x *= base) {
    powers.push(x);
    if (x >= high * (1 - 1e-9)) return powers;
  }
};

const number = (x) => (x >= 1000 ? x.toLocaleString("en-US") : String(Number(x.toPrecision(3))));

/** A log-log panel: axes, grid, and a line for each of `series` ({ kind, wide, points: [x, y] }). */
function panel(left, title, unit, series) {
  const xs = series.flatMap(({ points }) => points.map(([x]) => x));
  const ys = series.flatMap(({ points }) => points.map(([, y]) => y));
  const xTicks = powersOf(2, Math.min(...xs), Math.max(...xs));
  const yTicks = powersOf(10, Math.min(...ys), Math.max(...ys));
  const along = (value, ticks) => Math.log(value / ticks[0]) / Math.log(ticks.at(-1) / ticks[0]);
  const px = (x) => (left + along(x, xTicks) * panelWidth).toFixed(1);
  const py = (y) => (top + (1 - along(y, yTicks)) * panelHeight).toFixed(1);
  const bottom = top + panelHeight;
  const right = left + panelWidth;
  const parts = [`<text class="title" x="${left}" y="${top - 18}">${title}</text>`];
  for (const x of xTicks) {
    parts.push(`<path class="grid" d="M${px(x)} ${top}V${bottom}"/>`);
    parts.push(
      `<text class="small" x="${px(x)}" y="${bottom + 18}" text-anchor="middle">${number(x)}</text>`,
    );
  }
  for (const y of yTicks) {
    parts.push(`<path class="grid" d="M${left} ${py(y)}H${right}"/>`);
    parts.push(
      `<text class="small" x="${left - 8}" y="${Number(py(y)) + 4}" text-anchor="end">${number(y)}</text>`,
    );
  }
  parts.push(`<path class="axis" d="M${left} ${top}V${bottom}H${right}"/>`);
  const middle = top + panelHeight / 2;
  parts.push(
    `<text x="${left + panelWidth / 2}" y="${bottom + 40}" text-anchor="middle">tokens read</text>`,
    `<text transform="translate(${left - 62} ${middle}) rotate(-90)" text-anchor="middle">${unit}</text>`,
  );
  for (const { kind, wide, points } of series) {
    const path = points.map(([x, y]) => `${px(x)} ${py(y)}`).join("L");
    parts.push(`<path class="line ${kind}${wide ? " wide" : ""}" d="M${path}"/>`);
    for (const [x, y] of points)
      parts.push(`<circle class="dot ${kind}" cx="${px(x)}" cy="${py(y)}" r="3"/>`);
  }
  return parts.join("\n");
}

/** One line for each kind of attention and shape of layer; `value` takes a row and a kind. */
function seriesOf(table, value) {
  const shapes = [...new Set(table.map(({ heads }) => heads))];
  return shapes.flatMap((heads, i) =>
    ["full", "ring"].map((kind) => ({
      kind,
      wide: i > 0,
      points: table
        .filter((row) => row.heads === heads)
        .map((row) => [row.tokens, value(row, kind)]),
    })),
  );
}

function legend(table) {
  const y = height - 40;
  const parts = [];
  let x = lefts[0];
  const keys = new Set(
    table.map((r) => `${r.heads} heads, ${r.kvHeads} kv, ${r.headDim} channels`),
  );
  for (const [i, shape] of [...keys].entries())
    for (const kind of ["full", "ring"]) {
      const dash = i > 0 ? " wide" : "";
      parts.push(`<path class="line ${kind}${dash}" d="M${x} ${y + 24 * i - 4}h34"/>`);
      parts.push(`<text x="${x + 42}" y="${y + 24 * i}">${kind} attention, ${shape}</text>`);
      x = kind === "full" ? lefts[1] : lefts[0];
    }
  return parts.join("\n");
}

const flag = process.argv.indexOf("--record");
if (flag > 0) record(process.argv[flag + 1]);
const { table } = JSON.parse(readFileSync(jsonFile, "utf8"));
const time = seriesOf(table, (row, kind) => row[`${kind}Milliseconds`]);
const memory = seriesOf(table, (row, kind) => row[`${kind}Bytes`] / 2 ** 20);
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Time and memory of ring and full attention against tokens read">
<style>${style}
</style>
${panel(lefts[0], "Time to read, one layer", "milliseconds", time)}
${panel(lefts[1], "Keys and values kept, one layer", "MiB", memory)}
${legend(table)}
</svg>
`;
writeFileSync(new URL("ring-attention.svg", results), svg);
