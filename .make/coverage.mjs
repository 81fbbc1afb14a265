// Prints what llvm-cov exported as lcov: lines covered per file, per folder and in all.
//   node coverage.mjs ROOT EXPORT FOLDER=PERCENT… (a dot is the whole)
// The tests that stand at the end of a file are no lines of it: they always run.
import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

const [root, exported, ...bounds] = process.argv.slice(2);
const files = readFileSync(exported, "utf8").split("end_of_record\n").filter((record) => record.includes("SF:")).map(read);

let missed = 0;
for (const bound of bounds) {
  const [folder, least] = bound.split("=");
  const of = folder === "." ? files : files.filter(({ name }) => name.startsWith(`${folder}/`));
  if (of.length === 0) throw new Error(`no coverage of ${folder}`);
  if (folder !== ".") for (const file of of) print(file);
  const sum = (field) => of.reduce((total, file) => total + file[field], 0);
  const all = { name: `${folder === "." ? "all" : folder} (at least ${least} %)`, covered: sum("covered"), count: sum("count") };
  print(all);
  console.log();
  if (percent(all) < Number(least)) missed += 1;
}
if (missed > 0) {
  console.error("error: less than the bound is covered");
  process.exitCode = 1;
}

/** One record: `SF:file`, then `DA:line,count` for each line that has code. */
function read(record) {
  const file = /^SF:(.*)$/m.exec(record)[1];
  const end = firstLineOfTests(readFileSync(file, "utf8"));
  const lines = [...record.matchAll(/^DA:(\d+),(\d+)/gm)].filter(([, line]) => Number(line) < end);
  return { name: path.relative(root, file), covered: lines.filter(([, , count]) => count !== "0").length, count: lines.length };
}

function firstLineOfTests(text) {
  const at = text.search(/^#\[cfg\(test\)\]\n(#\[.*\]\n)*mod \w+ \{/m);
  return at < 0 ? Infinity : text.slice(0, at).split("\n").length;
}

function percent({ covered, count }) {
  return count === 0 ? 100 : (100 * covered) / count;
}

function print(file) {
  console.log(`${percent(file).toFixed(1).padStart(5)} %  ${String(file.covered).padStart(5)} of ${String(file.count).padStart(5)} lines  ${file.name}`);
}
