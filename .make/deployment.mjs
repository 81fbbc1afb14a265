// The rules of `make deploy`, `rollback`, `backup` and `restore`: what is asked for, which secrets are set, what will be
// done in which order, and what is said when a step fails. Pure: no file, no process, no clock, no randomness of its own.

import { createHash } from "node:crypto";

export const ENVIRONMENTS = ["staging", "production"];
/** Secrets that every deployment has. */
export const SECRETS = ["ADMIN_TOKEN", "VIEWER_TOKEN", "ENCRYPTION_KEY"];
const PREVIOUS = "ENCRYPTION_KEY_PREVIOUS";
export const ALL_SECRETS = [...SECRETS, PREVIOUS];
/** Settings of the deployment itself, in its file or in the environment. */
export const PLACE = ["DOMAIN", "URL", "LOCATION", "ACCESS_CLIENT_ID", "ACCESS_CLIENT_SECRET"];

const TOKEN_LEN_MIN = 16;
const ENCRYPTION_KEY_BYTES = 32;
const SEAL = "-- end of the backup; sha256 of all above: ";
const LOCATIONS = ["weur", "eeur", "apac", "oc", "wnam", "enam"];

/** A mistake of the caller: told in one sentence, without a trace. */
export class Refused extends Error {}

// --- what is asked for --------------------------------------------------------------------------

/** The options of a verb, from the environment that make passes on. */
export function readOptions(environment) {
  const on = (name) => {
    const value = environment[name] ?? "";
    if (!["", "0", "1"].includes(value)) throw new Refused(`${name} is ${value}; it must be 1 or 0`);
    return value === "1";
  };
  const dryRun = on("DRY_RUN");
  // A rehearsal changes nothing, so it needs no choice.
  const name = environment.ENV || (dryRun ? "staging" : "");
  if (!ENVIRONMENTS.includes(name)) {
    const told = name ? `ENV is ${name}` : "ENV is not given";
    throw new Refused(`${told}; say which environment is meant: ENV=${ENVIRONMENTS.join(" or ENV=")}`);
  }
  const replace = (environment.REPLACE ?? "").split(",").map((part) => part.trim()).filter(Boolean);
  for (const secret of replace) {
    if (!SECRETS.includes(secret)) throw new Refused(`REPLACE names ${secret}; it may name ${SECRETS.join(", ")}`);
  }
  return {
    name,
    dryRun,
    yes: on("YES"),
    replace: new Set(replace),
    file: environment.FILE || "",
    version: environment.VERSION || "",
  };
}

