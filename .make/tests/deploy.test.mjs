// The whole of `make deploy` and `make rollback` against a wrangler that only pretends.

import assert from "node:assert/strict";
import { test } from "node:test";

import { readOptions } from "../deployment.mjs";
import { KEY, MIGRATIONS, OTHER_KEY, TOKEN, world } from "./world.mjs";

const FILE = `ADMIN_TOKEN="${TOKEN}"\nVIEWER_TOKEN="a-viewer-token-of-a-test"\nENCRYPTION_KEY="${KEY}"\n`;
/** An account to which everything was deployed before. */
const deployed = () => ({
  databases: ["sluice-production"],
  applied: MIGRATIONS,
  worker: true,
  secrets: { ADMIN_TOKEN: TOKEN, VIEWER_TOKEN: "a-viewer-token-of-a-test", ENCRYPTION_KEY: KEY },
});

test("first deployment creates the database, migrates, deploys with secrets, and checks, in this order", async (t) => {
  const w = world(t);
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.deepEqual(w.changes(), [
    "d1 create sluice-production",
    "d1 migrations apply DB --remote --env production",
    "deploy --secrets-file SECRETS --env production",
  ]);
  const { secrets, calls } = w.account();
  assert.deepEqual(Object.keys(secrets).sort(), ["ADMIN_TOKEN", "ENCRYPTION_KEY", "VIEWER_TOKEN"]);
  assert.equal(Buffer.from(secrets.ENCRYPTION_KEY, "base64").length, 32);
  assert.equal(calls.find(({ mode }) => mode).mode, "600");
  assert.ok(calls.every(({ ci, leaked }) => ci === "1" && leaked.length === 0));
  for (const [name, value] of Object.entries(secrets)) assert.ok(w.settings().includes(`${name}="${value}"\n`));
  assert.equal(w.settingsMode(), "600");
  assert.deepEqual([...new Set(w.requests.map(({ url }) => new URL(url).pathname))], ["/health", "/health/ready", "/v1/models", "/api/session"]);
  assert.ok(w.requests.every(({ url }) => url.startsWith("https://sluice-production.example.workers.dev/")));
});

test("no secret is ever printed, generated or given, when all is well and when a step quotes it", async (t) => {
  const good = world(t);
  await good.run("deploy");
  const bad = world(t, { file: FILE, account: { values: { ADMIN_TOKEN: TOKEN, ENCRYPTION_KEY: KEY } }, environment: { FAKE_FAIL: "deploy --secrets-file" } });
  assert.equal(await bad.run("deploy"), 1);
  for (const w of [good, bad]) {
    for (const value of [...Object.values(w.account().secrets), TOKEN, KEY]) assert.ok(!w.said().includes(value), w.said());
  }
  assert.match(bad.said(), /\[secret\]/);
});

test("second deployment creates nothing, applies nothing and uploads no secret", async (t) => {
  const w = world(t, { account: deployed(), file: FILE });
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.deepEqual(w.changes(), ["deploy --env production"]);
  assert.equal(w.settings(), FILE);
});

test("only what is missing is applied and set", async (t) => {
  const account = { ...deployed(), applied: MIGRATIONS.slice(0, 1), secrets: { ADMIN_TOKEN: TOKEN, ENCRYPTION_KEY: KEY } };
  const w = world(t, { account, file: `ADMIN_TOKEN="${TOKEN}"\n` });
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.match(w.said(), new RegExp(`apply to it: ${MIGRATIONS.slice(1).join(", ")}`));
  assert.equal(w.account().secrets.ADMIN_TOKEN, TOKEN);
  assert.ok(w.account().secrets.VIEWER_TOKEN);
});

test("without a terminal and without YES nothing is changed", async (t) => {
  const w = world(t, { environment: { YES: "" } });
  assert.equal(await w.run("deploy"), 1);
  assert.match(w.said(), /create the D1 database sluice-production[\s\S]*no terminal to ask; YES=1/);
  assert.deepEqual([w.changes(), w.settings()], [[], null]);
});

