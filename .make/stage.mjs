// A gateway with something to see, for work on the console and for its pictures: demo providers, servers in
// several states, keys, a month of statistics, and a load that goes on until it is told to stop.
//
//   STATE=dir PORT=8790 node .make/stage.mjs      (PORT=0: a free one; STATE: a temporary folder)
//
// Prints `ready URL` and the tokens. Needs `make build` and the demo provider (cargo build -p gateway-tests).

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

import { eachLine, killGroup, start, stop } from "./processes.mjs";
import { ROOT } from "./vars.mjs";

const ADMIN_TOKEN = "admin-token-of-the-stage";
const VIEWER_TOKEN = "viewer-token-of-the-stage";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const HISTORY_DAYS = 31;
/** Numbers that look random and are the same each time. */
let seed = 42;
function random() {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}

const SERVERS = [
  { name: "openai-primary", models: ["gpt-5", "gpt-5-pro"], rpm_limit: 90, tpm_limit: 60_000, max_concurrency: 16, queue_max: 60 },
  { name: "azure-eastus", models: ["gpt-5-mini", "text-embedding-3-*"], rpm_limit: 600, tpm_limit: 400_000, max_concurrency: null, overflow: "next_server" },
  { name: "claude-team", models: ["claude-sonnet-5", "claude-haiku-5"], rpm_limit: 240, tpm_limit: 160_000, max_concurrency: 12 },
  { name: "本地推理集群", models: ["qwen3-72b", "deepseek-v4"], rpm_limit: null, tpm_limit: null, max_concurrency: 4, queue_timeout_ms: 120_000 },
  { name: "nightly-batch", models: ["batch-*"], rpm_limit: 0, tpm_limit: null, max_concurrency: null },
  { name: "old-gateway", models: ["gpt-4*"], rpm_limit: 60, tpm_limit: null, max_concurrency: null, enabled: false },
];
const KEYS = [
  { name: "support-bot", app: "support-bot", models: [] },
  { name: "Website search", app: "web-search", models: ["gpt-5-mini", "text-embedding-3-*"] },
  { name: "数据标注", app: "labeling", models: ["qwen3-72b", "deepseek-v4"] },
  { name: "CI experiments", app: null, models: [], expires_at: new Date(Date.now() + 9 * DAY_MS).toISOString() },
  { name: "former contractor", app: "contractor", models: [], enabled: false },
];
const TRAFFIC = [
  { server: 0, model: "gpt-5", app: "support-bot", perMinute: 98 },
  { server: 1, model: "gpt-5-mini", app: "web-search", perMinute: 150 },
  { server: 2, model: "claude-sonnet-5", app: "support-bot", perMinute: 60 },
  { server: 3, model: "qwen3-72b", app: "labeling", perMinute: 40 },
  { server: 4, model: "batch-1", app: "ci", perMinute: 3 },
];

