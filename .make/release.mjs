// `make release`: one archive with the launcher, workerd, the Worker, its configuration and its pages.
//
// The configuration is that of `make serve`, made now instead of at each start; what differs from machine to machine
// (address, folders, variables) the launcher says when it starts workerd. The archive is tried before it is kept.

import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

import { eachLine } from "./processes.mjs";
import { OPTIONAL, REQUIRED, ROOT } from "./vars.mjs";
import { readWrangler, renderConfig } from "./workerd/config.mjs";

const START_MS_MAX = 40_000;
// Nobody's, by convention.
const NOBODY = 65_534;

const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
const name = ["sluice", version, commit(), process.platform, process.arch].filter(Boolean).join("-");
const dist = path.join(ROOT, "dist");
const archive = path.join(dist, `${name}.tar.gz`);
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-release-"));
try {
  const folder = path.join(scratch, name);
  assemble(folder);
  fs.mkdirSync(dist, { recursive: true });
  pack(folder, `${archive}.partial`);
  await tryOut(`${archive}.partial`);
  fs.renameSync(`${archive}.partial`, archive);
  const unpacked = sizeOf(folder);
  console.log(`release: ${path.relative(ROOT, archive)}, ${megabytes(fs.statSync(archive).size)}; unpacked ${megabytes(unpacked)}, tried and found well`);
} finally {
  fs.rmSync(scratch, { recursive: true, force: true });
  fs.rmSync(`${archive}.partial`, { force: true });
}