test("a plan that is not confirmed changes nothing, and one that is needs the name of the environment", async (t) => {
  for (const [answer, status] of [[false, 1], [true, 0]]) {
    const w = world(t, { environment: { YES: "0" } });
    w.there.ask = async (question, expected) => {
      assert.deepEqual([w.changes(), w.settings(), expected], [[], null, "production"]);
      return answer;
    };
    assert.equal(await w.run("deploy"), status);
    assert.equal(w.changes().length > 0, answer);
  }
});

test("dry run asks nothing of Cloudflare, needs no sign-in and changes nothing", async (t) => {
  const w = world(t, { environment: { DRY_RUN: "1", YES: "" }, account: { accounts: null } });
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.match(w.said(), /Dry run: all is well/);
  const local = /^(--version|deploy --dry-run|d1 (migrations apply|execute) DB --local)/;
  assert.deepEqual(w.calls().filter((call) => !local.test(call)), []);
  assert.equal(w.settings(), null);
});

test("every step that fails says which it was, what state things are in, and how to go on; the next run completes it", async (t) => {
  const cases = [
    ["--version", "check", /Nothing has been changed/, 0],
    ["deploy --dry-run", "build", /Nothing has been changed/, 0],
    ["d1 migrations apply DB --local", "build", /Nothing has been changed/, 0],
    ["whoami", "check", /Nothing has been changed/, 0],
    ["d1 list", "look", /Nothing has been changed/, 0],
    ["secret list", "look", /Nothing has been changed/, 0],
    ["d1 create", "database", /No code was deployed/, 1],
    ["d1 migrations apply DB --remote", "migrations", /whole or not at all/, 2],
    ["deploy --secrets-file", "deploy", /Secrets arrive with the code or not at all/, 3],
  ];
  for (const [failing, step, state, changes] of cases) {
    const w = world(t, { environment: { FAKE_FAIL: failing } });
    assert.equal(await w.run("deploy"), 1, failing);
    assert.ok(w.said().includes(`error: the step "${step}" failed`), `${failing}: ${w.said()}`);
    assert.match(w.said(), state);
    assert.match(w.said(), /run `make deploy ENV=production` again/);
    assert.equal(w.changes().length, changes, failing);
    const before = w.settings();
    delete w.there.environment.FAKE_FAIL;
    assert.equal(await w.run("deploy"), 0, `${failing}: ${w.said()}`);
    if (before) assert.equal(w.settings(), before, "what was generated first is what is deployed");
  }
});

test("a smoke test that fails says so and how to go back", async (t) => {
  const cases = [
    [{ "/health": () => [500, ""] }, /GET \/health answered 500/],
    [{ "/health": () => [302, ""] }, /Cloudflare Access/],
    [{ "/health/ready": () => [503, JSON.stringify({ status: "not_ready", problems: ["ADMIN_TOKEN is not set."] })] }, /503: ADMIN_TOKEN is not set/],
    [{ "/health/ready": () => [200, JSON.stringify({ status: "ready", schema_version: MIGRATIONS.length - 1 })] }, /schema version/],
    [{ "/v1/models": () => [200, "{}"] }, /without a key answered 200/],
    [{ "/api/session": () => [401, "{}"] }, /signing in .* answered 401/],
  ];
  for (const [gateway, reason] of cases) {
    const w = world(t, { gateway });
    assert.equal(await w.run("deploy"), 1);
    assert.match(w.said(), reason);
    assert.match(w.said(), /make rollback ENV=production/);
  }
});

test("a smoke test waits for an address that does not answer yet, and for the new version", async (t) => {
  let asked = 0;
  const w = world(t, { gateway: { "/health": () => [(asked += 1) < 3 ? 404 : 200, "{}"] } });
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.equal(asked, 3);
});

test("a dry run that names no environment is one of staging, and nothing else goes without a name", () => {
  assert.equal(readOptions({ DRY_RUN: "1" }).name, "staging");
  assert.equal(readOptions({ DRY_RUN: "1", ENV: "production" }).name, "production");
  for (const environment of [{}, { DRY_RUN: "0" }, { DRY_RUN: "" }]) {
    assert.throws(() => readOptions(environment), /ENV is not given/);
  }
});

