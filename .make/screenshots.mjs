// Pictures of every page of the console: both themes, both languages, wide and narrow, with the data of
// .make/stage.mjs. They are for docs/ and for looking at while one works.
//
//   node .make/screenshots.mjs [--out docs/screenshots] [--only overview,servers] [--sizes 1280x800,360x740]
//                              [--themes light,dark] [--languages en,zh-CN] [--url URL] [--whole]
//
// Without --url it starts a stage of its own. --whole takes the whole page, not only the window.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { stage } from "./stage.mjs";
import { ROOT } from "./vars.mjs";

const SETTLE_MS = 900;
const CALL_MS_MAX = 30_000;
/** Name of the picture, path, and what is there when the page is complete; `act` then runs in the page, until `then` is there. */
const PAGES = [
  { name: "sign-in", path: "/", seen: ".sign-in-card", token: false },
  { name: "overview", path: "/?range=7d", seen: ".u-legend" },
  { name: "servers", path: "/servers", seen: "#page-title" },
  { name: "server", path: "/servers/{server}", seen: "dialog[open] .form-group" },
  { name: "server-new", path: "/servers/new", seen: "dialog[open] .form-group" },
  { name: "keys", path: "/keys", seen: ".keys-table" },
  { name: "key-new", path: "/keys?new=1", seen: "#key-name" },
  { name: "usage", path: "/usage?range=7d", seen: ".uplot" },
  { name: "usage-wait", path: "/usage?range=7d&group_by=nothing&measure=wait", seen: ".uplot" },
  { name: "logs", path: "/logs", seen: ".logs-table" },
  { name: "log", path: "/logs/{log}", seen: ".logs-timeline" },
  { name: "playground", path: "/playground", seen: ".playground-composer" },
  { name: "playground-answer", path: "/playground?app=ci&model=gpt-5-mini", seen: ".playground-composer", act: ask, then: ".playground-figures" },
  { name: "audit", path: "/audit", seen: ".audit-entry" },
  { name: "lost", path: "/nothing-here", seen: "#page-title" },
];

/** What sticks out, for the message. */
const WIDE = "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1).slice(0, 4).map((one) => one.tagName + '.' + one.className?.toString()).join(', ')";

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: path.join(ROOT, "docs/screenshots") },
    only: { type: "string" },
    sizes: { type: "string", default: "1280x800,360x740" },
    themes: { type: "string", default: "light,dark" },
    languages: { type: "string", default: "en,zh-CN" },
    url: { type: "string" },
    token: { type: "string", default: "admin-token-of-the-stage" },
    whole: { type: "boolean", default: false },
    wait: { type: "string", default: "0" },
  },
});

const out = path.resolve(options.out);
fs.mkdirSync(out, { recursive: true });
const own = options.url ? undefined : await stage();
const url = options.url ?? own.url;
// A queue takes a while to build up: the window of a minute fills first.
if (own) await sleep(75_000);
const browser = await startBrowser();
let failed = 0;
try {
  const ids = await exampleIds();
  for (const language of options.languages.split(",")) {
    for (const theme of options.themes.split(",")) {
      for (const size of options.sizes.split(",")) await picturesOf(language, theme, size, ids);
    }
  }
} finally {
  await browser.stop();
  await own?.stop();
}
process.exit(failed ? 1 : 0);

async function picturesOf(language, theme, size, ids) {
  const [width, height] = size.split("x").map(Number);
  const wanted = PAGES.filter((page) => !options.only || options.only.split(",").includes(page.name));
  const tab = await browser.tab({ language, theme, width, height });
  let signedIn = false;
  for (const page of wanted) {
    if (page.token !== false && !signedIn) {
      await tab.go(`${url}/docs/page.css`);
      await tab.evaluate(`fetch("/api/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token: ${JSON.stringify(options.token)} }) }).then((answer) => { if (!answer.ok) throw new Error("sign-in: " + answer.status); })`);
      // The plain file that this was asked from has no icon.
      tab.complaints().length = 0;
      signedIn = true;
    }
    const target = page.path.replace("{server}", ids.server).replace("{log}", ids.log);
    await tab.go(`${url}${target}`);
    await tab.until(`document.querySelector(${JSON.stringify(page.seen)})?.checkVisibility()`, `${page.name}: ${page.seen}`);
    if (page.act && ids.key) {
      await tab.evaluate(page.act(ids));
      await tab.until(`document.querySelector(${JSON.stringify(page.then)})?.checkVisibility()`, `${page.name}: ${page.then}`);
    }
    await sleep(SETTLE_MS + Number(options.wait));
    const overflow = await tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    if (overflow > 0) {
      failed += 1;
      console.error(`${page.name} at ${size}, ${language}: ${overflow} pixels too wide: ${await tab.evaluate(WIDE)}`);
    }
    const file = path.join(out, `${page.name}-${width}-${theme}-${language === "en" ? "en" : "zh"}.png`);
    fs.writeFileSync(file, await tab.picture(options.whole));
  }
  for (const complaint of tab.complaints()) {
    failed += 1;
    console.error(`${language} ${theme} ${size}: ${complaint}`);
  }
  await tab.close();
}