/** Two releases of one version can lie side by side; outside of Git there is one only. */
function commit() {
  try {
    return execFileSync("git", ["rev-parse", "--short=10", "HEAD"], { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

function assemble(folder) {
  const wrangler = readWrangler();
  if (wrangler.crons.join() !== "* * * * *") throw new Error(`the launcher fires "* * * * *" only, but wrangler.toml says ${wrangler.crons}`);
  const into = (...parts) => {
    const file = path.join(folder, ...parts);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    return file;
  };
  fs.copyFileSync(process.env.LAUNCHER, into("bin/sluice"));
  fs.copyFileSync(createRequire(import.meta.url)("workerd").default, into("bin/workerd"));
  for (const program of ["bin/sluice", "bin/workerd"]) {
    fs.chmodSync(path.join(folder, program), 0o755);
    // Symbols are a quarter of workerd.
    execFileSync("strip", [path.join(folder, program)]);
  }
  const variables = [...Object.keys(REQUIRED), ...OPTIONAL];
  fs.writeFileSync(into("gateway/variables"), `${variables.join("\n")}\n`);
  for (const privateUpstreams of [false, true]) {
    const rendered = renderConfig(wrangler, { run: ROOT, storage: "storage", host: "127.0.0.1", port: "8787", variables, privateUpstreams });
    const { config, folders } = portable(rendered, (from) => {
      fs.copyFileSync(path.join(ROOT, from), into("gateway", path.basename(from)));
    });
    for (const { from, to } of folders) fs.cpSync(from, into(to), { recursive: true });
    fs.writeFileSync(into("gateway/folders"), folders.map(({ disk, to }) => `${disk}=${to}\n`).join(""));
    fs.writeFileSync(into(`gateway/${privateUpstreams ? "private" : "public"}.capnp`), config);
  }
  for (const file of ["LICENSE", "deploy/sluice.service", "docs/deployment.md", "docs/zh-CN/deployment.md"]) {
    fs.copyFileSync(path.join(ROOT, file), into(file));
  }
  const { devDependencies } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
  fs.writeFileSync(into("NOTICE"), `Sluice ${version}, Apache License 2.0 (LICENSE).\nbin/workerd is Cloudflare's workerd ${devDependencies.workerd}, Apache License 2.0, without its symbols.\npublic/docs contains Swagger UI; its license lies beside it. What the console contains is named in public/licenses.txt.\n`);
  fs.chmodSync(folder, 0o755);
}

/**
 * The configuration with its files beside it and no path of this machine in it. Folders that it serves get their place
 * in the release; the launcher tells workerd where that is.
 */
function portable(config, copy) {
  const seen = new Map();
  const moved = config.replace(/embed "([^"]+)"/g, (_, file) => {
    const base = path.basename(file);
    if (seen.has(base) && seen.get(base) !== file) throw new Error(`two files are called ${base}`);
    if (!seen.has(base)) copy(file);
    seen.set(base, file);
    return `embed ${JSON.stringify(base)}`;
  });
  const folders = [];
  const clean = moved.replace(/\(name = "([^"]+)", disk = \(path = "(\/[^"]+)"/g, (_, disk, from) => {
    const to = path.basename(from);
    folders.push({ disk, from, to });
    return `(name = "${disk}", disk = (path = "${to}"`;
  });
  if (clean.includes(ROOT)) throw new Error("the configuration names a folder of this checkout");
  return { config: clean, folders };
}

/** The same bytes for the same contents, whoever packs them and when. */
function pack(folder, file) {
  const options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go+rX,go-w"];
  execFileSync("tar", [...options, "--use-compress-program=gzip -n9", "-cf", file, "-C", path.dirname(folder), path.basename(folder)]);
}

/** Unpacked into an empty folder: it gets ready, answers, stops in order, and finds its state again. */
async function tryOut(file) {
  const place = path.join(scratch, "elsewhere");
  const state = path.join(scratch, "state");
  for (const folder of [place, state]) fs.mkdirSync(folder);
  execFileSync("tar", ["-xf", file, "-C", place]);
  const root = process.getuid() === 0;
  if (root) {
    fs.chmodSync(scratch, 0o755);
    fs.chownSync(state, NOBODY, NOBODY);
  }
  const program = path.join(place, name, "bin/sluice");
  const as = root ? { uid: NOBODY, gid: NOBODY } : {};
  const made = execFileSync(program, ["secrets"], { encoding: "utf8", ...as });
  const secrets = Object.fromEntries(made.trim().split("\n").map((line) => line.split(/=(.*)/s).slice(0, 2)));
  const options = { ...as, cwd: "/", env: { ...secrets, STATE: state, PORT: "0" } };
  let id;
  for (const round of ["first", "second"]) {
    await withGateway(program, options, async (url) => {
      const expect = async (status, resource, init) => {
        const answer = await fetch(url + resource, init);
        if (answer.status !== status) throw new Error(`${round} run: ${resource} answered ${answer.status}: ${await answer.text()}`);
        return answer;
      };
      const headers = { authorization: `Bearer ${secrets.ADMIN_TOKEN}`, "content-type": "application/json" };
      await expect(200, "/health/ready");
      await expect(401, "/v1/models");
      await expect(200, "/", { headers: { "sec-fetch-mode": "navigate" } });
      execFileSync(program, ["health"], { ...as, env: { PORT: new URL(url).port } });
      if (round === "first") {
        const body = JSON.stringify({ name: "trial", base_url: "https://example.com/v1", models: ["m"], api_key: "sk-trial" });
        ({ id } = await (await expect(201, "/api/servers", { method: "POST", headers, body })).json());
      } else await expect(200, `/api/servers/${id}`, { headers });
    });
  }
}

/** Runs the gateway around `use`; it has to end with status 0 when it is told to. */
async function withGateway(program, options, use) {
  const child = spawn(program, ["serve"], { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  const ended = new Promise((resolve) => child.once("close", (status, signal) => resolve(signal ?? status)));
  try {
    const ready = new Promise((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        eachLine(stream, (line) => {
          output.push(line);
          const url = /^ready (http:\S+)$/.exec(line)?.[1];
          if (url) resolve(url);
        });
      }
    });
    const timeout = new Promise((resolve) => setTimeout(resolve, START_MS_MAX, undefined).unref());
    const url = await Promise.race([ready, timeout, ended.then(() => undefined)]);
    if (!url) throw new Error("it was not ready");
    await use(url);
    child.kill("SIGTERM");
    const status = await ended;
    if (status !== 0) throw new Error(`after SIGTERM it ended with ${status}`);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`the release does not work: ${error.message}\n${output.join("\n")}`);
  }
}

function sizeOf(folder) {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + fs.statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
