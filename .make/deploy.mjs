// `make deploy`, `rollback`, `backup` and `restore`: looks at what is there, shows a plan, asks once, carries it out.
// What is decided is in deployment.mjs; here are the calls of wrangler, the files and the requests of the smoke test.
//
// Each environment has a file .deploy.ENV.vars (mode 0600, ignored by Git) with its settings and secrets. No secret is
// printed, and none is on a command line: they go to wrangler in a file that is removed at once.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

import * as rules from "./deployment.mjs";
import { OPTIONAL, readDevVars, REQUIRED, ROOT, writeDevVars } from "./vars.mjs";

const OUTPUT_LINES_MAX = 60;
// A new address needs some time until it is known everywhere.
const SMOKE_MS_MAX = 90_000;
const ANSWER_MS_MAX = 10_000;
// A backup is one text in memory, and a text has at most 512 MiB.
const BACKUP_BYTES_MAX = 400 * 2 ** 20;

/** Failure of a step. */
class Failed extends Error {
  constructor(step, reason) {
    super(reason);
    this.step = step;
  }
}

/** Everything outside: replaced by tests. */
export function realWorld(environment = process.env) {
  return {
    environment,
    root: ROOT,
    wrangler: path.join(ROOT, "node_modules/.bin/wrangler"),
    build: path.join(ROOT, ".make/build"),
    say: (text) => process.stdout.write(`${text}\n`),
    fetch,
    now: Date.now,
    smokeMsMax: SMOKE_MS_MAX,
    backupBytesMax: BACKUP_BYTES_MAX,
    // null: there is nobody to ask.
    ask: process.stdin.isTTY && process.stdout.isTTY ? askOnTerminal : null,
  };
}

/** Runs a verb; the exit status. */
export async function run(verb, world) {
  let options = { name: world.environment.ENV ?? "" };
  try {
    options = rules.readOptions(world.environment);
    await new Deployment(verb, options, world).run();
    return 0;
  } catch (error) {
    if (error instanceof rules.Refused) world.say(`error: ${error.message}`);
    else if (error instanceof Failed) {
      const reason = error.message;
      world.say(rules.describeFailure({ verb, step: error.step, name: options.name, reason, replace: options.replace }));
    } else throw error;
    return 1;
  }
}

class Deployment {
  constructor(verb, options, world) {
    this.verb = verb;
    this.options = options;
    this.world = world;
    const at = (name) => path.join(world.root, name);
    this.fileName = `.deploy.${options.name}.vars`;
    this.file = at(this.fileName);
    this.names = rules.readNames(fs.readFileSync(at("wrangler.toml"), "utf8"), options.name);
    this.migrations = rules.checkMigrations(fs.readdirSync(at("migrations")).filter((name) => name.endsWith(".sql")));
    this.schema = this.migrations.length;
    this.settings = rules.readSettings({
      file: readDevVars(this.file),
      environment: world.environment,
      known: OPTIONAL,
    });
    this.hidden = Object.values(this.settings.secrets);
  }

  async run() {
    const verbs = { deploy: () => this.deploy(), rollback: () => this.rollback(), backup: () => this.backup(), restore: () => this.restore() };
    if (!Object.hasOwn(verbs, this.verb)) throw new rules.Refused(`there is no verb ${this.verb}`);
    await verbs[this.verb]();
  }

  // --- deploy -----------------------------------------------------------------------------------

