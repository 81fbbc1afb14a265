// Static files on plain workerd, as Cloudflare serves them: the disk service knows no types, no caching, no
// headers of ours, no compression and no pages without extension; this adds them.
//
// The default entrypoint is the ASSETS binding: a file, or the page where there is none (single-page
// application). The entrypoint `files` answers 404 instead.

import rules from "./headers.json";

const TYPES = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  map: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
  woff2: "font/woff2",
};

const ENCODINGS = [["br", ".br"], ["gzip", ".gz"]];

/** Read by Cloudflare, never served. */
const CONFIGURATION = ["/_headers", "/_redirects"];

const added = rules.map(({ pattern, headers }) => ({ pattern: toRegExp(pattern), headers }));

export default {
  async fetch(request, env) {
    return (await read(request, env)) ?? (await readFile(request, env, "/index.html")) ?? missing();
  },
};

export const files = {
  async fetch(request, env) {
    return (await read(request, env)) ?? missing();
  },
};

/** The file of a path. `/docs` is `docs.html`; the longer ways to say so lead there, as they do on Cloudflare. */
async function read(request, env) {
  const { pathname, search } = new URL(request.url);
  if (CONFIGURATION.includes(pathname)) return null;
  if (pathname === "/") return readFile(request, env, "/index.html");
  const name = pathname.replace(/(\/index)?\.html$|\/$/, "");
  const page = isName(name) ? await readFile(request, env, name === "" ? "/index.html" : `${name}.html`) : null;
  if (page && name !== pathname) {
    const headers = new Headers({ location: `${name || "/"}${search}` });
    addHeaders(request, headers);
    return new Response(null, { status: 307, headers });
  }
  return page ?? readFile(request, env, pathname);
}

async function readFile(request, env, path) {
  // Without an extension it is a folder, whose listing is nobody's business, or nothing.
  if (isName(path)) return null;
  const method = request.method === "HEAD" ? "HEAD" : "GET";
  const { found, encoding } = await readSmallest(request, env, path, method);
  if (!found) return null;
  const headers = new Headers({
    "content-type": TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream",
    "cache-control": "public, max-age=0, must-revalidate",
    vary: "accept-encoding",
  });
  if (encoding) headers.set("content-encoding", encoding);
  addHeaders(request, headers);
  const modified = found.headers.get("last-modified");
  const length = found.headers.get("content-length");
  if (modified) {
    const tag = `W/"${Date.parse(modified).toString(36)}-${Number(length).toString(36)}"`;
    headers.set("etag", tag);
    if (request.headers.get("if-none-match") === tag) return new Response(null, { status: 304, headers });
  }
  return new Response(found.body, { headers, encodeBody: encoding ? "manual" : "automatic" });
}

/** The file, in the best encoding that the client takes and the build has made. */
async function readSmallest(request, env, path, method) {
  const accepted = (request.headers.get("accept-encoding") ?? "").toLowerCase();
  for (const [encoding, ending] of ENCODINGS) {
    if (!accepts(accepted, encoding)) continue;
    const found = await env.COMPRESSED.fetch(`http://disk${path}${ending}`, { method });
    if (found.ok) return { found, encoding };
  }
  const found = await env.DISK.fetch(`http://disk${path}`, { method });
  return { found: found.ok ? found : null };
}

function accepts(accepted, encoding) {
  return accepted.split(",").some((one) => {
    const [name, quality] = one.trim().split(/\s*;\s*q=/);
    return name === encoding && Number(quality ?? 1) > 0;
  });
}

function addHeaders(request, headers) {
  const { pathname, protocol } = new URL(request.url);
  for (const rule of added) {
    if (!rule.pattern.test(pathname)) continue;
    for (const [name, value] of rule.headers) headers.set(name, value);
  }
  // Over plain http the header means nothing and must not be sent (RFC 6797).
  if (protocol !== "https:") headers.delete("strict-transport-security");
}

function isName(path) {
  return !path.slice(path.lastIndexOf("/")).includes(".");
}

function toRegExp(pattern) {
  const literal = (text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${pattern.split("*").map(literal).join(".*")}$`);
}

function missing() {
  return new Response("Not found\n", { status: 404, headers: { "content-type": "text/plain; charset=utf-8" } });
}
