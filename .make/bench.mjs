// What the gateway costs beside its bare provider: the same small chat with and without it, in rounds that
// take turns, so that a busy machine weighs on both. One program makes the load and all share the machine:
// compare the rows, do not read them as a capacity.

import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { eachLine, start, stop } from "./processes.mjs";
import { ROOT } from "./vars.mjs";

const MS_EACH = Number(process.env.SECONDS_EACH || 5) * 1_000;
const CONNECTIONS = Number(process.env.CONNECTIONS || 32);
const ROUNDS = 3;
const DRAIN_MS_MAX = 5_000;
// A new configuration is in force everywhere after this.
const CONFIGURED_MS = 5_000;
const BODY = JSON.stringify({ model: "demo-small", messages: [{ role: "user", content: "How does a sluice work?" }] });
const TOKEN = "bench-admin-token-of-no-deployment";

// Waiters are woken at computed instants. This many requests a minute pass; twice as many come, evenly and so
// fast that the second half waits for the places of the first, a few at each of many instants.
const WAKE_RPM = 600;
const WAKE_EVERY_MS = 25;
const WAKE_LATE_MS_MAX = 25;

const state = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
const started = [];
try {
  await bench();
} finally {
  await Promise.all(started.map((process) => stop(process, "SIGTERM", DRAIN_MS_MAX)));
  fs.rmSync(state, { recursive: true, force: true });
}

async function bench() {
  const provider = await launch(process.env.DEMO_PROVIDER, ["--port", "0"], process.env);
  const gateway = await launch(process.execPath, [path.join(ROOT, ".make/serve.mjs")], {
    ...process.env, PORT: "0", STATE: state, ADMIN_TOKEN: TOKEN,
  });
  await admin(gateway, "/api/servers", { name: "bench", base_url: provider, models: ["demo-small"], api_key: "none" });
  const { key } = await admin(gateway, "/api/keys", { name: "bench" });
  const headers = { authorization: `Bearer ${key}`, "app-name": "bench", "content-type": "application/json" };
  const targets = {
    "provider alone": { url: `${provider}/chat/completions`, headers },
    "through the gateway": { url: `${gateway}/v1/chat/completions`, headers },
  };
  await untilServed(targets["through the gateway"]);
  for (const [connections, what] of [[1, "one connection"], [CONNECTIONS, `${CONNECTIONS} connections`]]) {
    const times = Object.fromEntries(Object.keys(targets).map((name) => [name, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [name, target] of Object.entries(targets)) times[name].push(...(await load(target, connections)));
    }
    console.log(`\n${what}, ${ROUNDS} rounds of ${MS_EACH / 1_000} s each`);
    for (const [name, all] of Object.entries(times)) console.log(row(name, all));
  }
  await wakeUps(gateway, provider, headers);
}

/** How much later than the computed instant waiters are let go, as the limiter itself records it. */
async function wakeUps(gateway, provider, headers) {
  const server = await admin(gateway, "/api/servers", {
    name: "bench-wake", base_url: provider, models: ["bench-wake"], api_key: "none", rpm_limit: WAKE_RPM,
    queue_max: WAKE_RPM, queue_timeout_ms: 120_000,
  });
  const url = `${gateway}/v1/chat/completions`;
  const body = BODY.replace("demo-small", "bench-wake");
  await sleep(CONFIGURED_MS);
  const agent = new http.Agent({ keepAlive: true });
  const calls = [];
  for (let sent = 0; sent < 2 * WAKE_RPM; sent += 1) {
    calls.push(post(url, headers, agent, body));
    await sleep(WAKE_EVERY_MS);
  }
  const refused = (await Promise.all(calls)).filter((status) => status !== 200).length;
  agent.destroy();
  const live = await admin(gateway, `/api/servers/${server.id}/live`);
  const { wake_late_ms_p99: late, wake_late_ms_max: latest } = live;
  console.log(`\nwake-up of ${WAKE_RPM} waiters: p99 ${late} ms late, at most ${latest} ms (bound ${WAKE_LATE_MS_MAX} ms)`);
  if (refused > 0) throw new Error(`${refused} of the waiters were refused`);
  if (!(late <= WAKE_LATE_MS_MAX)) throw new Error(`waiters are woken ${late} ms late`);
}

/** Durations in ms of all requests within the time; a status other than 200 ends the run. */
async function load({ url, headers }, connections) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const times = [];
  const end = performance.now() + MS_EACH;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < end) {
        const began = performance.now();
        const status = await post(url, headers, agent);
        if (status !== 200) throw new Error(`${url} answered ${status}`);
        times.push(performance.now() - began);
      }
    }),
  );
  agent.destroy();
  return times;
}

function post(url, headers, agent, body = BODY) {
  return new Promise((resolve, reject) => {
    const call = http.request(url, { method: "POST", headers, agent }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
      answer.on("error", reject);
    });
    call.on("error", reject);
    call.end(body);
  });
}

function row(name, times) {
  times.sort((left, right) => left - right);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))].toFixed(2).padStart(8);
  const rate = Math.round((times.length * 1_000) / (MS_EACH * ROUNDS));
  return `  ${name.padEnd(20)} ${String(rate).padStart(6)} requests/s   p50 ${at(0.5)} ms   p99 ${at(0.99)} ms`;
}

function launch(program, args, env) {
  const process = start(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  started.push(process);
  return new Promise((resolve, reject) => {
    eachLine(process.child.stdout, (line) => {
      const url = /^ready (http:\S+)$/.exec(line)?.[1];
      if (url) resolve(url);
    });
    process.ended.then((how) => reject(new Error(`${program} ended (${how})`)));
  });
}

/** Asks the admin API: a POST where there is a body. */
async function admin(gateway, resource, body) {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const method = body ? "POST" : "GET";
  const answer = await fetch(gateway + resource, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${resource} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

async function untilServed({ url, headers }) {
  const agent = new http.Agent();
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await post(url, headers, agent)) === 200) return;
    await sleep(100);
  }
  throw new Error("the bench server did not come into force");
}