/** Name of the Worker and of the database of an environment, as wrangler.toml has them. */
export function readNames(toml, name) {
  const own = (header, key) => {
    const body = toml.split(`\n${header}\n`)[1]?.split(/\n\[/)[0] ?? "";
    const value = new RegExp(`^${key} = "([^"]+)"$`, "m").exec(body)?.[1];
    if (!value) throw new Refused(`wrangler.toml has no ${key} in ${header}`);
    return value;
  };
  return { worker: own(`[env.${name}]`, "name"), database: own(`[[env.${name}.d1_databases]]`, "database_name") };
}

/** Migrations are numbered without a gap: the number of the newest is the schema's version. */
export function checkMigrations(files) {
  const names = [...files].sort();
  names.forEach((name, index) => {
    const expected = String(index + 1).padStart(4, "0");
    if (!new RegExp(`^${expected}_[a-z0-9_]+\\.sql$`).test(name)) {
      throw new Refused(`migrations/${name} is not the next in order; its name must begin with ${expected}_`);
    }
  });
  if (names.length === 0) throw new Refused("there are no migrations");
  return names;
}

/** The migrations that the database lacks. One that it has and this checkout has not is newer: it stays. */
export function pendingMigrations(files, applied) {
  const pending = files.filter((name) => !applied.includes(name));
  const late = pending.find((name) => applied.some((other) => files.includes(other) && other > name));
  if (late) throw new Refused(`the database has migrations after ${late} but not ${late} itself; look at it before going on`);
  return pending;
}

// --- settings and secrets -----------------------------------------------------------------------

/** What is wrong with a secret, without quoting it; null if nothing is. */
export function secretProblem(name, value) {
  if (name.startsWith("ENCRYPTION_KEY")) {
    const bytes = Buffer.from(value, "base64");
    const right = bytes.length === ENCRYPTION_KEY_BYTES && bytes.toString("base64") === value;
    return right ? null : `${name} must be the base64 of ${ENCRYPTION_KEY_BYTES} bytes (openssl rand -base64 32)`;
  }
  if (/\s/.test(value)) return `${name} must not contain white space`;
  return [...value].length >= TOKEN_LEN_MIN ? null : `${name} must have at least ${TOKEN_LEN_MIN} characters`;
}

/**
 * The settings of an environment: its file, then what the environment gives. `known` are the plain variables that the
 * gateway reads.
 */
export function readSettings({ file, environment, known }) {
  const names = [...known, ...ALL_SECRETS, ...PLACE];
  if (file.ENVIRONMENT) throw new Refused("ENVIRONMENT is set by wrangler.toml; take it out of the file of settings");
  for (const name of Object.keys(file)) {
    if (!names.includes(name)) throw new Refused(`the file of settings has ${name}, which nothing reads`);
  }
  // Plain variables come from the file alone: what a shell happens to have set must not get into a deployment.
  const given = { ...file };
  for (const name of [...ALL_SECRETS, ...PLACE]) if (environment[name]) given[name] = environment[name];
  for (const [name, value] of Object.entries(given)) {
    if (value === "") delete given[name];
    else if (/[\r\n"]/.test(value)) throw new Refused(`${name} must not contain quotes or line breaks`);
  }
  const secrets = pick(given, ALL_SECRETS);
  for (const [name, value] of Object.entries(secrets)) {
    const problem = secretProblem(name, value);
    if (problem) throw new Refused(problem);
  }
  if (secrets.ADMIN_TOKEN && secrets.ADMIN_TOKEN === secrets.VIEWER_TOKEN) {
    throw new Refused("VIEWER_TOKEN must differ from ADMIN_TOKEN");
  }
  if (secrets[PREVIOUS] && secrets[PREVIOUS] === secrets.ENCRYPTION_KEY) {
    throw new Refused(`${PREVIOUS} must differ from ENCRYPTION_KEY`);
  }
  const place = pick(given, PLACE);
  if (place.DOMAIN && !/^(?=.{4,253}$)([a-z0-9-]{1,63}\.)+[a-z]{2,63}$/.test(place.DOMAIN)) {
    throw new Refused("DOMAIN must be a host name such as gateway.example.com");
  }
  if (place.URL && !/^https:\/\/[^/?#\s]+$/.test(place.URL)) throw new Refused("URL must be like https://gateway.example.com");
  if (place.LOCATION && !LOCATIONS.includes(place.LOCATION)) throw new Refused(`LOCATION must be one of ${LOCATIONS.join(", ")}`);
  return { secrets, place, variables: pick(given, known.filter((name) => !ALL_SECRETS.includes(name))) };
}

/**
 * Which secrets are uploaded and which lines of the file change. `given` are known here, `remote` are names that the
 * Worker has. A secret that the Worker has is uploaded only if `replace` names it.
 */
export function decideSecrets({ given, remote, replace, make, hasData }) {
  const upload = {};
  const store = {};
  const told = [];
  for (const name of SECRETS) {
    if (name === "ENCRYPTION_KEY") continue;
    const has = remote.includes(name);
    if (has && !replace.has(name)) told.push(`${name} stays as it is`);
    else if (has || !given[name]) {
      store[name] = upload[name] = make[name]();
      told.push(has ? `${name} is REPLACED by a new one; sessions of its role end` : `${name} is generated`);
    } else {
      upload[name] = given[name];
      told.push(`${name} is set to the given one`);
    }
  }
  told.push(...decideEncryptionKey({ given, remote, replace, make, hasData, upload, store }));
  return { upload, store, told };
}

function decideEncryptionKey({ given, remote, replace, make, hasData, upload, store }) {
  const name = "ENCRYPTION_KEY";
  if (!remote.includes(name)) {
    if (!given[name]) {
      if (hasData) {
        throw new Refused(
          `the database exists, but ${name} is neither on the Worker nor given here. Give the key that sealed the servers' keys in it, or a new one (then each of them must be entered again)`,
        );
      }
      store[name] = upload[name] = make[name]();
      return [`${name} is generated; keep a copy of it apart from the database`];
    }
    upload[name] = given[name];
    if (!given[PREVIOUS]) return [`${name} is set to the given one`];
    upload[PREVIOUS] = given[PREVIOUS];
    return [`${name} and ${PREVIOUS} are set to the given ones`];
  }
  if (!replace.has(name)) return [`${name} stays as it is`];
  if (!given[name]) throw new Refused(`REPLACE=${name} needs the present key, and it is not known here`);
  if (remote.includes(PREVIOUS)) {
    throw new Refused(`the last rotation is not finished: when no server is to be re-encrypted any more, remove ${PREVIOUS} (wrangler secret delete, and its line in the file)`);
  }
  if (!given[PREVIOUS]) {
    store[PREVIOUS] = given[name];
    store[name] = make[name]();
  }
  // With both given, a rotation was begun and did not arrive: the same pair goes again, so that no key is lost.
  upload[PREVIOUS] = store[PREVIOUS] ?? given[PREVIOUS];
  upload[name] = store[name] ?? given[name];
  return [`${name} is REPLACED; the present one becomes ${PREVIOUS}, so that stored keys stay readable`];
}

// --- the plan -----------------------------------------------------------------------------------

/** The steps of a deployment that change something, in their order. */
export function planDeployment({ names, databaseExists, pending, secrets, settings, file, url }) {
  const steps = [];
  if (Object.keys(secrets.store).length) {
    steps.push({ id: "store", does: `write ${Object.keys(secrets.store).join(", ")} to ${file} (mode 0600, ignored by Git)` });
  }
  if (!databaseExists) {
    const where = settings.place.LOCATION ? ` near ${settings.place.LOCATION}` : "";
    steps.push({ id: "database", does: `create the D1 database ${names.database}${where}` });
  }
  if (pending.length) steps.push({ id: "migrations", does: `apply to it: ${pending.join(", ")}` });
  const uploads = Object.keys(secrets.upload);
  steps.push({
    id: "deploy",
    does: [
      `deploy the Worker ${names.worker}`,
      settings.place.DOMAIN && `on ${settings.place.DOMAIN}`,
      Object.keys(settings.variables).length && `with ${Object.keys(settings.variables).join(", ")}`,
      uploads.length && `together with the secrets ${uploads.join(", ")}`,
    ].filter(Boolean).join(" "),
  });
  steps.push({ id: "smoke", does: `ask ${url ?? "the address that it gets"}: alive, ready with this schema, closed without a key, open to the administrator` });
  return steps;
}

/** The plan as text. */
export function describe({ title, facts, steps }) {
  return [
    title,
    ...facts.map((fact) => `  ${fact}`),
    "What will be done:",
    ...steps.map((step, index) => `  ${index + 1}. ${step.does}`),
  ].join("\n");
}

const STATE = {
  check: "Nothing has been changed.",
  build: "Nothing has been changed.",
  look: "Nothing has been changed.",
  store: "Nothing has been changed on Cloudflare.",
  database: "No code was deployed; the gateway that was running, if any, runs on unchanged.",
  migrations:
    "No code was deployed; the gateway that was running, if any, runs on: it works with the newer schema too. A migration is applied whole or not at all; those before the failed one stay.",
  deploy:
    "The database is migrated; the code before, if any, works with it and most likely still runs (`npx wrangler deployments status` tells). Secrets arrive with the code or not at all.",
  smoke: "The new code is deployed and takes requests, but a check of it failed.",
  export: "Nothing has been changed.",
  import: "The database is as it was before: an import that fails is undone as a whole.",
  rollback: "The version that was running most likely still runs (`npx wrangler deployments status` tells).",
};

/** What is said of a failure: the step, the state that things are in, and how to go on. */
export function describeFailure({ verb, step, name, reason, replace = new Set() }) {
  const again = `make ${verb} ENV=${name}${replace.size ? ` REPLACE=${[...replace].join(",")}` : ""}`;
  const lines = [`error: the step "${step}" failed: ${reason}`, `State: ${STATE[step]}`, `To go on: correct the cause and run \`${again}\` again; what is done already is not done twice.`];
  if (step === "smoke") lines.push(`To go back: \`make rollback ENV=${name}\`. Migrations stay, which older code allows.`);
  return lines.join("\n");
}

// --- rollback -----------------------------------------------------------------------------------

/** From wrangler's list of deployments: the version that runs, and the one to go back to. */
export function chooseVersion(deployments, wanted) {
  const ordered = [...deployments].sort((a, b) => Date.parse(a.created_on) - Date.parse(b.created_on));
  const versionOf = (deployment) =>
    [...(deployment?.versions ?? [])].sort((a, b) => b.percentage - a.percentage)[0]?.version_id;
  const current = versionOf(ordered.at(-1));
  if (!current) throw new Refused("nothing is deployed yet");
  if (wanted === current) throw new Refused(`version ${wanted} is the one that runs`);
  const target = wanted || ordered.map(versionOf).filter((version) => version && version !== current).at(-1);
  if (!target) throw new Refused("there is no other version to go back to");
  return { current, target };
}

// --- backup and restore -------------------------------------------------------------------------

/** A file name that sorts by time. */
export function backupName(database, now, note = "") {
  const time = new Date(now).toISOString().replace(/[-:]/g, "").replace(/\.\d+Z$/, "Z");
  return `${database}-${time}${note}.sql`;
}

/** Whether the text of a file is a backup of this schema; the version of its schema. */
export function checkBackup(sql) {
  for (const table of ["servers", "gateway_keys", "config_version", "logs", "d1_migrations", "schema_version"]) {
    if (!new RegExp(`CREATE TABLE (IF NOT EXISTS )?["\`]?${table}["\`]?[ (]`).test(sql)) {
      throw new Refused(`the file is no backup of Sluice, or not a whole one: it has no table ${table}`);
    }
  }
  const row = /INSERT INTO ["`]?schema_version["`]?\s*(?:\([^)]*\)\s*)?VALUES\s*\(\s*1\s*,\s*(\d+)\s*\)/i.exec(sql);
  if (!row) throw new Refused("the file is no whole backup of Sluice: it does not say its schema's version");
  return Number(row[1]);
}

/** What is appended to a backup, so that a cut or edited one is noticed. */
export function seal(sql) {
  const body = `${sql.trimEnd()}\n`;
  return `${body}${SEAL}${createHash("sha256").update(body).digest("hex")}\n`;
}

/** The backup without its seal; refuses one that is not whole. */
export function unseal(text) {
  const at = text.lastIndexOf(SEAL);
  if (at < 0) throw new Refused("the file does not end like a backup of `make backup`: it is cut, or of another origin");
  if (seal(text.slice(0, at)) !== text) throw new Refused("the file is not what `make backup` wrote: its checksum is another");
  return text.slice(0, at);
}

/**
 * One file that puts a backup in the place of what is there: everything dropped, the backup, versions raised. Running
 * copies of the gateway never go back to an older version of the configuration, and limiters never to an older
 * version of their limits; so what is restored must be newer than all that they have seen. A server's version never
 * exceeds the configuration's, and neither rises once a second for years: the time is above both even if nobody
 * knows any more what was there.
 */
export function restoreScript({ backup, tables, version, now }) {
  const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
  const above = `MAX(version + 1, ${Math.trunc(version) + 1}, ${Math.trunc(now / 1000)})`;
  return [
    "PRAGMA defer_foreign_keys = TRUE;",
    ...tables.map((table) => `DROP TABLE IF EXISTS ${quoted(table)};`),
    backup.trimEnd(),
    `UPDATE config_version SET version = ${above} WHERE id = 1;`,
    `UPDATE servers SET version = ${above};`,
    "",
  ].join("\n");
}

/** Text in which no secret stands. */
export function redact(text, secrets) {
  return secrets.reduce((result, secret) => (secret ? result.replaceAll(secret, "[secret]") : result), text);
}

function pick(values, names) {
  return Object.fromEntries(names.filter((name) => values[name] !== undefined).map((name) => [name, values[name]]));
}
