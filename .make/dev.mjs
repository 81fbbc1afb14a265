// `make dev`: the demo provider and `wrangler dev`, a server and a key for the demo, and a block that says
// what to do next. State persists; a second run finds its server and key again and only tells the server
// the provider's new port. SIGINT and SIGTERM stop everything.

import { execFile } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { eachLine, killGroup, start, stop } from "./processes.mjs";
import { gatewayVariables, readDevVars, ROOT, writeDevVars } from "./vars.mjs";

const START_MS_MAX = 60_000;
const DRAIN_MS_MAX = 4_000;
// A change is in force everywhere within 5 s.
const IN_FORCE_MS_MAX = 10_000;
const OUTPUT_LEN_MAX = 60;
const DEMO = "demo";
const MODEL = "demo-small";
const RPM = 60;

const wranglerProgram = path.join(ROOT, "node_modules/.bin/wrangler");
const state = path.resolve(ROOT, process.env.STATE || ".wrangler/state");
const variablesFile = path.join(ROOT, `.dev.vars.run-${process.pid}`);
// No terminal to ask, nothing to send home, nothing to fetch before the start.
const quiet = { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };

const started = [];
let stopping = false;
/** From then on what the gateway logs is the developer's business, not that of the start. */
let seeded = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(0));

try {
  await run();
} catch (error) {
  await end(1, error.message);
}

async function run() {
  const port = await freePort(Number(process.env.PORT || 8787));
  const variables = await gatewayVariables();
  const [provider] = await Promise.all([startProvider(), migrate()]);
  const url = await startGateway(port, variables);
  const admin = adminClient(url, variables.ADMIN_TOKEN);
  await seedServer(admin, provider);
  const key = await seedKey(admin, url);
  await untilServed(url, key);
  seeded = true;
  console.log(nextSteps(url, variables.ADMIN_TOKEN, key));
}

// --- processes -------------------------------------------------------------------------------------

/** The demo provider's URL. Its words come slowly enough to be seen one by one. */
async function startProvider() {
  const args = ["--port", "0", "--models", `${MODEL},demo-large`, "--chunks", "24", "--chunk-delay-ms", "80"];
  const provider = start(process.env.DEMO_PROVIDER, args, { stdio: ["ignore", "pipe", "inherit"] });
  started.push(provider);
  return readyUrl(provider, "the demo provider", /^ready (http:\S+)$/, () => {});
}

async function migrate() {
  const args = ["d1", "migrations", "apply", "DB", "--local", "--persist-to", state];
  try {
    await promisify(execFile)(wranglerProgram, args, { cwd: ROOT, env: quiet });
  } catch (error) {
    throw new Error(`the migrations could not be applied:\n${error.stdout}${error.stderr}`);
  }
}

async function startGateway(port, variables) {
  removeLeftVariables();
  const lines = Object.entries(variables).map(([name, value]) => `${name}="${value}"\n`);
  fs.writeFileSync(variablesFile, lines.join(""), { mode: 0o600 });
  const gateway = start(
    wranglerProgram,
    [
      "dev", "--local", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0",
      "--persist-to", state, "--env-file", variablesFile, "--show-interactive-dev-session=false",
    ],
    { cwd: ROOT, env: quiet, stdio: ["ignore", "pipe", "pipe"] },
  );
  started.push(gateway);
  const url = await readyUrl(gateway, "wrangler dev", /Ready on (http:\S+)/, (line) => seeded && console.log(line));
  for (let waited = 0; waited < START_MS_MAX; waited += 100) {
    if ((await fetch(`${url}/health`).catch(() => undefined))?.ok) return url;
    await sleep(100);
  }
  throw new Error("the gateway's /health does not answer");
}

/** Files of runs that were killed. */
function removeLeftVariables() {
  const dead = (pid) => !fs.existsSync(`/proc/${pid}`);
  for (const name of fs.readdirSync(ROOT)) {
    const pid = /^\.dev\.vars\.run-(\d+)$/.exec(name)?.[1];
    if (pid && dead(pid)) fs.rmSync(path.join(ROOT, name), { force: true });
  }
}