/** Starts everything; `load` as a factor, 0 is none, `empty` leaves out all data. */
export async function stage({ state, port = "0", load = 1, empty = false, variables = {} } = {}) {
  const folder = state ?? fs.mkdtempSync(path.join(os.tmpdir(), "sluice-stage-"));
  const provider = start(path.join(ROOT, "target/debug/demo-provider"), ["--port", "0", "--chunks", "24", "--header-delay-ms", "350", "--chunk-delay-ms", "60", "--models", SERVERS.flatMap((server) => server.models).filter((model) => !model.endsWith("*")).join(",")], { stdio: ["ignore", "pipe", "inherit"] });
  const providerUrl = await ready(provider, () => {});
  const env = { ...process.env, PORT: String(port), STATE: folder, ADMIN_TOKEN, VIEWER_TOKEN, FAULT_INJECTION: "off", ...variables };
  const gateway = start(path.join(ROOT, ".make/serve"), [], { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  const url = await ready(gateway, () => {});
  const stage = { url, providerUrl, adminToken: ADMIN_TOKEN, viewerToken: VIEWER_TOKEN, folder, servers: [], keys: [] };
  let loading = true;
  stage.stopLoad = () => (loading = false);
  stage.stop = async () => {
    loading = false;
    await Promise.all([stop(gateway, "SIGTERM", 6_000), stop(provider, "SIGTERM", 2_000)]);
    killGroup(provider);
    if (!state) fs.rmSync(folder, { recursive: true, force: true });
  };
  if (empty) return stage;

  const api = async (method, path, body) => {
    const answer = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" }, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  };
  stage.api = api;
  const there = await api("GET", "/api/servers?limit=100");
  for (const server of SERVERS) {
    const same = there.items.find((one) => one.name === server.name);
    stage.servers.push(same ?? (await api("POST", "/api/servers", { base_url: `${providerUrl}/v1`, api_key: "sk-demo-0123456789", ...server })));
    if (same) await api("PATCH", `/api/servers/${same.id}`, { base_url: `${providerUrl}/v1` });
  }
  for (const key of KEYS) stage.keys.push(await api("POST", "/api/keys", key));
  await api("PATCH", `/api/servers/${stage.servers[2].id}`, { queue_max: 120 });
  if (!there.items.length) writeHistory(folder, stage);
  const secret = stage.keys[3].key;
  for (const flow of TRAFFIC) if (load > 0) void keepSending(flow, secret);
  return stage;

  async function keepSending({ model, app, perMinute }, key) {
    await sleep(3_500);
    while (loading) {
      void send(model, app, key);
      await sleep((60_000 / (perMinute * load)) * (0.4 + 1.2 * random()));
    }
  }
  async function send(model, app, key) {
    const stream = random() < 0.6;
    const body = { model, stream, messages: [{ role: "user", content: "a question of some length ".repeat(1 + Math.floor(random() * 12)) }], max_tokens: 200 };
    if (random() < 0.02) body.sluice_demo = { status: 500, body: "{\"error\":{\"message\":\"demo\"}}" };
    try {
      const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${key}`, "app-name": app, "content-type": "application/json" }, body: JSON.stringify(body) });
      await answer.arrayBuffer();
    } catch {
      // The gateway was stopped.
    }
  }
}

/** A month of statistics by hour and by day, as the rollup would have written them. */
function writeHistory(folder, { servers, keys }) {
  const storage = path.join(folder, "storage/sluice-d1");
  const file = fs.readdirSync(storage).map((name) => path.join(storage, name)).filter((name) => name.endsWith(".sqlite")).find((name) => hasTable(name, "usage_hours"));
  const database = new DatabaseSync(file);
  const columns = (table) => database.prepare(`PRAGMA table_info(${table})`).all().map((column) => column.name);
  const names = columns("usage_hours");
  const insert = (table) => database.prepare(`INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`);
  const days = new Map();
  database.exec("BEGIN");
  const hours = insert("usage_hours");
  const end = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  for (let bucket = end - HISTORY_DAYS * DAY_MS; bucket < end; bucket += HOUR_MS) {
    for (const { server, model, app, perMinute } of TRAFFIC.slice(0, 4)) {
      const row = hourOf(bucket, servers[server].id, app, model, perMinute * 60);
      hours.run(...names.map((name) => row[name] ?? 0));
      const day = Math.floor(bucket / DAY_MS) * DAY_MS;
      const key = `${day} ${row.server_id} ${app} ${model}`;
      const sum = days.get(key) ?? { ...row, bucket: day };
      if (days.has(key)) for (const name of names) if (typeof row[name] === "number" && name !== "bucket") sum[name] = name.endsWith("_max") ? Math.max(sum[name] ?? 0, row[name]) : (sum[name] ?? 0) + row[name];
      days.set(key, sum);
    }
  }
  const byDay = insert("usage_days");
  for (const row of days.values()) byDay.run(...names.map((name) => row[name] ?? 0));
  writeLogs(database, servers, keys);
  database.exec("COMMIT");
  database.close();
}

function hasTable(file, table) {
  const database = new DatabaseSync(file);
  const found = database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(table);
  database.close();
  return found !== undefined;
}

/** Busy by day, quiet by night and at the weekend. */
function hourOf(bucket, server_id, app, model, most) {
  const date = new Date(bucket);
  const daily = 0.25 + 0.75 * Math.max(0, Math.sin(((date.getHours() - 6) / 15) * Math.PI));
  const weekly = [0, 6].includes(date.getDay()) ? 0.35 : 1;
  const requests = Math.round(most * daily * weekly * (0.75 + random() * 0.5));
  const busy = daily * weekly;
  const queued_requests = Math.round(requests * Math.max(0, busy - 0.55) * random());
  const row = { bucket, server_id, app, model, requests, queued_requests };
  row.errors = Math.round(requests * 0.004 * random() * (random() < 0.04 ? 25 : 1));
  row.queue_timeouts = Math.round(queued_requests * 0.01 * random());
  row.cancelled = Math.round(requests * 0.004 * random());
  row.prompt_tokens = Math.round(requests * (420 + 260 * random()));
  row.completion_tokens = Math.round(requests * (150 + 90 * random()));
  row.cached_tokens = Math.round(row.prompt_tokens * 0.3 * random());
  row.total_tokens = row.prompt_tokens + row.completion_tokens;
  spread(row, "wait", requests - queued_requests, 0, queued_requests, 9 + Math.round(busy * 5));
  row.queue_wait_ms_sum = queued_requests * 2_400;
  row.queue_wait_ms_max = queued_requests ? 9_000 + Math.round(random() * 20_000) : 0;
  spread(row, "latency", 0, 0, requests, 11);
  row.latency_ms_sum = requests * 1_900;
  row.latency_ms_max = 6_000 + Math.round(random() * 24_000);
  return row;
}

/** A histogram: so many in one bin, the rest round another. */
function spread(row, name, some, bin, others, round) {
  const put = (index, count) => {
    const column = `${name}_${String(Math.min(23, Math.max(0, index))).padStart(2, "0")}`;
    row[column] = (row[column] ?? 0) + count;
  };
  put(bin, some);
  const parts = [0.1, 0.22, 0.36, 0.2, 0.09, 0.03];
  let left = others;
  parts.forEach((part, index) => {
    const count = index === parts.length - 1 ? left : Math.min(left, Math.round(others * part));
    left -= count;
    put(round - 2 + index, count);
  });
}

/** Some hundred rows of the log, of the hours before. */
function writeLogs(database, servers, keys) {
  const codes = [[200, null, 94], [499, null, 2], [504, "queue_timeout", 1.4], [502, "upstream_unreachable", 0.6], [429, "queue_full", 0.6], [500, null, 1.4]];
  const columns = ["ticket", "request_id", "started_at", "stored_at", "app", "key_id", "server_id", "model", "endpoint", "status", "error_code", "stream", "prompt_tokens", "completion_tokens", "cached_tokens", "total_tokens", "usage_source", "queue_wait_ms", "queue_position", "ttft_ms", "total_ms", "overhead_ms", "attempts", "colo"];
  const insert = database.prepare(`INSERT INTO logs (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`);
  let time = Date.now() - 26 * HOUR_MS;
  for (let number = 0; number < 900; number += 1) {
    time += random() * 200_000;
    if (time > Date.now() - 60_000) break;
    const flow = TRAFFIC[Math.floor(random() * 4)];
    let at = random() * 100;
    const [status, code] = codes.find(([, , weight]) => (at -= weight) < 0) ?? codes[0];
    const wait = random() < 0.3 ? Math.round(random() ** 2 * 24_000) : 0;
    const good = status === 200;
    const prompt = good || status === 499 ? Math.round(120 + random() * 1_800) : 0;
    const completion = good ? Math.round(40 + random() * 700) : 0;
    const first = good ? Math.round(180 + random() * 900) : null;
    insert.run(`seed-${number}`, `req_${number.toString(36).padStart(4, "0")}${Math.floor(random() * 1e9).toString(36)}`, Math.round(time), Math.round(time), flow.app, keys[number % 4].id, servers[flow.server].id, flow.model, "/v1/chat/completions", status, code, number % 3 ? 1 : 0, prompt, completion, good ? Math.round(prompt * 0.2) : 0, prompt + completion, status === 499 ? "estimated" : "exact", wait, wait ? 1 + Math.floor(random() * 30) : 0, first, wait + (first ?? 200) + completion * 9, 1 + Math.floor(random() * 4), random() < 0.03 ? 2 : 1, "HKG");
  }
  // They are in the sums already.
  database.exec("UPDATE rollup SET rolled_from = 0, rolled_to = (SELECT coalesce(max(sequence), 0) FROM logs) WHERE id = 1");
}

function ready(process, later) {
  return new Promise((resolve, reject) => {
    let url;
    eachLine(process.child.stdout, (line) => {
      if (url) return later(line);
      url = /^ready (http:\S+)/.exec(line)?.[1];
      if (url) resolve(url);
    });
    process.ended.then((how) => reject(new Error(`ended (${how}) before it was ready`)));
  });
}

if (process.argv[1] === import.meta.filename) {
  const running = await stage({ state: process.env.STATE, port: process.env.PORT ?? "8790", load: Number(process.env.LOAD ?? 1), empty: process.env.EMPTY === "1" });
  console.log(`ready ${running.url}\nadmin  ${ADMIN_TOKEN}\nviewer ${VIEWER_TOKEN}\nkey    ${running.keys[3]?.key ?? "-"}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => running.stop().then(() => process.exit(0)));
}
