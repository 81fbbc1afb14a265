// Puts the static files together in build/public, the folder that wrangler.toml names: console/public, the
// console (WebAssembly, scripts, styles, icons), Swagger UI from its npm package, and the OpenAPI document
// without its white space. Beside it build/compressed has the same files compressed, for plain workerd;
// Cloudflare compresses by itself.
//
// What the console consists of has a hash of its content in its name, so that browsers may keep it for ever;
// index.html, which they must not, tells the names. Files are written in place and only where they differ: a
// running workerd goes on serving the folder, and their times, from which it makes ETags, change only with
// their content.

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import zlib from "node:zlib";

import esbuild from "esbuild";

import { ROOT } from "./vars.mjs";

const TARGET = path.join(ROOT, "build/public");
const COMPRESSED = path.join(ROOT, "build/compressed");
const CONSOLE = path.join(ROOT, "console");
const BUILT = path.join(ROOT, "build/console");
const ICONS = path.join(ROOT, "node_modules/lucide-static/icons");
const SWAGGER_UI = path.join(ROOT, "node_modules/swagger-ui-dist");
const SWAGGER_UI_FILES = { "swagger-ui.css": "swagger-ui.css", "swagger-ui-bundle.js": "swagger-ui-bundle.js", LICENSE: "LICENSE.txt", NOTICE: "NOTICE.txt" };
const COMPRESSIBLE = /\.(css|html|js|json|svg|txt|wasm)$/;
/** All that the first paint and the first click need, compressed. */
const FIRST_LOAD_BYTES_MAX = 350 * 1024;

const files = new Map();
const pages = path.join(CONSOLE, "public");
for (const name of filesIn(pages)) files.set(name, fs.readFileSync(path.join(pages, name)));
for (const [from, to] of Object.entries(SWAGGER_UI_FILES)) files.set(`docs/${to}`, fs.readFileSync(path.join(SWAGGER_UI, from)));
const document = JSON.parse(fs.readFileSync(path.join(ROOT, "docs/openapi.json"), "utf8"));
files.set("openapi.json", Buffer.from(JSON.stringify(document)));
files.set("licenses.txt", Buffer.from(licences()));
const first = await addConsole();

replaceFolder(TARGET, files);
const compressed = compress(files);
replaceFolder(COMPRESSED, compressed);

const size = first.reduce((sum, name) => sum + (compressed.get(`${name}.br`) ?? files.get(name)).length, 0);
console.log(`build: the console's first load is ${(size / 1024).toFixed(1)} KiB in ${first.length} files, compressed`);
// Said here and judged by a test: a page that is too large is better than none.
if (size > FIRST_LOAD_BYTES_MAX && !process.env.CONSOLE_PROFILE) console.error(`build: warning: that is more than ${FIRST_LOAD_BYTES_MAX / 1024} KiB`);

/** Adds what the console consists of; the names of what its first load asks for. */
async function addConsole() {
  const wasm = addHashed("sluice.wasm", fs.readFileSync(path.join(BUILT, "gateway-console_bg.wasm")));
  const charts = addHashed("charts.js", await script("charts.js"));
  const style = addHashed("console.css", await styles());
  const theme = addHashed("theme.js", await script("theme.js", { format: "iife" }));
  const main = addHashed("main.js", await script("main.js", { define: { WASM: JSON.stringify(`/${wasm}`), CHARTS: JSON.stringify(`/${charts}`) } }));
  const texts = { WASM: `/${wasm}`, MAIN: `/${main}`, STYLE: `/${style}`, THEME: `/${theme}`, ICONS: iconSprite() };
  const page = files.get("index.html").toString().replace(/\{\{(\w+)\}\}/g, (all, name) => {
    if (!texts[name]) throw new Error(`index.html: ${all} is not known`);
    return texts[name];
  });
  files.set("index.html", Buffer.from(page));
  return ["index.html", wasm, main, style, theme];
}

function addHashed(name, bytes) {
  const hash = createHash("sha256").update(bytes).digest("base64url").slice(0, 10);
  const dot = name.lastIndexOf(".");
  const hashed = `assets/${name.slice(0, dot)}-${hash}${name.slice(dot)}`;
  files.set(hashed, bytes);
  return hashed;
}

