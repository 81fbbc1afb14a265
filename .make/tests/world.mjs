// A checkout, an account and a gateway for the tests of deployments; all of them in a folder that is removed.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";

import { run } from "../deploy.mjs";
import { ROOT } from "../vars.mjs";

export const TOKEN = "an-admin-token-of-a-test";
export const KEY = Buffer.alloc(32, 7).toString("base64");
export const OTHER_KEY = Buffer.alloc(32, 8).toString("base64");
export const MIGRATIONS = fs.readdirSync(path.join(ROOT, "migrations")).filter((name) => name.endsWith(".sql")).sort();

export function world(test, { account = {}, environment = {}, file, gateway = {} } = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-deploy-test-"));
  test.after(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const name of ["wrangler.toml", "package.json"]) fs.copyFileSync(path.join(ROOT, name), path.join(root, name));
  fs.cpSync(path.join(ROOT, "migrations"), path.join(root, "migrations"), { recursive: true });
  const settings = path.join(root, ".deploy.production.vars");
  if (file) fs.writeFileSync(settings, file, { mode: 0o600 });
  const accountFile = path.join(root, "account.json");
  const pinned = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")).devDependencies.wrangler;
  const begin = {
    calls: [], version: pinned, accounts: [{ id: "a1", name: "Example" }], databases: [], applied: null, migrations: MIGRATIONS,
    worker: false, secrets: {}, values: {}, deployments: [], dump: "",
  };
  fs.writeFileSync(accountFile, JSON.stringify({ ...begin, ...account }));
  const said = [];
  const asked = [];
  const readAccount = () => JSON.parse(fs.readFileSync(accountFile, "utf8"));
  const requests = [];
  const answers = {
    "/health": () => [200, "{}"],
    "/health/ready": () => [200, JSON.stringify({ status: "ready", schema_version: MIGRATIONS.length })],
    "/v1/models": () => [401, "{}"],
    "/api/session": (init) => [JSON.parse(init.body).token === readAccount().secrets.ADMIN_TOKEN ? 200 : 401, "{}"],
    ...gateway,
  };
  const there = {
    environment: { PATH: process.env.PATH, ENV: "production", YES: "1", FAKE_ACCOUNT: accountFile, ...environment },
    root,
    wrangler: path.join(ROOT, ".make/tests/wrangler.mjs"),
    build: "/bin/true",
    say: (text) => said.push(text),
    now: Date.now,
    smokeMsMax: 50,
    backupBytesMax: 10_000_000,
    ask: null,
    async fetch(url, init) {
      requests.push({ url, init });
      const [status, text] = answers[new URL(url).pathname](init);
      return { status, text: async () => text };
    },
  };
  return {
    root,
    there,
    asked,
    requests,
    account: readAccount,
    calls: () => readAccount().calls.map(({ call }) => call),
    /** Calls that change something on Cloudflare. */
    changes: () => readAccount().calls.map(({ call }) => call).filter((call) => /^(d1 create|d1 migrations apply DB --remote|deploy (?!--dry-run)|rollback|d1 execute .*--file|secret (?!list))/.test(call)),
    said: () => said.join("\n"),
    settings: () => (fs.existsSync(settings) ? fs.readFileSync(settings, "utf8") : null),
    settingsMode: () => (fs.statSync(settings).mode & 0o777).toString(8),
    run: (verb) => run(verb, there),
  };
}
