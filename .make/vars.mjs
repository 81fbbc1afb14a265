// Variables and secrets of a local run: the environment first, then `.dev.vars` (which wrangler reads
// too, and git ignores). Missing secrets are made up once and kept there, readable by the owner only.
// A deployment keeps its own in a file of the same form, see deploy.mjs.

import { randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const ROOT = path.resolve(import.meta.dirname, "..");
const FILE = path.join(ROOT, ".dev.vars");
const LOCK_WAIT_MS_MAX = 5_000;

/** Secrets that a run cannot do without, and how a new one looks. */
export const REQUIRED = {
  ADMIN_TOKEN: () => randomBytes(24).toString("base64url"),
  VIEWER_TOKEN: () => randomBytes(24).toString("base64url"),
  ENCRYPTION_KEY: () => randomBytes(32).toString("base64"),
};

/** Passed to the gateway when set. */
export const OPTIONAL = [
  "ENCRYPTION_KEY_PREVIOUS", "CLIENT_AUTH", "APP_NAME", "BODY_BYTES_MAX", "ALLOW_HTTP_UPSTREAM",
  "ALLOW_PRIVATE_UPSTREAM", "CORS_ORIGINS", "LOG_REQUESTS",
  "RETRY_MAX", "LOG_RETENTION_DAYS", "ENVIRONMENT", "FAULT_INJECTION", "FAULT_LEASE_MS", "FAULT_JOURNAL_ROWS",
  "AUTH_FAILURES_PER_MINUTE", "ACCESS_TEAM_DOMAIN", "ACCESS_AUDIENCE", "ADMIN_EMAILS", "VIEWER_EMAILS",
];

/** The lines `NAME=value` of `.dev.vars`; a value may stand in quotes. */
export function readDevVars(file = FILE) {
  const values = {};
  if (!fs.existsSync(file)) return values;
  for (const line of fs.readFileSync(file, "utf8").split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!match) continue;
    const quoted = /^(["'`])(.*)\1$/.exec(match[2]);
    values[match[1]] = quoted ? quoted[2] : match[2];
  }
  return values;
}

/** Sets lines of `.dev.vars`; the others stay as they are. One process at a time. */
export async function writeDevVars(changes, file = FILE) {
  await locked(() => replaceLines(changes, file), file);
}

/** What the gateway gets: name to value, with every required secret. */
export async function gatewayVariables() {
  let file = readDevVars();
  const lacks = (name) => !process.env[name] && !file[name];
  if (Object.keys(REQUIRED).some(lacks)) {
    await locked(() => {
      file = readDevVars();
      const made = Object.entries(REQUIRED).filter(([name]) => lacks(name));
      if (made.length) replaceLines(Object.fromEntries(made.map(([name, make]) => [name, make()])));
    });
    file = readDevVars();
  }
  const variables = {};
  for (const name of [...Object.keys(REQUIRED), ...OPTIONAL]) {
    const value = process.env[name] || file[name];
    if (value) variables[name] = value;
  }
  return variables;
}

function replaceLines(changes, file = FILE) {
  const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : [];
  const kept = lines.filter((line) => !Object.keys(changes).some((name) => line.startsWith(`${name}=`)));
  while (kept.at(-1) === "") kept.pop();
  for (const [name, value] of Object.entries(changes)) kept.push(`${name}="${value}"`);
  const next = `${file}.${process.pid}`;
  fs.writeFileSync(next, `${kept.join("\n")}\n`, { mode: 0o600 });
  fs.renameSync(next, file);
}

async function locked(change, file = FILE) {
  const lock = `${file}.lock`;
  for (let waited = 0; ; waited += 20) {
    try {
      fs.closeSync(fs.openSync(lock, "wx"));
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      // Left behind by a killed process: nobody holds it for as long as this.
      if (waited >= LOCK_WAIT_MS_MAX) fs.rmSync(lock, { force: true });
      await sleep(20);
    }
  }
  try {
    return change();
  } finally {
    fs.rmSync(lock, { force: true });
  }
}
