// Typing, replayed: pieces of real files are typed key by key, and what is proposed is taken where it is
// what comes next. Prints a table that the next change can be compared with.
//
//   node --import tsx test/bench/replay.ts [--pieces N] [--eagerness low,medium,high,always]
//     [--model PATH] [--json]

import { parseArgs } from "node:util";
import type { Eagerness } from "../../server/protocol";
import { BenchClient, quantile } from "./client";
import { corpus, randomNumbers, type SourceFile } from "./corpus";

const PIECE = 160; // characters that are typed in one file, to the end of a line
const EAGERNESS = ["low", "medium", "high", "always"] as const;

const { values } = parseArgs({
  options: {
    pieces: { type: "string", default: "40" },
    eagerness: { type: "string", default: EAGERNESS.join(",") },
    model: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

/** A file that ends in the middle, what is typed there, and what follows. */
interface Piece {
  readonly file: SourceFile;
  readonly before: string;
  readonly typed: string;
  readonly after: string;
}

interface Totals {
  keys: number; // pressed: typed characters, and one for each that was taken
  characters: number; // that were written by them
  shown: number;
  kept: number;
  /** Proposals that were replaced or went away although the key went along with them. */
  flicker: number;
  replyMs: number[];
}

function pieces(): Piece[] {
  const random = randomNumbers(7);
  const files = corpus().filter(({ text }) => text.length > 6 * PIECE);
  return Array.from({ length: Number(values.pieces) }, () => {
    const file = files[Math.floor(random() * files.length)]!;
    const { text } = file;
    const middle = Math.floor((0.2 + 0.6 * random()) * text.length);
    const start = text.lastIndexOf("\n", middle) + 1;
    const end = text.indexOf("\n", start + PIECE);
    const stop = end === -1 ? text.length : end;
    return {
      file,
      before: text.slice(0, start),
      typed: text.slice(start, stop),
      after: text.slice(stop),
    };
  });
}

/** Of `proposal`, the whole lines that come next: what a user would take, at once or by line. */
function takeable(proposal: string, next: string): string {
  const lines = proposal.split("\n");
  for (let count = lines.length; count > 0; count--) {
    const part = lines.slice(0, count).join("\n");
    if (part.trim() !== "" && next.startsWith(part)) return part;
  }
  return "";
}

async function typePiece(client: BenchClient, piece: Piece, totals: Totals): Promise<void> {
  const uri = `file:///src/${piece.file.path}`;
  await client.open(uri, piece.file.languageId, piece.before + piece.after);
  const lines = piece.before.split("\n");
  const position = { line: lines.length - 1, character: lines.at(-1)!.length };
  let rest = piece.typed;
  let shown = ""; // what is painted behind the cursor
  while (rest !== "") {
    const along = shown !== "" && shown.startsWith(rest[0]!);
    const expected = along ? shown.slice(1) : "";
    await insert(rest[0]!);
    totals.keys++;
    const { text, replyMs } = await client.ask(uri, position);
    totals.replyMs.push(replyMs);
    if (expected !== "" && text !== expected) totals.flicker++;
    if (text !== "" && text !== expected) totals.shown++;
    shown = text;
    const taken = takeable(text, rest);
    if (taken === "") continue;
    totals.kept++;
    totals.keys++;
    await insert(taken);
    shown = "";
  }
  await client.close(uri);

  async function insert(text: string): Promise<void> {
    await client.type(uri, position, text);
    const typed = text.split("\n");
    position.line += typed.length - 1;
    position.character = (typed.length === 1 ? position.character : 0) + typed.at(-1)!.length;
    rest = rest.slice(text.length);
    totals.characters += text.length;
  }
}

async function replay(eagerness: Eagerness) {
  const client = await BenchClient.start({ eagerness, model: values.model ?? null });
  const totals: Totals = { keys: 0, characters: 0, shown: 0, kept: 0, flicker: 0, replyMs: [] };
  for (const piece of pieces()) await typePiece(client, piece, totals);
  const { total } = await client.statistics();
  client.stop();
  const { replyMs, ...counts } = totals;
  const round = (value: number) => Math.round(value * 1000) / 1000;
  return {
    eagerness,
    ...counts,
    keptShare: round(totals.kept / Math.max(1, totals.shown)),
    keysSaved: round(1 - totals.keys / totals.characters),
    flickerPer100Keys: round((100 * totals.flicker) / totals.keys),
    modelCalls: total.modelCalls,
    reusedShare: round(total.reusedTokens / Math.max(1, total.promptTokens)),
    p50Ms: round(quantile(replyMs, 0.5)),
    p95Ms: round(quantile(replyMs, 0.95)),
  };
}

async function main(): Promise<void> {
  const wanted = values.eagerness.split(",").map((name) => {
    const found = EAGERNESS.find((each) => each === name);
    if (found === undefined) throw new Error(`"${name}" is none of ${EAGERNESS.join(", ")}.`);
    return found;
  });
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  console.log(
    "| Eagerness | Characters | Shown | Kept | Of those shown | Keys saved | Flicker per 100 keys | Model calls | Read before | p50 | p95 |",
  );
  console.log(`|${"---|".repeat(11)}`);
  const all = [];
  for (const eagerness of wanted) {
    const row = await replay(eagerness);
    all.push(row);
    const cells = [
      ...[eagerness, row.characters, row.shown, row.kept, percent(row.keptShare)],
      ...[percent(row.keysSaved), row.flickerPer100Keys.toFixed(2), row.modelCalls],
      ...[percent(row.reusedShare), `${row.p50Ms.toFixed(1)} ms`, `${row.p95Ms.toFixed(1)} ms`],
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
  if (values.json) console.log(JSON.stringify(all));
}

void main();
