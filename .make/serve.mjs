// Runs the gateway on plain workerd, without wrangler: the way to self-host it and to measure it.
//
//   PORT=8787 STATE=.state HOST=127.0.0.1 node .make/serve.mjs      (PORT=0: a free one)
//
// Prints the plain line `ready http://127.0.0.1:PORT` once /health answers; every other line on standard
// output is one JSON object: the Worker's log, and what workerd itself says. STATE/run/workerd.json names
// the process while it runs. SIGINT and SIGTERM stop it with status 0 within 5 s, whatever hangs; if
// workerd dies by itself, or if this process does, the other one ends too.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { eachLine, killGroup, start, stop } from "./processes.mjs";
import { gatewayVariables, ROOT } from "./vars.mjs";
import { readWrangler, renderConfig } from "./workerd/config.mjs";

const START_MS_MAX = 30_000;
// workerd waits for requests in flight when told to stop; streams may be endless.
const DRAIN_MS_MAX = 3_000;
// A gateway that does not hear of its stop within this time is stopped all the same.
const ANNOUNCE_MS_MAX = 1_000;
const MINUTE_MS = 60_000;
const COMPLAINTS_LEN_MAX = 5;
// How workerd marks what is no error.
const WARNING = ": warning: ";

const host = process.env.HOST || "127.0.0.1";
const port = process.env.PORT || "8787";
const state = path.resolve(ROOT, process.env.STATE || ".state");
const run = path.join(state, "run");
const processFile = path.join(run, "workerd.json");

let stopping = false;
let workerd;
/** The last lines of workerd's standard error: the reason where a start fails. */
const complaints = [];

const wrangler = readWrangler();
if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) fail(`PORT is ${port}; it must be a number from 0 to 65535`);
const variables = await gatewayVariables();
// The same values mean "on" to the gateway.
const privateUpstreams = ["true", "1"].includes(variables.ALLOW_PRIVATE_UPSTREAM?.trim());
// As strict as the gateway: never in production, which is what holds without a word.
const faults = variables.FAULT_INJECTION?.trim() === "on" && ["development", "test"].includes(variables.ENVIRONMENT?.trim());
const storage = path.join(state, "storage");
fs.mkdirSync(storage, { recursive: true, mode: 0o700 });
fs.mkdirSync(run, { recursive: true, mode: 0o700 });
process.chdir(run);
fs.rmSync("control.sock", { force: true });
fs.rmSync(processFile, { force: true });
fs.writeFileSync("config.capnp", renderConfig(wrangler, { run, storage, host, port, variables: Object.keys(variables), privateUpstreams, faults }));

workerd = start(
  path.join(ROOT, "node_modules/.bin/workerd"),
  ["serve", "--experimental", "--control-fd=3", "config.capnp", "config"],
  { cwd: run, env: { PATH: process.env.PATH, ...variables }, stdio: ["ignore", "pipe", "pipe", "pipe"] },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stopInOrder);
forwardLines(workerd.child.stdout, "info");
forwardLines(workerd.child.stderr, "error", (line) => {
  complaints.push(line);
  complaints.splice(0, complaints.length - COMPLAINTS_LEN_MAX);
});
workerd.ended.then((how) => {
  if (stopping) return;
  const reasons = complaints.join("\n  ");
  if (/Address already in use/i.test(reasons)) fail(`port ${port} is taken`);
  fail(`workerd ended unexpectedly (${how})${reasons ? `:\n  ${reasons}` : ""}`);
});

const timer = setTimeout(() => fail(`the gateway was not ready within ${START_MS_MAX / 1000} s`), START_MS_MAX);
const listening = await listeningPort();
const url = `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${listening}`;
await untilReady();
clearTimeout(timer);
if (!stopping) {
  fs.writeFileSync(processFile, `${JSON.stringify({ pid: workerd.child.pid, url })}\n`);
  complaints.length = 0;
  process.stdout.write(`ready ${url}\n`);
  for (const cron of wrangler.crons) fireEveryMinute(cron);
}

/** Ends everything with status 0; a second signal does not shorten the wait, which is short anyway. */
async function stopInOrder() {
  if (stopping) return;
  stopping = true;
  await announceStop();
  await stop(workerd, "SIGTERM", DRAIN_MS_MAX);
  cleanUp();
  process.exit(0);
}

/** Opens the request that lasts until nothing is left to be told; workerd waits for it. Resolves when it is heard. */
function announceStop() {
  return new Promise((resolve) => {
    const call = http.request({ socketPath: "control.sock", path: "/stop", agent: false, timeout: ANNOUNCE_MS_MAX });
    call.on("response", (answer) => {
      answer.on("error", () => {});
      answer.resume();
      resolve();
    });
    call.on("error", resolve);
    call.on("timeout", () => call.destroy());
    call.end();
  });
}

function fail(message) {
  stopping = true;
  process.stderr.write(`error: ${message}\n`);
  if (workerd) {
    killGroup(workerd);
    cleanUp();
  }
  process.exit(1);
}

function cleanUp() {
  fs.rmSync(processFile, { force: true });
  fs.rmSync(path.join(run, "control.sock"), { force: true });
}

/** Passes JSON lines on as they are and makes others one; nothing else may appear on standard output. */
function forwardLines(stream, level, observe = () => {}) {
  eachLine(stream, (line) => {
    observe(line);
    const isObject = line.startsWith("{") && line.endsWith("}") && parses(line);
    const rank = line.includes(WARNING) ? "warn" : level;
    process.stdout.write(isObject ? `${line}\n` : `${JSON.stringify({ level: rank, source: "workerd", message: line })}\n`);
  });
}

function parses(line) {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** workerd reports each socket it listens on; with PORT=0 this is where the port comes from. */
function listeningPort() {
  return new Promise((resolve) => {
    eachLine(workerd.child.stdio[3], (line) => {
      const message = JSON.parse(line);
      if (message.event === "listen" && message.socket === "http") resolve(message.port);
    });
  });
}

/** Migrations applied and /health answering. */
async function untilReady() {
  const storageAnswer = await request({ socketPath: "control.sock", path: "/storage" });
  if (storageAnswer.status !== 200) {
    fail(`the database cannot be used: ${JSON.parse(storageAnswer.body || "{}").error ?? `status ${storageAnswer.status}`}`);
  }
  while (!stopping) {
    const health = await request({ host, port: listening, path: "/health" });
    if (health.status === 200) return;
    await sleep(50);
  }
}

/** The answer's status and body; status 0 where there was none. */
function request(options) {
  return new Promise((resolve) => {
    const call = http.request({ ...options, agent: false }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, body: Buffer.concat(chunks).toString() }));
      answer.on("error", () => resolve({ status: 0, body: "" }));
    });
    call.on("error", () => resolve({ status: 0, body: "" }));
    call.end();
  });
}

/** Fires `scheduled` at the start of each minute, like the platform does. */
function fireEveryMinute(cron) {
  if (cron !== "* * * * *") fail(`the cron expression ${cron} is not known here; only "* * * * *" is`);
  const next = () => {
    const due = Math.ceil((Date.now() + 1) / MINUTE_MS) * MINUTE_MS;
    setTimeout(async () => {
      const query = new URLSearchParams({ cron, time: String(due) });
      await request({ socketPath: "control.sock", path: `/scheduled?${query}` });
      next();
    }, due - Date.now());
  };
  next();
}