  async deploy() {
    await this.checkVersion();
    await this.buildWorker();
    await this.rehearse();
    if (this.options.dryRun) {
      const secrets = this.decideSecrets([], false);
      this.say(rules.describe({
        title: `Dry run for ${this.options.name}: nothing was asked of Cloudflare. The plan for an empty account:`,
        facts: this.facts(secrets),
        steps: rules.planDeployment({ ...this.given(secrets), databaseExists: false, pending: this.migrations }),
      }));
      this.say("Dry run: all is well");
      return;
    }
    const account = await this.checkLogin();
    const { databaseExists, applied, remote } = await this.look();
    const pending = rules.pendingMigrations(this.migrations, applied);
    const secrets = this.decideSecrets(remote, applied.length > 0);
    const steps = rules.planDeployment({ ...this.given(secrets), databaseExists, pending });
    await this.confirm({ title: `Deployment to ${this.options.name}`, facts: [`account: ${account}`, ...this.facts(secrets)], steps });

    let url = this.address();
    await this.carryOut(steps, {
      store: () => this.storeSecrets(secrets.store),
      database: () => this.createDatabase(),
      migrations: () => this.wranglerOrFail("migrations", ["d1", "migrations", "apply", "DB", "--remote"]),
      deploy: async () => {
        url = (await this.uploadWorker(secrets.upload)) ?? url;
      },
      smoke: () => this.smoke(url, { ...this.settings.secrets, ...secrets.upload }.ADMIN_TOKEN),
    });
    this.say(`${this.options.name} runs${url ? ` on ${url}` : ""}`);
    if (Object.keys(secrets.store).length) {
      this.say(`New secrets are in ${this.fileName}. Keep a copy of them in a safe place; ENCRYPTION_KEY apart from the database.`);
    }
  }

  async checkVersion() {
    const manifest = JSON.parse(fs.readFileSync(path.join(this.world.root, "package.json"), "utf8"));
    const pinned = manifest.devDependencies.wrangler;
    const found = (await this.wranglerOrFail("check", ["--version"], { plain: true })).match(/\d+\.\d+\.\d+/)?.[0];
    if (found !== pinned) throw new Failed("check", `wrangler is ${found ?? "unknown"}, but ${pinned} is pinned: run \`make setup\``);
  }

  async buildWorker() {
    const { status, output } = await this.execute(this.world.build, []);
    if (status !== 0) throw new Failed("build", lastLines(output));
  }

  /** What can be found out without Cloudflare: the bundle of this environment, and the migrations on an empty database. */
  async rehearse() {
    const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-deploy-"));
    try {
      await this.wranglerOrFail("build", ["deploy", "--dry-run", "--outdir", path.join(scratch, "out")]);
      await this.wranglerOrFail("build", ["d1", "migrations", "apply", "DB", "--local", "--persist-to", scratch]);
      const told = await this.wranglerOrFail("build", [
        "d1", "execute", "DB", "--local", "--persist-to", scratch, "--json", "--command", "SELECT version FROM schema_version",
      ]);
      const version = rows(told)[0]?.version;
      if (version !== this.schema) throw new Failed("build", `the migrations lead to schema version ${version}, not ${this.schema}`);
    } finally {
      fs.rmSync(scratch, { recursive: true, force: true });
    }
  }

  async checkLogin() {
    if (this.world.local) return "a local database";
    const { status, output, stdout } = await this.runWrangler(["whoami", "--json"], { plain: true });
    if (status !== 0) {
      throw new Failed("check", `wrangler is not signed in. Run \`npx wrangler login\`, or set CLOUDFLARE_API_TOKEN.\n${lastLines(output)}`);
    }
    const accounts = parseJson(stdout)?.accounts ?? [];
    const wanted = this.world.environment.CLOUDFLARE_ACCOUNT_ID;
    const chosen = wanted ? accounts.find(({ id }) => id === wanted) : accounts.length === 1 ? accounts[0] : undefined;
    if (!chosen) {
      const list = accounts.map(({ id, name }) => `${id} (${name})`).join(", ");
      throw new Failed("check", wanted ? `CLOUDFLARE_ACCOUNT_ID is not among: ${list}` : `set CLOUDFLARE_ACCOUNT_ID to one of: ${list}`);
    }
    return `${chosen.name} (${chosen.id})`;
  }

  /** What is on Cloudflare already. Changes nothing. */
  async look() {
    const databaseExists = await this.databaseExists();
    return { databaseExists, applied: databaseExists ? await this.applied() : [], remote: await this.remoteSecrets() };
  }