/** One of console/scripts with all that it imports. */
async function script(name, options = {}) {
  const built = await esbuild.build({
    entryPoints: [path.join(CONSOLE, "scripts", name)],
    bundle: true, minify: true, write: false, format: "esm", target: "es2022", legalComments: "none",
    alias: { console: path.join(BUILT, "gateway-console.js") }, nodePaths: [path.join(ROOT, "node_modules")],
    external: ["/assets/*"],
    ...options,
  });
  return Buffer.from(built.outputFiles[0].contents);
}

/** All styles in the order of their cascade: tokens, base, layout, components, pages. */
async function styles() {
  const folder = path.join(CONSOLE, "styles");
  const of = (name) => filesIn(path.join(folder, name)).sort().map((file) => `${name}/${file}`);
  const order = ["tokens.css", "base.css", "layout.css", ...of("components"), ...of("pages")];
  const lines = ["@import \"uplot/dist/uPlot.min.css\" layer(base);", ...order.map((file) => `@import "./${file}";`)];
  const built = await esbuild.build({
    stdin: { contents: lines.join("\n"), resolveDir: folder, loader: "css" },
    bundle: true, minify: true, write: false, legalComments: "none", nodePaths: [path.join(ROOT, "node_modules")],
  });
  return Buffer.from(built.outputFiles[0].contents);
}

/** The icons that console/src/icons.rs names, as symbols that stand in the page itself. */
function iconSprite() {
  const source = fs.readFileSync(path.join(CONSOLE, "src/icons.rs"), "utf8");
  const names = [...new Set([...source.matchAll(/=> "([a-z0-9-]+)"/g)].map((match) => match[1]))].sort();
  if (!names.length) throw new Error("console/src/icons.rs names no icon");
  const symbols = names.map((name) => {
    const file = path.join(ICONS, `${name}.svg`);
    if (!fs.existsSync(file)) throw new Error(`console/src/icons.rs: lucide has no icon ${name}`);
    const body = fs.readFileSync(file, "utf8").replace(/<!--.*?-->/gs, "").replace(/^[\s\S]*?<svg[^>]*>|<\/svg>[\s\S]*$/g, "");
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${body.replace(/\s+/g, " ").trim()}</symbol>`;
  });
  return `<svg class="icon-sprite" aria-hidden="true"><!-- Icons: Lucide, ISC licence, lucide.dev -->${symbols.join("")}</svg>`;
}

/** What the licences of bundled packages ask to be passed on. */
function licences() {
  const of = (name) => `${name}\n\n${fs.readFileSync(path.join(ROOT, "node_modules", name, "LICENSE"), "utf8").trim()}\n`;
  return ["uplot", "lucide-static"].map(of).join("\n---\n\n");
}

/** Each compressible file, as `.br` and `.gz`; those that have not changed are taken from the last time. */
function compress(all) {
  const result = new Map();
  for (const [name, bytes] of all) {
    if (!COMPRESSIBLE.test(name)) continue;
    const before = kept(name, bytes);
    const br = before?.br ?? zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
    const gz = before?.gz ?? zlib.gzipSync(bytes, { level: 9 });
    // What does not get smaller is served as it is.
    if (br.length < bytes.length) result.set(`${name}.br`, br);
    if (gz.length < bytes.length) result.set(`${name}.gz`, gz);
  }
  return result;
}

function kept(name, bytes) {
  const read = (file) => (fs.existsSync(file) ? fs.readFileSync(file) : undefined);
  const gz = read(path.join(COMPRESSED, `${name}.gz`));
  const br = read(path.join(COMPRESSED, `${name}.br`));
  if (!gz || !br) return undefined;
  try {
    return zlib.gunzipSync(gz).equals(bytes) && zlib.brotliDecompressSync(br).equals(bytes) ? { br, gz } : undefined;
  } catch {
    return undefined;
  }
}

function replaceFolder(folder, contents) {
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of contents) {
    const file = path.join(folder, name);
    if (fs.existsSync(file) && fs.readFileSync(file).equals(bytes)) continue;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    // Whole or not at all: somebody may be reading the old one.
    fs.writeFileSync(`${file}.next`, bytes);
    fs.renameSync(`${file}.next`, file);
  }
  for (const name of filesIn(folder)) if (!contents.has(name)) fs.rmSync(path.join(folder, name));
}

function filesIn(folder) {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}
