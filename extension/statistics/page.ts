// The statistics as a page: no script, no network, every figure of a chart also in a table.

import type { Counts, Day, Statistics } from "../../server/protocol";

const DAYS = 30; // that the charts and the table show
const WIDTH = 640;
const HEIGHT = 140;
const LEFT = 48; // of the charts, for the axis
const BOTTOM = 20;

type Summary = Omit<Day, "day">;

/** The whole page. `nonce` is the one that the page's only style sheet is allowed by. */
export function statisticsPage({ days, total }: Statistics, nonce: string): string {
  const shown = days.slice(-DAYS);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-${nonce}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ringside statistics</title>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<main>
<h1>Ringside statistics</h1>
<p>Counted on this machine, for you alone: nothing of it is sent anywhere.</p>
<nav aria-label="Actions">
<a class="button" href="command:ringside.statistics">Refresh</a>
<a class="button" href="command:ringside.clearStatistics">Clear</a>
</nav>
${days.length === 0 ? "<p>Nothing has been proposed yet.</p>" : figures(total) + charts(shown) + table(shown)}
</main>
</body>
</html>
`;
}

function figures(total: Summary): string {
  const rows: [string, string, string][] = [
    ["Accepted", share(total.accepted, total.shown), `${total.accepted} of ${total.shown} shown`],
    [
      "Still there a minute later",
      share(total.kept, total.lookedFor),
      `${total.kept} of ${total.lookedFor} accepted`,
    ],
    [
      "Keys saved",
      String(total.acceptedCharacters),
      `characters accepted; ${total.typedAlong} more were typed as proposed`,
    ],
    ["Half of the answers within", time(total.p50Ms), `19 of 20 within ${time(total.p95Ms)}`],
    [
      "Read before",
      share(total.reusedTokens, total.promptTokens),
      "of what the model was shown, so it was not read again",
    ],
    ["Written", speed(total), `${total.modelCalls} times; ${total.known} answers were known`],
    ["Held back", String(total.heldBack), "proposals that the model was not sure of"],
  ];
  const items = rows.map(
    ([name, value, note]) => `<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`,
  );
  return `<h2>So far</h2>\n<dl>${items.join("\n")}</dl>\n`;
}

function charts(days: readonly Day[]): string {
  return `<h2>Over time</h2>
${chart("Share accepted", days, ({ accepted, shown }) => (shown === 0 ? null : (100 * accepted) / shown), " %")}
${chart("Half of the answers within", days, ({ p50Ms }) => p50Ms, " ms")}
`;
}

/** Bars, one a day; what they say is in the table too, so readers of the screen are told that much. */
function chart(
  title: string,
  days: readonly Day[],
  value: (day: Day) => number | null,
  unit: string,
): string {
  const values = days.map(value);
  const top = niceTop(Math.max(1, ...values.map((each) => each ?? 0)));
  const step = (WIDTH - LEFT) / Math.max(7, days.length);
  const bars = values.map((each, i) => {
    const height = ((HEIGHT - BOTTOM) * (each ?? 0)) / top;
    const x = LEFT + i * step + step * 0.15;
    const y = HEIGHT - BOTTOM - height;
    return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(step * 0.7).toFixed(1)}" height="${height.toFixed(1)}"/>`;
  });
  const label = (y: number, text: string) => `<text x="${LEFT - 6}" y="${y}">${text}</text>`;
  const first = days[0]!.day;
  const last = days.at(-1)!.day;
  return `<figure>
<figcaption>${title}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}, ${first} to ${last}; the table below has the figures">
<line x1="${LEFT}" y1="${HEIGHT - BOTTOM}" x2="${WIDTH}" y2="${HEIGHT - BOTTOM}"/>
${bars.join("")}
${label(10, `${top}${unit}`)}${label(HEIGHT - BOTTOM, `0${unit}`)}
<text class="day" x="${LEFT}" y="${HEIGHT - 4}">${first}</text>
</svg>
</figure>`;
}

/** 1, 2 or 5 times a power of ten, at least `value`. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((factor) => factor * power >= value) ?? 10) * power;
}

function table(days: readonly Day[]): string {
  const head = [
    "Day",
    "Shown",
    "Accepted",
    "Characters",
    "Half within",
    "19 of 20 within",
    "Read before",
  ];
  const rows = [...days].reverse().map((day) => {
    const cells = [
      String(day.shown),
      share(day.accepted, day.shown),
      String(day.acceptedCharacters),
      time(day.p50Ms),
      time(day.p95Ms),
      share(day.reusedTokens, day.promptTokens),
    ];
    return `<tr><th scope="row">${day.day}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<h2>By day</h2>
<div class="scroll" role="region" aria-label="By day" tabindex="0">
<table>
<thead><tr>${head.map((name) => `<th scope="col">${name}</th>`).join("")}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>
</div>
`;
}

function share(part: number, whole: number): string {
  return whole === 0 ? "–" : `${Math.round((100 * part) / whole)} %`;
}

function time(ms: number | null): string {
  if (ms === null) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function speed({ generatedTokens, decodeMs }: Counts): string {
  return decodeMs === 0 ? "–" : `${Math.round((1000 * generatedTokens) / decodeMs)} tokens/s`;
}

// The editor's own colours, so that every theme's contrast holds here too.
const style = `
body { font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); color: var(--vscode-foreground); background: var(--vscode-editor-background); }
main { max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2rem; }
a.button { display: inline-block; padding: .3rem .9rem; margin-right: .5rem; text-decoration: none; color: var(--vscode-button-foreground); background: var(--vscode-button-background); border: 1px solid var(--vscode-button-border, transparent); border-radius: 2px; }
a.button:hover { background: var(--vscode-button-hoverBackground); }
a.button:focus-visible, .scroll:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 2px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; }
dl > div { border-left: 2px solid var(--vscode-charts-blue, currentColor); padding-left: .8rem; }
dd { margin: .2rem 0 0; font-size: 1.5em; } dd small { display: block; font-size: .6em; line-height: 1.4; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .4rem; } svg { width: 100%; height: auto; }
rect { fill: var(--vscode-charts-blue, currentColor); } line { stroke: var(--vscode-foreground); }
text { fill: var(--vscode-foreground); font-size: 11px; text-anchor: end; } text.day { text-anchor: start; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--vscode-widget-border, var(--vscode-foreground)); font-weight: normal; }
th:first-child { text-align: left; } thead th { font-weight: bold; }
`;