/** Writes a key and a message into the playground, and sends it. */
function ask({ key }) {
  const fields = JSON.stringify({ "#play-key": key, ".playground-message": "How does a queue keep a provider's limits?" });
  return `(async () => {
    for (const [selector, text] of Object.entries(${fields})) {
      const field = document.querySelector(selector);
      field.value = text;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    while (document.querySelector("#play-model")?.value !== "gpt-5-mini") await new Promise(requestAnimationFrame);
    document.querySelector(".playground-composer").requestSubmit();
  })()`;
}

async function exampleIds() {
  const ask = async (target) => (await (await fetch(`${url}${target}`, { headers: { authorization: `Bearer ${options.token}` } })).json()).items ?? [];
  const [servers, logs] = await Promise.all([ask("/api/servers"), ask("/api/logs?limit=200")]);
  const waited = logs.find((row) => row.status === 200 && row.queue_wait_ms > 500 && row.stream);
  return { key: own?.keys[3]?.key, server: servers[0]?.id ?? "none", log: encodeURIComponent((waited ?? logs[0])?.request_id ?? "none") };
}

// --- the browser, over a pipe ------------------------------------------------------------------------

async function startBrowser() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-pictures-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars", "--force-color-profile=srgb", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"];
  const child = spawn(process.env.CHROMIUM ?? "chromium", flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const waiting = new Map();
  const listeners = new Set();
  let rest = "";
  let next = 0;
  child.stdio[4].setEncoding("utf8").on("data", (text) => {
    const parts = (rest + text).split("\0");
    rest = parts.pop();
    for (const part of parts) {
      const message = JSON.parse(part);
      if (message.id) waiting.get(message.id)?.(message);
      else for (const listener of listeners) listener(message);
    }
  });
  const call = (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      const id = (next += 1);
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), CALL_MS_MAX);
      waiting.set(id, (message) => {
        clearTimeout(timer);
        waiting.delete(id);
        if (message.error) reject(new Error(`${method}: ${message.error.message}`));
        else resolve(message.result);
      });
      child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  return {
    tab: (look) => openTab(call, listeners, look),
    async stop() {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("close", resolve));
      fs.rmSync(profile, { recursive: true, force: true });
    },
  };
}

async function openTab(call, listeners, { language, theme, width, height }) {
  const { browserContextId } = await call("Target.createBrowserContext");
  const { targetId } = await call("Target.createTarget", { url: "about:blank", browserContextId });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  const ask = (method, params) => call(method, params, sessionId);
  const complaints = [];
  const listener = ({ method, params, sessionId: from }) => {
    if (from !== sessionId) return;
    if (method === "Runtime.exceptionThrown") complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") complaints.push(params.args.map((one) => one.value ?? one.description).join(" "));
    if (method === "Log.entryAdded" && params.entry.level === "error" && !/\/api\/|favicon/.test(params.entry.url ?? "")) complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
  };
  listeners.add(listener);
  for (const domain of ["Page", "Runtime", "Log"]) await ask(`${domain}.enable`);
  await ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  await ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }] });
  await ask("Emulation.setLocaleOverride", { locale: language });
  await ask("Page.addScriptToEvaluateOnNewDocument", { source: `try { localStorage.setItem("sluice.language", ${JSON.stringify(language)}) } catch {}` });
  const evaluate = async (expression) => {
    const answer = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? expression);
    return answer.result.value;
  };
  return {
    evaluate,
    complaints: () => complaints,
    go: async (target) => {
      const loaded = new Promise((resolve) => {
        const once = (message) => message.sessionId === sessionId && message.method === "Page.loadEventFired" && (listeners.delete(once), resolve());
        listeners.add(once);
      });
      await ask("Page.navigate", { url: target });
      await loaded;
    },
    until: async (expression, what) => {
      for (let waited = 0; waited < 10_000; waited += 100) {
        if (await evaluate(expression)) return;
        await sleep(100);
      }
      failed += 1;
      console.error(`never seen: ${what}`);
    },
    picture: async (whole) => {
      const clip = whole ? { x: 0, y: 0, width, height: await evaluate("Math.max(innerHeight, document.documentElement.scrollHeight)"), scale: 1 } : undefined;
      const { data } = await ask("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole, clip });
      return Buffer.from(data, "base64");
    },
    close: async () => {
      listeners.delete(listener);
      await call("Target.disposeBrowserContext", { browserContextId });
    },
  };
}
