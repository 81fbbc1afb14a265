// D1 on plain workerd: one Durable Object whose SQLite is the database.
//
// Speaks what workerd's own D1 binding (cloudflare-internal:d1-api) sends: POST /query and /execute with
// one statement or a list, answered by `{success, results, meta}` or `{success: false, error}`. A list is
// one transaction. With the binding FAULTS, `POST /fault?kind=fails|hangs|none` makes it fail each statement or keep
// it waiting, for the Worker and the objects alike; one that waited is carried out when the fault is over, however
// late that is. Migrations are applied before the first statement, in wrangler's table and order, so
// that a database looks the same wherever it was made.

import { DurableObject } from "cloudflare:workers";

const MIGRATIONS_TABLE = `CREATE TABLE IF NOT EXISTS d1_migrations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL
)`;

export class Database extends DurableObject {
  #sql = this.ctx.storage.sql;
  #failure = null;
  #fault = "none";
  #over = Promise.withResolvers();

  constructor(ctx, env) {
    super(ctx, env);
    try {
      this.#migrate(env.MIGRATIONS);
    } catch (error) {
      this.#failure = error.message;
    }
  }

  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (this.#failure) return failed(this.#failure);
    if (pathname === "/ready") return Response.json({ success: true });
    if (pathname === "/fault" && this.env.FAULTS) return this.#break(searchParams.get("kind"));
    if (request.method !== "POST" || (pathname !== "/query" && pathname !== "/execute")) {
      return Response.json({ success: false, error: "not found" }, { status: 404 });
    }
    const columnar = searchParams.get("resultsFormat") === "ROWS_AND_COLUMNS";
    const body = await request.json();
    if (this.#fault === "hangs") await this.#over.promise;
    else if (this.#fault === "fails") return failed("the database fails by fault injection");
    try {
      const run = (statement) => this.#run(statement, columnar);
      const answer = Array.isArray(body)
        ? this.ctx.storage.transactionSync(() => body.map(run))
        : run(body);
      return Response.json(answer);
    } catch (error) {
      return failed(error.message);
    }
  }

  #break(kind) {
    if (!["fails", "hangs", "none"].includes(kind)) return failed(`no such fault: ${kind}`);
    this.#fault = kind;
    if (kind !== "hangs") {
      this.#over.resolve();
      this.#over = Promise.withResolvers();
    }
    return Response.json({ success: true });
  }

  #run({ sql, params = [] }, columnar) {
    const before = this.#counters();
    const started = performance.now();
    // Bytes arrive as arrays of numbers, because the message is JSON, and leave the same way.
    const cursor = this.#sql.exec(sql, ...params.map((value) => (Array.isArray(value) ? new Uint8Array(value) : value)));
    const columns = cursor.columnNames;
    const rows = Array.from(cursor.raw(), (row) =>
      row.map((cell) => (cell instanceof ArrayBuffer ? Array.from(new Uint8Array(cell)) : cell)),
    );
    const after = this.#counters();
    const changes = after.changes - before.changes;
    return {
      success: true,
      results: columnar
        ? { columns, rows }
        : rows.map((row) => Object.fromEntries(row.map((cell, index) => [columns[index], cell]))),
      meta: {
        served_by: "workerd",
        duration: performance.now() - started,
        changes,
        last_row_id: after.last_row_id,
        changed_db: changes > 0 || after.last_row_id !== before.last_row_id || after.size !== before.size,
        size_after: after.size,
        rows_read: cursor.rowsRead,
        rows_written: cursor.rowsWritten,
      },
    };
  }

  #counters() {
    const counters = this.#sql.exec("SELECT total_changes() AS changes, last_insert_rowid() AS last_row_id").toArray()[0];
    return { ...counters, size: this.#sql.databaseSize };
  }

  /** Each migration with its own record, in one transaction: it is there whole or not at all. */
  #migrate(migrations) {
    this.#sql.exec(MIGRATIONS_TABLE);
    const applied = new Set(this.#sql.exec("SELECT name FROM d1_migrations").toArray().map((row) => row.name));
    for (const { name, sql } of migrations) {
      if (applied.has(name)) continue;
      try {
        this.ctx.storage.transactionSync(() => {
          this.#sql.exec(sql);
          this.#sql.exec("INSERT INTO d1_migrations (name) VALUES (?)", name);
        });
      } catch (error) {
        throw new Error(`migration ${name}: ${error.message}`);
      }
    }
  }
}

export default {
  fetch(request, env) {
    return env.DATABASE.get(env.DATABASE.idFromName("db")).fetch(request);
  },
};

function failed(error) {
  return Response.json({ success: false, error }, { status: 500 });
}
