// The entry of the gateway's Worker on plain workerd, in the same isolate as the Worker itself.
//
// Does what Cloudflare's edge does around a Worker with assets: paths of `run_worker_first` go to the
// Worker, others to a file if there is one, navigation to the page, and the rest to the Worker again.
// Not a service in front, because a second hop would cost time that production does not spend.

import Gateway from "./index.js";
import settings from "./settings.json";

export * from "./index.js";

// Each promise that the platform waits for leaves objects in the old generation which only a full collection
// frees, one by one, while nothing else is done: left to itself that is 150 ms for what 10,000 requests leave. In
// small portions it takes 4 ms at a time, and no longer in all. Waking a task is what goes with each such promise.
// There only where the launcher asks for it.
const collect = globalThis.gc ?? (() => {});
const COLLECTION = { type: "major", execution: "sync" };
const WAKES_MAX = 1_500;
let wakes = 0;

function collectNowAndThen() {
  wakes += 1;
  if (wakes < WAKES_MAX) return;
  wakes = 0;
  collect(COLLECTION);
}

// Woken tasks are run in a microtask. The platform's own function for that is a call out of JavaScript, of
// which there are a dozen a request; a promise does the same within it. What is thrown is reported as before.
globalThis.queueMicrotask = (task) => {
  Promise.resolve().then(() => {
    collectNowAndThen();
    try {
      task();
    } catch (error) {
      reportError(error);
    }
  });
};

// What worker-build puts around each call so that a Worker whose WebAssembly has trapped begins anew. It is
// made once: `this` of the call names what belongs to the request.
let handle;
async function callGateway(request, env, ctx) {
  handle ??= new Gateway(ctx, env).fetch;
  working += 1;
  try {
    return await handle.call({ env, ctx: counted(ctx) }, request);
  } finally {
    working -= 1;
  }
}

// Calls that are not answered, and work that goes on after the answer: settlements above all. When workerd is
// told to stop it waits for answers only, so `/stop` gives one that takes as long as the rest.
let working = 0;
const STOP_CHECK_MS = 20;
const STOP_MS_MAX = 2_900;

function counted(ctx) {
  return {
    waitUntil(work) {
      working += 1;
      ctx.waitUntil(
        work.finally(() => {
          working -= 1;
        }),
      );
    },
    passThroughOnException: () => ctx.passThroughOnException(),
    props: ctx.props,
  };
}

/** The head at once, so that the launcher knows that it is heard; the end when nothing is being done. */
function untilIdle() {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const wait = async () => {
    await writer.write(new TextEncoder().encode("stopping\n"));
    const began = Date.now();
    do await scheduler.wait(STOP_CHECK_MS);
    while (working > 0 && Date.now() - began < STOP_MS_MAX);
    await writer.close();
  };
  return { body: readable, work: wait() };
}

// The Worker prints the lines of several requests one after the other; they go out as one write.
const write = console.log.bind(console);
let lines = [];
console.log = (...parts) => {
  if (parts.length !== 1 || typeof parts[0] !== "string") return write(...parts);
  if (lines.push(parts[0]) === 1) queueMicrotask(printLines);
};

function printLines() {
  const together = lines.join("\n");
  lines = [];
  write(together);
}

const exact = new Set(settings.workerFirst.filter((pattern) => !pattern.endsWith("*")));
const prefixes = settings.workerFirst.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));

export default {
  fetch(request, env, ctx) {
    if (isWorkerFirst(pathOf(request.url))) return callGateway(request, env, ctx);
    return fetchPage(request, env, ctx);
  },
};

/** Reached through the launcher's own socket only. */
export const control = {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === "/stop") {
      const { body, work } = untilIdle();
      ctx.waitUntil(work);
      return new Response(body);
    }
    if (url.pathname === "/storage") return env.STORAGE.fetch("http://d1/ready");
    // Only where the launcher lets faults be injected does the database know what this is.
    if (url.pathname === "/storage/fault") return env.STORAGE.fetch(`http://d1/fault${url.search}`);
    if (url.pathname !== "/scheduled") return new Response(null, { status: 404 });
    const gateway = new Gateway(ctx, env);
    if (typeof gateway.scheduled !== "function") return new Response(null, { status: 404 });
    await gateway.scheduled({
      cron: url.searchParams.get("cron"),
      scheduledTime: Number(url.searchParams.get("time")),
      noRetry() {},
    });
    return new Response(null, { status: 204 });
  },
};

async function fetchPage(request, env, ctx) {
  if (request.method === "GET" || request.method === "HEAD") {
    const file = await env.FILES.fetch(request);
    if (file.status !== 404) return file;
    if (isNavigation(request)) return env.ASSETS.fetch(request);
  }
  return callGateway(request, env, ctx);
}

/** Somebody wants a page: a browser that goes somewhere, or one that is too old to say so. */
function isNavigation({ headers }) {
  const mode = headers.get("sec-fetch-mode");
  return mode === "navigate" || (mode === null && (headers.get("accept") ?? "").includes("text/html"));
}

function isWorkerFirst(path) {
  return exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix));
}

function pathOf(url) {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const query = url.indexOf("?", start);
  return query < 0 ? url.slice(start) : url.slice(start, query);
}