  async databaseExists() {
    if (this.world.local) return true;
    const databases = parseJson(await this.wranglerOrFail("look", ["d1", "list", "--json"], { plain: true }));
    if (!Array.isArray(databases)) throw new Failed("look", "wrangler's list of databases cannot be read");
    return databases.some(({ name }) => name === this.names.database);
  }

  async applied() {
    const { status, output, stdout } = await this.runWrangler(this.query("SELECT name FROM d1_migrations ORDER BY id"));
    if (status === 0) return rows(stdout).map(({ name }) => name);
    if (/no such table: d1_migrations/.test(output)) return [];
    throw new Failed("look", lastLines(output));
  }

  async remoteSecrets() {
    const { status, output, stdout } = await this.runWrangler(["secret", "list", "--format", "json"]);
    if (status === 0) return (parseJson(stdout) ?? []).map(({ name }) => name);
    // The Worker is not there yet, so it has none.
    if (/Worker "[^"]+"( \(env: \w+\))? not found/.test(output)) return [];
    throw new Failed("look", lastLines(output));
  }

  decideSecrets(remote, hasData) {
    return rules.decideSecrets({ given: this.settings.secrets, remote, replace: this.options.replace, make: REQUIRED, hasData });
  }

  async storeSecrets(values) {
    await writeDevVars(values, this.file);
    this.hidden.push(...Object.values(values));
  }

  async createDatabase() {
    const { LOCATION } = this.settings.place;
    await this.wranglerOrFail("database", ["d1", "create", this.names.database, ...(LOCATION ? ["--location", LOCATION] : [])], { plain: true });
  }

  /** Code and secrets in one step: no version ever runs without them. The address, where wrangler tells one. */
  async uploadWorker(secrets) {
    const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-deploy-"));
    const told = path.join(scratch, "told.json");
    const file = path.join(scratch, "secrets.json");
    this.hidden.push(...Object.values(secrets));
    try {
      fs.writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
      const args = ["deploy"];
      if (Object.keys(secrets).length) args.push("--secrets-file", file);
      if (this.settings.place.DOMAIN) args.push("--domain", this.settings.place.DOMAIN);
      for (const [name, value] of Object.entries(this.settings.variables)) args.push("--var", `${name}:${value}`);
      await this.wranglerOrFail("deploy", args, { environment: { WRANGLER_OUTPUT_FILE_PATH: told } });
      return this.address() ?? deployedAddress(told);
    } finally {
      fs.rmSync(scratch, { recursive: true, force: true });
    }
  }

  // --- smoke test -------------------------------------------------------------------------------