test("mistakes of the caller are refused before anything is asked", async (t) => {
  const cases = [
    [{ ENV: "" }, "", /ENV is not given.*ENV=staging or ENV=production/],
    [{ ENV: "prod" }, "", /ENV is prod/],
    [{ YES: "maybe" }, "", /YES is maybe/],
    [{ REPLACE: "ADMIN" }, "", /REPLACE names ADMIN/],
    [{ ADMIN_TOKEN: "short" }, "", /ADMIN_TOKEN must have at least 16/],
    [{ ENCRYPTION_KEY: "c2hvcnQ=" }, "", /ENCRYPTION_KEY must be the base64 of 32 bytes/],
    [{ ADMIN_TOKEN: TOKEN, VIEWER_TOKEN: TOKEN }, "", /must differ/],
    [{}, "CLIENT_AUHT=off\n", /CLIENT_AUHT, which nothing reads/],
    [{}, "DOMAIN=https://x\n", /DOMAIN must be a host name/],
    [{}, "ENVIRONMENT=test\n", /ENVIRONMENT is set by wrangler.toml/],
    [{ LOCATION: "mars" }, "", /LOCATION must be one of/],
  ];
  for (const [environment, file, reason] of cases) {
    const w = world(t, { environment, file });
    assert.equal(await w.run("deploy"), 1);
    assert.match(w.said(), reason);
    assert.deepEqual(w.calls(), []);
  }
});

test("another wrangler than the pinned one, and an account that is not chosen, are refused", async (t) => {
  const older = world(t, { account: { version: "3.0.0" } });
  assert.equal(await older.run("deploy"), 1);
  assert.match(older.said(), /wrangler is 3\.0\.0, but/);
  const accounts = [{ id: "a1", name: "One" }, { id: "a2", name: "Two" }];
  const several = world(t, { account: { accounts } });
  assert.equal(await several.run("deploy"), 1);
  assert.match(several.said(), /CLOUDFLARE_ACCOUNT_ID to one of: a1 \(One\), a2 \(Two\)/);
  const chosen = world(t, { account: { accounts }, environment: { CLOUDFLARE_ACCOUNT_ID: "a2" } });
  assert.equal(await chosen.run("deploy"), 0, chosen.said());
});

test("settings of the file are deployed, a domain and its address included; those of a shell are not", async (t) => {
  const file = `${FILE}CLIENT_AUTH=off\nCORS_ORIGINS="https://a.example.com,https://b.example.com"\nDOMAIN=gateway.example.com\n`;
  const w = world(t, { account: deployed(), file, environment: { LOG_REQUESTS: "off" }, gateway: { "/v1/models": () => [200, "{}"] } });
  assert.equal(await w.run("deploy"), 0, w.said());
  const [call] = w.changes();
  assert.match(call, /--domain gateway\.example\.com/);
  assert.match(call, /--var CLIENT_AUTH:off/);
  assert.match(call, /--var CORS_ORIGINS:https:\/\/a\.example\.com,https:\/\/b\.example\.com/);
  assert.doesNotMatch(call, /LOG_REQUESTS/);
  assert.ok(w.requests.every(({ url }) => url.startsWith("https://gateway.example.com/")));
});

test("a token is replaced only when asked for, and then by a new one", async (t) => {
  const w = world(t, { account: deployed(), file: FILE, environment: { REPLACE: "ADMIN_TOKEN" } });
  assert.equal(await w.run("deploy"), 0, w.said());
  assert.match(w.said(), /ADMIN_TOKEN is REPLACED/);
  const { ADMIN_TOKEN, ENCRYPTION_KEY } = w.account().secrets;
  assert.notEqual(ADMIN_TOKEN, TOKEN);
  assert.ok(w.settings().includes(ADMIN_TOKEN));
  assert.equal(ENCRYPTION_KEY, KEY);
});