/** Waits for the line that tells a process's URL; what it says before stays unseen unless it fails. */
async function readyUrl(process, name, pattern, later) {
  const output = [];
  let ready;
  const url = new Promise((resolve) => {
    const take = (line) => {
      if (ready) return later(line);
      output.push(line);
      output.splice(0, output.length - OUTPUT_LEN_MAX);
      ready = pattern.exec(line)?.[1];
      if (ready) resolve(ready);
    };
    for (const stream of [process.child.stdout, process.child.stderr]) if (stream) eachLine(stream, take);
  });
  process.ended.then((how) => end(1, `${name} ended (${how})${ready ? "" : `:\n${output.join("\n")}`}`));
  const late = sleep(START_MS_MAX, undefined, { ref: false }).then(() => {
    throw new Error(`${name} was not ready within ${START_MS_MAX / 1000} s:\n${output.join("\n")}`);
  });
  const found = await Promise.race([url, late]);
  late.catch(() => {});
  return found.replace("localhost", "127.0.0.1");
}

/** Stops all that was started, the gateway first. */
async function end(status, message) {
  if (stopping) return;
  stopping = true;
  if (message) console.error(`error: ${message}`);
  await Promise.all(started.map((process) => stop(process, "SIGTERM", DRAIN_MS_MAX)));
  for (const process of started) killGroup(process);
  fs.rmSync(variablesFile, { force: true });
  process.exit(status);
}

function freePort(port) {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once("error", () => reject(new Error(`port ${port} is taken; choose another one: make dev PORT=…`)));
    probe.listen(port, "127.0.0.1", () => {
      const free = probe.address().port;
      probe.close(() => resolve(free));
    });
  });
}

// --- demo server and key ---------------------------------------------------------------------------

function adminClient(url, token) {
  return async (method, resource, body) => {
    const answer = await fetch(url + resource, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${resource} answered ${answer.status}: ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
}

async function seedServer(admin, provider) {
  const { items } = await admin("GET", "/api/servers?limit=500");
  const server = items.find(({ name }) => name === DEMO);
  const api_key = "demo-provider";
  if (server) {
    // The key as well: under another ENCRYPTION_KEY than the last run's it could not be read any more.
    await admin("PATCH", `/api/servers/${server.id}`, { base_url: provider, api_key });
    return;
  }
  const models = [MODEL, "demo-*"];
  await admin("POST", "/api/servers", { name: DEMO, base_url: provider, models, api_key, rpm_limit: RPM });
}

/** The key of the run before while it works, else a new one in its place. */
async function seedKey(admin, url) {
  const known = readDevVars().DEMO_KEY;
  if (known && (await models(url, known)).status === 200) return known;
  const { items } = await admin("GET", "/api/keys?limit=500");
  for (const { id, name } of items) if (name === DEMO) await admin("DELETE", `/api/keys/${id}`);
  const { key } = await admin("POST", "/api/keys", { name: DEMO });
  await writeDevVars({ DEMO_KEY: key });
  return key;
}

async function untilServed(url, key) {
  for (let waited = 0; waited < IN_FORCE_MS_MAX; waited += 100) {
    const answer = await models(url, key);
    if (answer.status === 200 && (await answer.json()).data.some(({ id }) => id === MODEL)) return;
    await sleep(100);
  }
  throw new Error("the demo server did not come into force");
}

function models(url, key) {
  return fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}`, "app-name": "quick-start" } });
}

function nextSteps(url, token, key) {
  const rule = "-".repeat(78);
  const body = JSON.stringify({ model: MODEL, stream: true, messages: [{ role: "user", content: "Hello" }] });
  return `${rule}
  Sluice is ready

  Console      ${url}/
  Admin token  ${token}
  Demo key     ${key}

  A streamed answer, token by token:

curl -N -i ${url}/v1/chat/completions \\
  -H "Authorization: Bearer ${key}" -H "App-Name: quick-start" \\
  -H "Content-Type: application/json" \\
  -d '${body}'

  The demo server takes ${RPM} requests a minute; more wait their turn. Ctrl-C stops.
${rule}
ready ${url}`;
}