  async smoke(url, adminToken) {
    if (!url) throw new Failed("smoke", "no address is known to ask; set URL or DOMAIN");
    const health = await this.untilAnswered(`${url}/health`);
    if (health.status >= 300 && health.status < 400) {
      throw new Failed("smoke", "something in front, such as Cloudflare Access, asks for a sign-in; give ACCESS_CLIENT_ID and ACCESS_CLIENT_SECRET of a service token");
    }
    if (health.status !== 200) throw new Failed("smoke", `GET /health answered ${health.status}`);
    await this.untilReady(url);
    const models = await this.request(`${url}/v1/models`, { headers: { "app-name": "smoke-test" } });
    const open = this.settings.variables.CLIENT_AUTH === "off";
    if (models.status !== (open ? 200 : 401)) throw new Failed("smoke", `GET /v1/models without a key answered ${models.status}`);
    if (!adminToken) {
      this.say("  ADMIN_TOKEN is not known here: signing in was not tried");
      return;
    }
    const session = await this.request(`${url}/api/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: adminToken }),
    });
    if (session.status !== 200) throw new Failed("smoke", `signing in with ADMIN_TOKEN of ${this.fileName} answered ${session.status}; is it the one that the Worker has? (REPLACE=ADMIN_TOKEN sets a new one)`);
  }

  async untilReady(url) {
    const until = this.world.now() + this.world.smokeMsMax;
    for (;;) {
      const answer = await this.request(`${url}/health/ready`);
      const view = parseJson(answer.text);
      // The version before, while it still answers here and there, is ready with its own older needs.
      if (answer.status === 200 && view?.status === "ready" && view.schema_version >= this.schema) return;
      if (this.world.now() >= until) {
        const problems = view?.problems?.join(" ") || `schema version ${view?.schema_version}`;
        throw new Failed("smoke", `GET /health/ready answered ${answer.status}: ${problems}`);
      }
      await sleep(Math.min(1_000, this.world.smokeMsMax / 10));
    }
  }

  async untilAnswered(url) {
    const until = this.world.now() + this.world.smokeMsMax;
    for (;;) {
      const answer = await this.request(url);
      if ((answer.status !== 0 && answer.status !== 404 && answer.status < 500) || this.world.now() >= until) {
        if (answer.status === 0) throw new Failed("smoke", `${url} does not answer: ${answer.text}`);
        return answer;
      }
      await sleep(Math.min(1_000, this.world.smokeMsMax / 10));
    }
  }

  async request(url, init = {}) {
    const { ACCESS_CLIENT_ID: id, ACCESS_CLIENT_SECRET: secret } = this.settings.place;
    const access = id && secret ? { "cf-access-client-id": id, "cf-access-client-secret": secret } : {};
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const answer = await this.world.fetch(url, { ...init, redirect: "manual", signal, headers: { ...init.headers, ...access } });
      return { status: answer.status, text: await answer.text() };
    } catch (error) {
      return { status: 0, text: error.cause?.message ?? error.message };
    }
  }

  // --- rollback ---------------------------------------------------------------------------------

  async rollback() {
    const account = await this.checkLogin();
    const list = parseJson(await this.wranglerOrFail("look", ["deployments", "list", "--json"]));
    const { current, target } = rules.chooseVersion(list ?? [], this.options.version);
    const url = this.address();
    const steps = [{ id: "rollback", does: `run version ${target} again in place of ${current}` }];
    if (url) steps.push({ id: "smoke", does: `ask ${url} whether it is alive and ready` });
    await this.confirm({
      title: `Rollback of ${this.options.name}`,
      facts: [
        `account: ${account}`,
        "The database stays as it is. Migrations only add, so older code runs on a newer schema, and says that it is ready.",
        "Variables and secrets go back as well, to what they were with that version: think of rotated ones.",
      ],
      steps,
    });
    await this.carryOut(steps, {
      rollback: () => this.wranglerOrFail("rollback", ["rollback", target, "--yes", "--message", "make rollback"]),
      smoke: async () => {
        // The schema of the older code is not known here; that it is ready is its own word.
        this.schema = 0;
        const health = await this.untilAnswered(`${url}/health`);
        if (health.status !== 200) throw new Failed("smoke", `GET /health answered ${health.status}`);
        await this.untilReady(url);
      },
    });
    this.say(`${this.options.name} runs version ${target}`);
  }

  // --- backup and restore -----------------------------------------------------------------------

  async backup() {
    const account = await this.checkLogin();
    if (!(await this.databaseExists())) throw new rules.Refused(`there is no database ${this.names.database} in this account`);
    const file = this.options.file ? path.resolve(this.world.root, this.options.file) : this.backupFile("");
    if (fs.existsSync(file)) throw new rules.Refused(`${file} exists already`);
    const steps = [{ id: "export", does: `write the database ${this.names.database} to ${file} (mode 0600)` }];
    await this.confirm({
      title: `Backup of ${this.options.name}`,
      facts: [`account: ${account}`, "While it is exported, the database answers nobody: requests go on with what is known, changes fail."],
      steps,
    });
    await this.carryOut(steps, { export: () => this.exportTo(file) });
    this.say(`backup: ${file} (${fs.statSync(file).size} bytes). It has no key in the clear, but needs ENCRYPTION_KEY to be of use.`);
  }

  async restore() {
    if (!this.options.file) throw new rules.Refused("say which backup: FILE=backups/…sql");
    const source = path.resolve(this.world.root, this.options.file);
    if (!fs.existsSync(source)) throw new rules.Refused(`there is no file ${source}`);
    if (fs.statSync(source).size > this.world.backupBytesMax) throw new rules.Refused(tooLarge(source, this.world.backupBytesMax));
    const backup = rules.unseal(fs.readFileSync(source, "utf8"));
    const schema = rules.checkBackup(backup);
    if (schema > this.schema) {
      throw new rules.Refused(`the backup has schema version ${schema}, this checkout ${this.schema}: use a checkout that is not older than the backup`);
    }
    const account = await this.checkLogin();
    if (!(await this.databaseExists())) throw new rules.Refused(`there is no database ${this.names.database} in this account; \`make deploy\` creates it`);
    const { tables, version } = await this.contents();
    const saved = this.backupFile("-before-restore");
    const steps = [];
    if (tables.length) steps.push({ id: "export", does: `write what is there to ${saved} first` });
    steps.push({ id: "import", does: `REPLACE all tables of ${this.names.database} by those of ${source}` });
    if (schema < this.schema) steps.push({ id: "migrations", does: `apply to it: ${this.migrations.slice(schema).join(", ")}` });
    await this.confirm({
      title: `Restore of ${this.options.name}`,
      facts: [
        `account: ${account}`,
        "What was written after the backup is gone: servers, keys, audit, usage. Rows that limiters have not delivered yet come in later.",
        "The servers' keys need the ENCRYPTION_KEY of the time of the backup.",
      ],
      steps,
    });
    await this.carryOut(steps, {
      export: () => this.exportTo(saved),
      import: () => this.importFrom(backup, tables, version),
      migrations: () => this.wranglerOrFail("migrations", ["d1", "migrations", "apply", "DB", this.place()]),
    });
    this.say(`${this.names.database} has the contents of ${source}; running gateways take them up within 5 s`);
  }