test("the encryption key is replaced together with its predecessor, whatever fails in between", async (t) => {
  const environment = { REPLACE: "ENCRYPTION_KEY", FAKE_FAIL: "deploy --secrets-file" };
  const w = world(t, { account: deployed(), file: FILE, environment });
  assert.equal(await w.run("deploy"), 1);
  assert.match(w.said(), /run `make deploy ENV=production REPLACE=ENCRYPTION_KEY` again/);
  delete w.there.environment.FAKE_FAIL;
  assert.equal(await w.run("deploy"), 0, w.said());
  const { ENCRYPTION_KEY, ENCRYPTION_KEY_PREVIOUS } = w.account().secrets;
  assert.equal(ENCRYPTION_KEY_PREVIOUS, KEY, "the key that sealed the rows is not lost");
  assert.notEqual(ENCRYPTION_KEY, KEY);
  assert.equal(await w.run("deploy"), 1, "a second rotation before the first is finished");
  assert.match(w.said(), /the last rotation is not finished/);
});

test("no encryption key is made up beside a database that has rows sealed by another one", async (t) => {
  const account = { databases: ["sluice-production"], applied: MIGRATIONS };
  const w = world(t, { account });
  assert.equal(await w.run("deploy"), 1);
  assert.match(w.said(), /ENCRYPTION_KEY is neither on the Worker nor given here/);
  assert.deepEqual(w.changes(), []);
  const given = world(t, { account, environment: { ENCRYPTION_KEY: OTHER_KEY } });
  assert.equal(await given.run("deploy"), 0, given.said());
  assert.equal(given.account().secrets.ENCRYPTION_KEY, OTHER_KEY);
});

test("a database that is newer than the checkout is left alone, one with a hole is refused", async (t) => {
  const newer = world(t, { account: { ...deployed(), applied: [...MIGRATIONS, "9999_later.sql"] }, file: FILE, gateway: { "/health/ready": () => [200, '{"status":"ready","schema_version":9999}'] } });
  assert.equal(await newer.run("deploy"), 0, newer.said());
  assert.deepEqual(newer.changes(), ["deploy --env production"]);
  const hole = world(t, { account: { ...deployed(), applied: MIGRATIONS.slice(1) }, file: FILE });
  assert.equal(await hole.run("deploy"), 1);
  assert.match(hole.said(), /the database has migrations after 0001_init\.sql/);
});

const DEPLOYMENTS = [
  { created_on: "2026-11-01T00:00:00Z", versions: [{ version_id: "one", percentage: 100 }] },
  { created_on: "2026-11-02T00:00:00Z", versions: [{ version_id: "two", percentage: 100 }] },
  { created_on: "2026-11-03T00:00:00Z", versions: [{ version_id: "two", percentage: 100 }] },
];

test("rollback runs the version before, or the one that is named, and says what stays", async (t) => {
  const file = "DOMAIN=gateway.example.com\n";
  const w = world(t, { account: { ...deployed(), deployments: DEPLOYMENTS }, file, gateway: { "/health/ready": () => [200, '{"status":"ready","schema_version":1}'] } });
  assert.equal(await w.run("rollback"), 0, w.said());
  assert.deepEqual(w.changes(), ["rollback one --yes --message make rollback --env production"]);
  assert.match(w.said(), /The database stays as it is/);
  const named = world(t, { account: { ...deployed(), deployments: DEPLOYMENTS }, environment: { VERSION: "zero" } });
  assert.equal(await named.run("rollback"), 0, named.said());
  assert.match(named.changes()[0], /^rollback zero /);
});

test("rollback without another version, without confirmation, or of the running version changes nothing", async (t) => {
  for (const [account, environment, reason] of [
    [{ deployments: [] }, {}, /nothing is deployed yet/],
    [{ deployments: DEPLOYMENTS.slice(0, 1) }, {}, /no other version/],
    [{ deployments: DEPLOYMENTS }, { VERSION: "two" }, /is the one that runs/],
    [{ deployments: DEPLOYMENTS }, { YES: "" }, /no terminal/],
    [{ deployments: DEPLOYMENTS }, { FAKE_FAIL: "deployments list" }, /"look" failed/],
  ]) {
    const w = world(t, { account, environment });
    assert.equal(await w.run("rollback"), 1);
    assert.match(w.said(), reason);
    assert.deepEqual(w.changes(), []);
  }
});
