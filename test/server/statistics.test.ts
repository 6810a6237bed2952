import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { Statistics } from "../../server/statistics";

const file = () => join(mkdtempSync(join(tmpdir(), "ringside-statistics-")), "new", "counts.json");
const on = (day: string) => () => new Date(`${day}T12:00:00`);
const quiet = () => assert.fail("no problem was expected");

suite("statistics", () => {
  test("counts by day, and in all", () => {
    let day = "2026-01-31";
    const statistics = new Statistics(null, quiet, () => on(day)());
    statistics.add({ shown: 2, accepted: 1 });
    day = "2026-02-01";
    statistics.add({ shown: 3 });
    const { days, total } = statistics.report();
    assert.deepEqual(
      days.map(({ day, shown, accepted }) => [day, shown, accepted]),
      [
        ["2026-01-31", 2, 1],
        ["2026-02-01", 3, 0],
      ],
    );
    assert.deepEqual([total.shown, total.accepted], [5, 1]);
  });
  test("knows quantiles of times to 8 %", () => {
    const statistics = new Statistics();
    for (let ms = 1; ms <= 1000; ms++) statistics.took(ms);
    const { p50Ms, p95Ms } = statistics.report().total;
    assert.ok(Math.abs(p50Ms! / 500 - 1) < 0.08, `${p50Ms}`);
    assert.ok(Math.abs(p95Ms! / 950 - 1) < 0.08, `${p95Ms}`);
    assert.equal(new Statistics().report().total.p50Ms, null);
  });
  test("outlasts the process", () => {
    const path = file();
    const first = new Statistics(path, quiet);
    first.add({ shown: 4 });
    first.took(10);
    first.save();
    const second = new Statistics(path, quiet);
    assert.deepEqual(second.report(), first.report());
    assert.equal(second.report().total.shown, 4);
  });
  test("adds up what several windows count", () => {
    const path = file();
    const windows = [new Statistics(path, quiet), new Statistics(path, quiet)];
    for (const each of windows) each.add({ shown: 5 });
    for (const each of windows) each.save();
    assert.equal(new Statistics(path, quiet).report().total.shown, 10);
    windows[0]!.add({ shown: 1 });
    windows[0]!.save();
    assert.equal(new Statistics(path, quiet).report().total.shown, 11);
  });
  test("sets aside a file that can't be read", () => {
    for (const damaged of ["{", "[1]", "null", ""]) {
      const path = file();
      new Statistics(path, quiet).clear();
      writeFileSync(path, damaged);
      const problems: string[] = [];
      const statistics = new Statistics(path, (problem) => problems.push(problem));
      assert.deepEqual(statistics.report().days, []);
      assert.match(problems.join(), /can't be read .*\.damaged now/);
      assert.equal(readFileSync(`${path}.damaged`, "utf8"), damaged);
    }
  });
  test("leaves alone a file that can't be read now, and saves later", () => {
    const path = file();
    mkdirSync(path, { recursive: true }); // reading a folder fails as reading a held file does
    const problems: string[] = [];
    const statistics = new Statistics(path, (problem) => problems.push(problem));
    statistics.add({ shown: 1 });
    statistics.save();
    assert.ok(problems.length >= 2 && problems.every((each) => /can't be read: /.test(each)));
    assert.ok(!existsSync(`${path}.damaged`));
    rmdirSync(path);
    statistics.save();
    assert.equal(new Statistics(path, quiet).report().total.shown, 1);
  });
  test("takes of a file what makes sense", () => {
    const path = file();
    new Statistics(path, quiet).clear();
    const row = { shown: -3, accepted: "many", kept: 2, times: { 5: 1, "": 1, x: 2, 1e9: 3 } };
    writeFileSync(path, JSON.stringify({ "2026-01-01": row, today: row, "2026-01-02": null }));
    const { days } = new Statistics(path, quiet).report();
    assert.deepEqual(
      days.map(({ day, shown, accepted, kept }) => [day, shown, accepted, kept]),
      [
        ["2026-01-01", 0, 0, 2],
        ["2026-01-02", 0, 0, 0],
      ],
    );
  });
  test("forgets when it is told to, the file too", () => {
    const path = file();
    const statistics = new Statistics(path, quiet);
    statistics.add({ shown: 1 });
    statistics.save();
    statistics.clear();
    assert.deepEqual(statistics.report().days, []);
    assert.deepEqual(new Statistics(path, quiet).report().days, []);
  });
  test("says that it could not save, and goes on counting", () => {
    const path = join(file(), "counts.json");
    new Statistics(join(path, ".."), quiet).clear(); // a file where a folder has to be
    const problems: string[] = [];
    const statistics = new Statistics(path, (problem) => problems.push(problem));
    statistics.add({ shown: 1 });
    statistics.save();
    assert.match(problems.join(), /could not be saved/);
    assert.equal(statistics.report().total.shown, 1);
    assert.ok(!existsSync(path));
  });
  test("keeps a year", () => {
    let day = 0;
    const start = new Date("2024-01-01T12:00:00").getTime();
    const now = () => new Date(start + day * 86_400_000);
    const statistics = new Statistics(null, quiet, now);
    for (day = 0; day < 400; day++) statistics.add({ shown: 1 });
    assert.equal(statistics.report().days.length, 366);
  });
});
