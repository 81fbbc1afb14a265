// Puts the static files together in build/public, the folder that wrangler.toml names: console/public,
// Swagger UI from its npm package, and the OpenAPI document without its white space.
//
// Files are written in place and only where they differ: a running workerd goes on serving the folder, and
// their times, from which it makes ETags, change only with their content.

import fs from "node:fs";
import path from "node:path";

import { ROOT } from "./vars.mjs";

const TARGET = path.join(ROOT, "build/public");
const PAGES = path.join(ROOT, "console/public");
const SWAGGER_UI = path.join(ROOT, "node_modules/swagger-ui-dist");
const SWAGGER_UI_FILES = { "swagger-ui.css": "swagger-ui.css", "swagger-ui-bundle.js": "swagger-ui-bundle.js", LICENSE: "LICENSE.txt", NOTICE: "NOTICE.txt" };

const files = new Map();
for (const name of filesIn(PAGES)) files.set(name, fs.readFileSync(path.join(PAGES, name)));
for (const [from, to] of Object.entries(SWAGGER_UI_FILES)) files.set(`docs/${to}`, fs.readFileSync(path.join(SWAGGER_UI, from)));
const document = JSON.parse(fs.readFileSync(path.join(ROOT, "docs/openapi.json"), "utf8"));
files.set("openapi.json", Buffer.from(JSON.stringify(document)));

fs.mkdirSync(TARGET, { recursive: true });
for (const name of filesIn(TARGET)) if (!files.has(name)) fs.rmSync(path.join(TARGET, name));
for (const [name, bytes] of files) {
  const file = path.join(TARGET, name);
  if (fs.existsSync(file) && fs.readFileSync(file).equals(bytes)) continue;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  // Whole or not at all: somebody may be reading the old one.
  fs.writeFileSync(`${file}.next`, bytes);
  fs.renameSync(`${file}.next`, file);
}

function filesIn(folder) {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}
