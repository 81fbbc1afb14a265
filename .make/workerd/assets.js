// Static files on plain workerd: the disk service knows no types and no caching, this adds them.
//
// The default entrypoint is the ASSETS binding: a file, or the page where there is none (single-page
// application). The entrypoint `files` answers 404 instead.

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

export default {
  async fetch(request, env) {
    const file = await read(request, env, new URL(request.url).pathname);
    return file ?? (await read(request, env, "/index.html")) ?? missing();
  },
};

export const files = {
  async fetch(request, env) {
    return (await read(request, env, new URL(request.url).pathname)) ?? missing();
  },
};

async function read(request, env, pathname) {
  const path = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
  const type = TYPES[path.slice(path.lastIndexOf(".") + 1)];
  // Without an extension it is a folder, whose listing is nobody's business, or nothing.
  if (!path.slice(path.lastIndexOf("/")).includes(".")) return null;
  const method = request.method === "HEAD" ? "HEAD" : "GET";
  const found = await env.DISK.fetch(`http://disk${path}`, { method });
  if (!found.ok) return null;
  const headers = new Headers({
    "content-type": type ?? "application/octet-stream",
    "cache-control": "public, max-age=0, must-revalidate",
  });
  const modified = found.headers.get("last-modified");
  const length = found.headers.get("content-length");
  if (modified) {
    const tag = `W/"${Date.parse(modified).toString(36)}-${Number(length).toString(36)}"`;
    headers.set("etag", tag);
    if (request.headers.get("if-none-match") === tag) return new Response(null, { status: 304, headers });
  }
  return new Response(found.body, { headers });
}

function missing() {
  return new Response("Not found\n", { status: 404, headers: { "content-type": "text/plain; charset=utf-8" } });
}
