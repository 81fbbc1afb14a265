#!/usr/bin/env node
// A wrangler for tests: an account in a file, and a record of every call. FAKE_FAIL names the beginning of the one
// call that fails, FAKE_ACCOUNT the file.

import fs from "node:fs";

const args = process.argv.slice(2);
const file = process.env.FAKE_ACCOUNT;
const account = JSON.parse(fs.readFileSync(file, "utf8"));
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const call = args.join(" ");
const secretsFile = option("--secrets-file");
account.calls.push({
  call: secretsFile ? call.replace(secretsFile, "SECRETS") : call,
  mode: secretsFile && (fs.statSync(secretsFile).mode & 0o777).toString(8),
  ci: process.env.CI,
  // Secrets must reach wrangler in that file only.
  leaked: Object.keys(process.env).filter((name) => /^(ADMIN_TOKEN|VIEWER_TOKEN|ENCRYPTION_KEY)/.test(name)),
});

const failing = process.env.FAKE_FAIL && call.startsWith(process.env.FAKE_FAIL);
const answer = failing ? fail(`it broke, and quotes ${Object.values(account.values).join(" ")}`) : answers();
fs.writeFileSync(file, JSON.stringify(account));
if (answer.text) process.stdout.write(`${answer.text}\n`);
if (answer.error) process.stderr.write(`${answer.error}\n`);
process.exit(answer.error === undefined ? 0 : 1);

function fail(error) {
  return { error };
}

function answers() {
  if (call === "--version") return { text: `wrangler ${account.version}` };
  if (call.startsWith("whoami")) return account.accounts ? { text: JSON.stringify({ loggedIn: true, accounts: account.accounts }) } : fail('{"loggedIn":false}');
  if (call.startsWith("d1 list")) return { text: JSON.stringify(account.databases.map((name) => ({ name }))) };
  if (call.startsWith("d1 create")) {
    if (account.databases.includes(args[2])) return fail("A database with that name already exists");
    account.databases.push(args[2]);
    return {};
  }
  if (call.startsWith("d1 migrations apply DB --local")) return {};
  if (call.startsWith("d1 migrations apply DB --remote")) {
    account.applied = account.migrations;
    return {};
  }
  if (call.startsWith("d1 execute DB --local")) return { text: JSON.stringify([{ results: [{ version: account.migrations.length }] }]) };
  if (call.includes("FROM d1_migrations")) {
    if (account.applied === null) return fail("X [ERROR] no such table: d1_migrations: SQLITE_ERROR");
    return { text: JSON.stringify([{ results: account.applied.map((name) => ({ name })) }]) };
  }
  if (call.includes("FROM sqlite_master")) return { text: JSON.stringify([{ results: [{ name: "servers" }, { name: "config_version" }] }]) };
  if (call.includes("FROM config_version")) return { text: JSON.stringify([{ results: [{ version: 7 }] }]) };
  if (call.startsWith("d1 execute DB --remote --yes --file")) {
    account.imported = fs.readFileSync(option("--file"), "utf8");
    return {};
  }
  if (call.startsWith("d1 export")) {
    fs.writeFileSync(option("--output"), account.dump);
    return {};
  }
  if (call.startsWith("secret list")) {
    if (!account.worker) return fail('✘ [ERROR] Worker "sluice-production" (env: production) not found.');
    return { text: JSON.stringify(Object.keys(account.secrets).map((name) => ({ name, type: "secret_text" }))) };
  }
  if (call.startsWith("deploy --dry-run")) return {};
  if (call.startsWith("deploy ")) {
    account.worker = true;
    if (secretsFile) Object.assign(account.secrets, JSON.parse(fs.readFileSync(secretsFile, "utf8")));
    const line = { type: "deploy", version_id: "new", targets: ["https://sluice-production.example.workers.dev", "schedule: * * * * *"] };
    fs.writeFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, `{"type":"wrangler-session"}\n${JSON.stringify(line)}\n`);
    return {};
  }
  if (call.startsWith("deployments list")) return { text: JSON.stringify(account.deployments) };
  if (call.startsWith("rollback ")) {
    account.deployments.push({ created_on: "2026-12-01T00:00:00Z", versions: [{ version_id: args[1], percentage: 100 }] });
    return {};
  }
  return fail(`the test's wrangler does not know: ${call}`);
}
