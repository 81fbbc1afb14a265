// What the story needs besides curl: a value out of JSON, and a CSV that equals it.
//
//   json.mjs get PATH                 standard input -> the value at a.b.0.c; a string bare, all else as JSON
//   json.mjs total PATH FILE          the sum of that number over `items`
//   json.mjs ledger FILE              requests of inference at the provider, and their tokens
//   json.mjs audit FILE               what was done, oldest first
//   json.mjs csv FILE.csv FILE.json   whether the file has the same rows and columns as `items`
import fs from "node:fs";

const [verb, ...rest] = process.argv.slice(2);
const at = (value, path) => path.split(".").filter(Boolean).reduce((inner, name) => inner?.[name], value);
const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));
const items = (file) => read(file).items;
const input = () => fs.readFileSync(0, "utf8");

/** RFC 4180: commas, quotes, CRLF. */
function rows(text) {
  const found = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/gy;
  let row = [];
  while (cell.lastIndex < text.length) {
    const match = cell.exec(text);
    if (!match) throw new Error(`no CSV at ${cell.lastIndex}`);
    row.push(match[1]?.replaceAll('""', '"') ?? match[2]);
    if (match[3] !== ",") {
      found.push(row);
      row = [];
    }
  }
  return found;
}

function compare(csvFile, jsonFile) {
  const [header, ...lines] = rows(fs.readFileSync(csvFile, "utf8"));
  const meantRows = items(jsonFile);
  if (meantRows.length === 0) throw new Error("no rows to compare");
  if (lines.length !== meantRows.length) throw new Error(`${lines.length} lines, ${meantRows.length} items`);
  for (const [place, item] of meantRows.entries()) {
    const names = Object.keys(item);
    const missing = names.filter((name) => !header.includes(name));
    if (missing.length) throw new Error(`no column ${missing}`);
    for (const [column, name] of header.entries()) {
      const [shown, meant] = [lines[place][column], item[name] ?? ""];
      if (shown !== String(meant)) throw new Error(`row ${place}, ${name}: ${shown} is not ${meant}`);
    }
  }
  return `${lines.length} rows of ${header.length} columns`;
}

if (verb === "get") {
  const value = at(JSON.parse(input()), rest[0]);
  console.log(typeof value === "string" ? value : JSON.stringify(value ?? null));
} else if (verb === "total") {
  console.log(items(rest[1]).reduce((sum, item) => sum + at(item, rest[0]), 0));
} else if (verb === "ledger") {
  const entries = read(rest[0]).entries.filter(({ method }) => method === "POST");
  console.log(entries.length, entries.reduce((sum, { tokens }) => sum + tokens, 0));
} else if (verb === "audit") {
  console.log(items(rest[0]).map(({ action, target_kind }) => `${action} ${target_kind}`).reverse().join(", "));
} else if (verb === "csv") {
  console.log(compare(...rest));
} else {
  throw new Error(`unknown verb ${verb}`);
}