  backupFile(note) {
    return path.join(this.world.root, "backups", rules.backupName(this.names.database, this.world.now(), note));
  }

  /** Tests work on a local database. */
  place() {
    return this.world.local ? "--local" : "--remote";
  }

  query(sql) {
    return ["d1", "execute", "DB", this.place(), "--json", "--command", sql];
  }

  async contents() {
    const named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'";
    const tables = rows(await this.wranglerOrFail("look", this.query(named))).map(({ name }) => name);
    const known = tables.includes("config_version");
    const version = known ? rows(await this.wranglerOrFail("look", this.query("SELECT version FROM config_version")))[0]?.version : 0;
    return { tables, version: version ?? 0 };
  }

  async exportTo(file) {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const partial = `${file}.partial`;
    // Made first, so that what is written into it is never readable by others.
    fs.writeFileSync(partial, "", { mode: 0o600 });
    try {
      await this.wranglerOrFail("export", ["d1", "export", "DB", this.place(), "--skip-confirmation", "--output", partial]);
      if (fs.statSync(partial).size > this.world.backupBytesMax) throw new Failed("export", tooLarge("the database", this.world.backupBytesMax));
      const sql = fs.readFileSync(partial, "utf8");
      try {
        rules.checkBackup(sql);
      } catch (error) {
        throw new Failed("export", error.message);
      }
      fs.writeFileSync(partial, rules.seal(sql));
      fs.renameSync(partial, file);
    } finally {
      fs.rmSync(partial, { force: true });
    }
  }

  async importFrom(backup, tables, version) {
    const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-restore-"));
    try {
      const file = path.join(scratch, "restore.sql");
      fs.writeFileSync(file, rules.restoreScript({ backup, tables, version, now: this.world.now() }), { mode: 0o600 });
      await this.wranglerOrFail("import", ["d1", "execute", "DB", this.place(), "--yes", "--file", file]);
    } finally {
      fs.rmSync(scratch, { recursive: true, force: true });
    }
  }

