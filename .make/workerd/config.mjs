// workerd's configuration for a plain run, made from wrangler.toml so that both agree.
//
// Secrets are not in it: their bindings name environment variables of the process.

import fs from "node:fs";
import path from "node:path";

import { ROOT } from "../vars.mjs";

const HERE = import.meta.dirname;

/** Settings of wrangler.toml that matter here. */
export function readWrangler() {
  const toml = parseToml(fs.readFileSync(path.join(ROOT, "wrangler.toml"), "utf8"));
  return {
    compatibilityDate: toml.compatibility_date,
    compatibilityFlags: toml.compatibility_flags ?? [],
    workerFirst: toml["assets.run_worker_first"] ?? [],
    assets: path.join(ROOT, toml["assets.directory"]),
    migrations: path.join(ROOT, toml["d1_databases.migrations_dir"]),
    objects: toml["migrations.new_sqlite_classes"] ?? [],
    binding: { [toml["durable_objects.bindings.name"]]: toml["durable_objects.bindings.class_name"] },
    crons: toml["triggers.crons"] ?? [],
    main: path.join(ROOT, toml.main),
  };
}

/**
 * The rules of a `_headers` file: path patterns, in which `*` stands for any text, and the headers that they
 * add. Of Cloudflare's syntax this is what ours uses; anything else is refused, not ignored.
 */
export function readHeaders(directory) {
  const rules = [];
  for (const line of fs.readFileSync(path.join(directory, "_headers"), "utf8").split("\n")) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const header = /^\s+([A-Za-z-]+):\s*(.+?)\s*$/.exec(line);
    if (header && rules.length) rules.at(-1).headers.push([header[1], header[2]]);
    else if (/^\/\S*$/.test(line)) rules.push({ pattern: line, headers: [] });
    else throw new Error(`_headers: cannot read the line: ${line}`);
  }
  return rules;
}

/** Migrations in the order of their names, which is the order wrangler applies them in. */
export function readMigrations(directory) {
  const names = fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith(".sql")) : [];
  return names.sort().map((name) => ({ name, sql: fs.readFileSync(path.join(directory, name), "utf8") }));
}

/**
 * Cap'n Proto text of the whole server. Paths are relative to the process's folder, `run`, in which the
 * control socket lies as well: a Unix socket's path may be 100 bytes long at most. Without `privateUpstreams`
 * the gateway connects to public addresses and to this machine only, whatever a server's name resolves to. With
 * `faults` the database can be made to fail, through the control socket.
 */
export function renderConfig(wrangler, { run, storage, host, port, variables, privateUpstreams = false, faults = false }) {
  const embed = (file) => `embed ${text(path.relative(run, file))}`;
  const build = path.dirname(wrangler.main);
  const compatibility = `compatibilityDate = ${text(wrangler.compatibilityDate)},
        compatibilityFlags = ${list(wrangler.compatibilityFlags.map(text))}`;
  const objects = Object.entries(wrangler.binding);
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  # For collections in small portions, see main.js.
  v8Flags = ["--expose-gc"],
  services = [
    (name = "gateway", worker = (
        modules = [
          (name = "main.js", esModule = ${embed(path.join(HERE, "main.js"))}),
          (name = "index.js", esModule = ${embed(wrangler.main)}),
          (name = "index_bg.wasm", wasm = ${embed(path.join(build, "index_bg.wasm"))}),
          (name = "settings.json", json = ${text(JSON.stringify({ workerFirst: wrangler.workerFirst }))}),
        ],
        ${compatibility},
        bindings = [
          (name = "DB", wrapped = (moduleName = "cloudflare-internal:d1-api", innerBindings = [(name = "fetcher", service = "d1")])),
          (name = "ASSETS", service = "assets"),
          (name = "FILES", service = (name = "assets", entrypoint = "files")),
          (name = "STORAGE", service = "d1"),
          ${objects.map(([name, type]) => `(name = ${text(name)}, durableObjectNamespace = ${text(type)}),`).join("\n          ")}
          ${variables.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)}),`).join("\n          ")}
        ],
        durableObjectNamespaces = [${wrangler.objects.map((type) => `(className = ${text(type)}, uniqueKey = ${text(`sluice-${type}`)}, enableSql = true)`).join(", ")}],
        durableObjectStorage = (localDisk = "storage"),
        globalOutbound = "network",
    )),
    (name = "d1", worker = (
        modules = [(name = "d1.js", esModule = ${embed(path.join(HERE, "d1.js"))})],
        ${compatibility},
        bindings = [
          (name = "DATABASE", durableObjectNamespace = "Database"),
          (name = "MIGRATIONS", json = ${text(JSON.stringify(readMigrations(wrangler.migrations)))}),
          (name = "FAULTS", json = "${faults}"),
        ],
        durableObjectNamespaces = [(className = "Database", uniqueKey = "sluice-d1", enableSql = true, preventEviction = true)],
        durableObjectStorage = (localDisk = "storage"),
    )),
    (name = "assets", worker = (
        modules = [
          (name = "assets.js", esModule = ${embed(path.join(HERE, "assets.js"))}),
          (name = "headers.json", json = ${text(JSON.stringify(readHeaders(wrangler.assets)))}),
        ],
        ${compatibility},
        bindings = [(name = "DISK", service = "assets-disk"), (name = "COMPRESSED", service = "assets-compressed")],
    )),
    (name = "assets-disk", disk = (path = ${text(wrangler.assets)}, writable = false)),
    (name = "assets-compressed", disk = (path = ${text(path.join(build, "compressed"))}, writable = false)),
    (name = "storage", disk = (path = ${text(storage)}, writable = true)),
    (name = "network", network = (allow = ["public", "${privateUpstreams ? "private" : "local"}"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [
    (name = "http", address = ${text(`${host}:${port}`)}, http = (), service = "gateway"),
    (name = "control", address = "unix:control.sock", http = (), service = (name = "gateway", entrypoint = "control")),
  ],
);
`;
}

/** A Cap'n Proto string is written like one of JSON, but its only escape for a code unit is a byte's. */
function text(value) {
  const body = JSON.stringify(value).slice(1, -1);
  return `"${body.replace(/\\u00([0-9a-f]{2})/g, "\\x$1")}"`;
}

function list(items) {
  return `[${items.join(", ")}]`;
}

/** The TOML that wrangler.toml uses: tables, strings, booleans, numbers, lists of strings. Tables of one
 *  name in double brackets fall together, which is right as long as there is one of each. */
function parseToml(source) {
  const values = {};
  let table = "";
  const lines = source.replace(/\[\s*\n[^\]]*\]/g, (value) => value.replace(/\s*\n\s*/g, " ")).split("\n");
  for (const line of lines) {
    const header = /^\s*\[{1,2}([\w.]+)\]{1,2}\s*(#.*)?$/.exec(line);
    if (header) {
      table = `${header[1]}.`;
      continue;
    }
    const pair = /^\s*([\w-]+)\s*=\s*("[^"]*"|\[[^\]]*\]|[\w.-]+)\s*(#.*)?$/.exec(line);
    if (pair) values[table + pair[1]] = JSON.parse(pair[2].replace(/,\s*\]$/, "]"));
    else if (!/^\s*(#.*)?$/.test(line)) throw new Error(`wrangler.toml: cannot read the line: ${line}`);
  }
  return values;
}
