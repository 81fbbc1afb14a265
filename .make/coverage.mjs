// Prints what llvm-cov exported: lines covered per file and per folder. node coverage.mjs ROOT EXPORT FOLDER=PERCENT…
import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

const [root, exported, ...bounds] = process.argv.slice(2);
const files = JSON.parse(readFileSync(exported, "utf8")).data[0].files.map(({ filename, summary }) => ({
  name: path.relative(root, filename), covered: summary.lines.covered, count: summary.lines.count,
}));

let missed = 0;
for (const bound of bounds) {
  const [folder, least] = bound.split("=");
  const of = files.filter(({ name }) => name.startsWith(`${folder}/`));
  if (of.length === 0) throw new Error(`no coverage of ${folder}`);
  for (const file of of) print(file);
  const sum = (field) => of.reduce((total, file) => total + file[field], 0);
  const all = { name: `${folder} (at least ${least} %)`, covered: sum("covered"), count: sum("count") };
  print(all);
  console.log();
  if (percent(all) < Number(least)) missed += 1;
}
if (missed > 0) {
  console.error("error: less than the bound is covered");
  process.exitCode = 1;
}

function percent({ covered, count }) {
  return count === 0 ? 100 : (100 * covered) / count;
}

function print(file) {
  console.log(`${percent(file).toFixed(1).padStart(5)} %  ${String(file.covered).padStart(5)} of ${String(file.count).padStart(5)} lines  ${file.name}`);
}
