// `make backup` and `make restore`: with the real wrangler and a real, local D1 from end to end, then the refusals.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

import { backupName, restoreScript, seal, unseal } from "../deployment.mjs";
import { ROOT } from "../vars.mjs";
import { MIGRATIONS, world } from "./world.mjs";

const WRANGLER = path.join(ROOT, "node_modules/.bin/wrangler");
const QUIET = { CI: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };

/** A checkout whose D1 is local, migrated, and has rows of every awkward kind. */
function localDatabase(t) {
  const w = world(t);
  w.there.wrangler = WRANGLER;
  w.there.local = true;
  Object.assign(w.there.environment, { HOME: process.env.HOME });
  w.wrangler = (...args) => execFileSync(WRANGLER, [...args, "--env", "production", "--local"], { cwd: w.root, env: { ...w.there.environment, ...QUIET }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  w.rows = (sql) => {
    const told = w.wrangler("d1", "execute", "DB", "--json", "--command", sql);
    return JSON.parse(told.slice(told.indexOf("["))).map(({ results }) => results);
  };
  w.wrangler("d1", "migrations", "apply", "DB");
  return w;
}

const TEXTS = ["plain", "it''s; -- no comment", "/* neither */ \"quoted\"", "多字节 ✓\tTab", "two\nlines"];
const log = (index, request) =>
  `INSERT INTO logs (ticket, request_id, started_at, stored_at, app, key_id, server_id, model, endpoint, status, stream, prompt_tokens, completion_tokens, cached_tokens, total_tokens, usage_source, queue_wait_ms, queue_position, ttft_ms, total_ms, overhead_ms, attempts, colo)
   VALUES ('t${index}', '${request}', 1764000000000, 1764000000001, '', 'k', 's', 'm', '/v1', 200, 0, 9007199254740991, 0, 0, 1, 'exact', 0, 0, NULL, 5, 1, 1, 'XXX')`;
const FILL = [
  ...TEXTS.map((text, index) => `INSERT INTO servers VALUES ('id-${index}', '${text}', 'https://example.com/v1', '["m"]', 1, ${index}, NULL, 0, NULL, 100, 60000, 'evict_oldest', 'wait', 600000, 'v1.sealed-${index}', '', 7, 1, 2)`),
  "UPDATE config_version SET version = 12",
  ...TEXTS.map((text, index) => log(index, `${index} ${text}`)),
  // The number of a row that was the newest and is gone must not be given again.
  "DELETE FROM logs WHERE ticket = 't4'",
  "INSERT INTO audit (at, actor, action, target_kind, target_id, detail) VALUES (1, 'a', 'b', 'c', 'd', '{\"x\":[1,null]}')",
].join(";\n");
const TABLES = ["gateway_keys", "logs", "audit", "usage_hours", "usage_days", "rollup", "schema_version", "d1_migrations", "sqlite_sequence"];
const CONTENT = [...TABLES.map((table) => `SELECT * FROM ${table} ORDER BY 1`), "SELECT * FROM servers ORDER BY id", "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY type, name"].join(";");
const versionless = (tables) => tables.map((rows) => rows.map(({ version, ...row }) => ("api_key" in row ? row : { version, ...row })));

test("a restored database has every row, table and index of the backup, and newer versions than any that was seen", { timeout: 180_000 }, async (t) => {
  const w = localDatabase(t);
  w.wrangler("d1", "execute", "DB", "--command", FILL);
  const before = w.rows(CONTENT);
  assert.equal(before[1].length, TEXTS.length - 1, "the logs are there");
  const file = path.join(w.root, "backups/one.sql");
  w.there.environment.FILE = "backups/one.sql";
  assert.equal(await w.run("backup"), 0, w.said());
  assert.equal((fs.statSync(file).mode & 0o777).toString(8), "600");

  // What is to be undone: other rows, fewer rows, another table, a newer configuration.
  w.wrangler("d1", "execute", "DB", "--command", `DELETE FROM servers WHERE id = 'id-1'; UPDATE servers SET rpm_limit = 5, version = 40; UPDATE config_version SET version = 99; ${log(9, "later")}; CREATE TABLE stray (x)`);
  assert.notDeepEqual(w.rows(CONTENT), before);
  assert.equal(await w.run("restore"), 0, w.said());
  assert.deepEqual(versionless(w.rows(CONTENT)), versionless(before));
  const [[configuration], servers] = w.rows("SELECT version FROM config_version; SELECT version FROM servers");
  assert.ok(configuration.version > 99);
  assert.ok(servers.every(({ version }) => version > 40));

  const saved = fs.readdirSync(path.join(w.root, "backups")).filter((name) => name.endsWith("-before-restore.sql"));
  assert.equal(saved.length, 1, "what was there is saved first");
  assert.match(fs.readFileSync(path.join(w.root, "backups", saved[0]), "utf8"), /later/);
});

test("a restore into an empty database, as after its loss, works as well", { timeout: 180_000 }, async (t) => {
  const w = localDatabase(t);
  w.wrangler("d1", "execute", "DB", "--command", FILL);
  const before = w.rows(CONTENT);
  w.there.environment.FILE = "one.sql";
  assert.equal(await w.run("backup"), 0, w.said());
  fs.rmSync(path.join(w.root, ".wrangler"), { recursive: true });
  assert.equal(await w.run("restore"), 0, w.said());
  assert.deepEqual(versionless(w.rows(CONTENT)), versionless(before));
});

const DUMP = ["servers", "gateway_keys", "config_version", "logs", "d1_migrations", "schema_version"].map((name) => `CREATE TABLE ${name} (x);`).join("\n");
const dumpOf = (version) => `${DUMP}\nINSERT INTO "schema_version" ("id","version") VALUES(1,${version});\n`;
const account = { databases: ["sluice-production"], applied: MIGRATIONS, dump: dumpOf(MIGRATIONS.length) };

test("a backup that is cut, edited, of something else or of a later schema is refused and nothing is changed", async (t) => {
  const good = seal(dumpOf(1));
  const cases = [
    [good.slice(0, -70), /does not end like a backup/],
    [good.replace("CREATE TABLE logs", "CREATE TABLE LOGS"), /checksum/],
    [seal("CREATE TABLE other (x);"), /no backup of Sluice/],
    [seal(DUMP), /does not say its schema/],
    [seal(dumpOf(99)), /schema version 99, this checkout/],
  ];
  for (const [text, reason] of cases) {
    const w = world(t, { account, environment: { FILE: "it.sql" } });
    fs.writeFileSync(path.join(w.root, "it.sql"), text);
    assert.equal(await w.run("restore"), 1);
    assert.match(w.said(), reason);
    assert.deepEqual(w.calls(), []);
  }
});

test("a backup of an older schema is migrated after it was restored", async (t) => {
  const w = world(t, { account, environment: { FILE: "it.sql" } });
  fs.writeFileSync(path.join(w.root, "it.sql"), seal(dumpOf(1)));
  assert.equal(await w.run("restore"), 0, w.said());
  assert.match(w.changes()[0], /^d1 execute DB --remote --yes --file /);
  assert.equal(w.changes()[1], "d1 migrations apply DB --remote --env production");
  assert.match(w.account().imported, /DROP TABLE IF EXISTS "servers";\nDROP TABLE IF EXISTS "config_version";\nCREATE TABLE servers/);
});

test("failures of a backup and of a restore leave no half file and say what is the case", async (t) => {
  for (const [failing, verb, reason] of [
    ["d1 export", "backup", /"export" failed[\s\S]*Nothing has been changed/],
    ["d1 export", "restore", /"export" failed[\s\S]*Nothing has been changed/],
    ["d1 execute DB --remote --yes", "restore", /"import" failed[\s\S]*as it was before/],
  ]) {
    const w = world(t, { account, environment: { FILE: verb === "restore" ? "it.sql" : "new.sql", FAKE_FAIL: failing } });
    fs.writeFileSync(path.join(w.root, "it.sql"), seal(dumpOf(MIGRATIONS.length)));
    assert.equal(await w.run(verb), 1);
    assert.match(w.said(), reason);
    assert.ok(!fs.readdirSync(w.root).includes("new.sql"));
    assert.ok(!fs.readdirSync(w.root, { recursive: true }).some((name) => name.endsWith(".partial")));
  }
});

test("a database that is too large to be one text is refused both ways, and nothing is left", async (t) => {
  for (const verb of ["backup", "restore"]) {
    const w = world(t, { account, environment: { FILE: "it.sql" } });
    w.there.backupBytesMax = 100;
    if (verb === "restore") fs.writeFileSync(path.join(w.root, "it.sql"), seal(dumpOf(1)));
    assert.equal(await w.run(verb), 1);
    assert.match(w.said(), /more than 100 bytes as SQL/);
    assert.deepEqual(w.changes(), []);
    assert.equal(fs.existsSync(path.join(w.root, "it.sql")), verb === "restore");
  }
});

test("backup and restore ask first, and a backup never replaces a file", async (t) => {
  for (const verb of ["backup", "restore"]) {
    const w = world(t, { account, environment: { YES: "", FILE: "it.sql" } });
    if (verb === "restore") fs.writeFileSync(path.join(w.root, "it.sql"), seal(dumpOf(1)));
    assert.equal(await w.run(verb), 1);
    assert.match(w.said(), /no terminal to ask/);
    assert.ok(!w.calls().some((call) => /export|--file/.test(call)));
  }
  const w = world(t, { account, environment: { FILE: "it.sql" } });
  fs.writeFileSync(path.join(w.root, "it.sql"), "mine");
  assert.equal(await w.run("backup"), 1);
  assert.equal(fs.readFileSync(path.join(w.root, "it.sql"), "utf8"), "mine");
});

test("a seal opens to the same text, names sort by time, and versions rise above what was there and above the clock", () => {
  assert.equal(unseal(seal("SELECT 1;\n\n")), "SELECT 1;\n");
  assert.equal(backupName("db", Date.UTC(2026, 10, 23, 1, 2, 3)), "db-20261123T010203Z.sql");
  const script = restoreScript({ backup: "X;", tables: ['a"b'], version: 41, now: 1_764_000_000_500 });
  assert.match(script, /DROP TABLE IF EXISTS "a""b";\nX;/);
  assert.match(script, /UPDATE servers SET version = MAX\(version \+ 1, 42, 1764000000\);/);
});