  // --- what all verbs need ----------------------------------------------------------------------

  given(secrets) {
    return { names: this.names, secrets, settings: this.settings, file: this.fileName, url: this.address() };
  }

  facts(secrets) {
    return [
      `schema version ${this.schema}; settings from ${fs.existsSync(this.file) ? this.fileName : `the environment (there is no ${this.fileName})`}`,
      ...secrets.told,
    ];
  }

  address() {
    const { URL: url, DOMAIN: domain } = this.settings.place;
    return url ?? (domain && `https://${domain}`);
  }

  async confirm(plan) {
    this.say(rules.describe(plan));
    if (this.options.yes) return;
    if (!this.world.ask) throw new rules.Refused("there is no terminal to ask; YES=1 confirms the plan. Nothing has been changed.");
    if (!(await this.world.ask(`Type ${this.options.name} to go on: `, this.options.name))) {
      throw new rules.Refused("not confirmed. Nothing has been changed.");
    }
  }

  async carryOut(steps, actions) {
    for (const [index, { id }] of steps.entries()) {
      this.say(`${index + 1}/${steps.length} ${id} …`);
      await actions[id]();
    }
  }

  say(text) {
    this.world.say(rules.redact(text, this.hidden));
  }

  async wranglerOrFail(step, args, options) {
    const { status, output, stdout } = await this.runWrangler(args, options);
    if (status !== 0) throw new Failed(step, rules.redact(lastLines(output), this.hidden));
    return stdout;
  }

  runWrangler(args, { plain = false, environment = {} } = {}) {
    return this.execute(this.world.wrangler, plain ? args : [...args, "--env", this.options.name], environment);
  }

  execute(program, args, environment = {}) {
    // Nothing to ask, nothing to send home; and no secret of ours in what it runs.
    const quiet = { CI: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };
    const clean = { ...this.world.environment, ...quiet, ...environment };
    for (const name of rules.ALL_SECRETS) delete clean[name];
    return new Promise((resolve) => {
      const child = spawn(program, args, { cwd: this.world.root, env: clean, stdio: ["ignore", "pipe", "pipe"] });
      let [stdout, output] = ["", ""];
      child.stdout.on("data", (data) => {
        stdout += data;
        output += data;
      });
      child.stderr.on("data", (data) => (output += data));
      child.once("error", (error) => resolve({ status: 1, stdout, output: error.message }));
      child.once("close", (status) => resolve({ status: status ?? 1, stdout, output: stripVTControlCharacters(output) }));
    });
  }
}

function tooLarge(what, max) {
  return `${what} has more than ${max} bytes as SQL: use D1's Time Travel, or \`npx wrangler d1 export\` by itself`;
}

function lastLines(output) {
  return output.trim().split("\n").slice(-OUTPUT_LINES_MAX).join("\n");
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Rows of what `d1 execute --json` tells. */
function rows(text) {
  const begin = text.indexOf("[");
  return parseJson(begin < 0 ? "" : text.slice(begin))?.[0]?.results ?? [];
}

function deployedAddress(file) {
  if (!fs.existsSync(file)) return undefined;
  const entries = fs.readFileSync(file, "utf8").split("\n").map(parseJson);
  const targets = entries.find((entry) => entry?.type === "deploy")?.targets ?? [];
  const host = targets.find((target) => /^(https:\/\/)?[a-z0-9.-]+(\s|$)/.test(target))?.split(/\s/)[0];
  return host && (host.startsWith("https://") ? host : `https://${host}`);
}

async function askOnTerminal(question, expected) {
  const terminal = readline.createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await terminal.question(question)).trim() === expected;
  } finally {
    terminal.close();
  }
}

if (process.argv[1] === import.meta.filename) process.exitCode = await run(process.argv[2] ?? "deploy", realWorld());
