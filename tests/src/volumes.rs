//! 数据量与费用：每天多少行、多少字节，按 Cloudflare 价目表多少钱。
//!
//! Owns the arithmetic of `docs/scaling.md`: rows and bytes of the log and of the objects' journals,
//! and the monthly bill, as functions of the rate. Owns no measurement: what is measured is a constant
//! here and a test measures it again. Prices are those of the vendor's list, which the document names.

/// Rates that the document shows, in requests per second, day and night.
pub const RATES: [u64; 3] = [10, 1_000, 100_000];

/// Bytes that one row of the log takes with all its indexes.
pub const LOG_ROW_BYTES: u64 = 430;

/// Rows that D1 counts as written for one row of the log: the table and its eight indexes that every
/// row is in. A deletion counts as many.
pub const LOG_ROW_WRITES: u64 = 9;

/// Rows that an object writes for one request alone: its permit, and later its row of the journal with
/// the index of tickets; each is put and removed once.
pub const OBJECT_ROWS_PER_REQUEST: u64 = 6;

/// Rows of each group of changes: the window's bucket, the record of the rest, the counters.
pub const OBJECT_ROWS_PER_WRITE: u64 = 3;

/// Rows at which an object's journal lets nobody in any more.
pub const JOURNAL_ROWS_MAX: u64 = 1_000_000;

/// Groups of changes that one object writes in a second at most: one every 20 ms.
const WRITES_MAX: u64 = 50;

/// Requests per second that one object is given: `docs/scaling.md` says why.
const PER_OBJECT: u64 = 300;

/// Combinations of server, app and model that are in use at any time.
const COMBINATIONS: u64 = 20;

/// CPU of the Worker for one request, in milliseconds: an assumption.
const CPU_MS: u64 = 2;

/// Largest database of D1.
const DATABASE_BYTES: u64 = 10_000_000_000;

const DAY_SECONDS: u64 = 86_400;
const MONTH_DAYS: u64 = 30;
const MONTH_SECONDS: u64 = MONTH_DAYS * DAY_SECONDS;

/// What is paid for one thing: so much is included, then so much for each million.
#[derive(Clone, Copy, Debug)]
struct Price {
    name: &'static str,
    included: f64,
    per_million: f64,
}

const WORKER_REQUESTS: Price = price("Worker requests", 10e6, 0.30);
const WORKER_CPU: Price = price("Worker CPU, ms", 30e6, 0.02);
const OBJECT_REQUESTS: Price = price("object requests", 1e6, 0.15);
const OBJECT_DURATION: Price = price("object duration, GB-s", 400e3, 12.50);
const OBJECT_ROWS: Price = price("object rows written", 50e6, 1.00);
const D1_ROWS: Price = price("D1 rows written", 50e6, 1.00);
/// Of a GB-month: priced per GB, here per million of millionths.
const D1_STORAGE: Price = price("D1 storage, MB-month", 5e3, 750.0);

/// The plan itself.
const SUBSCRIPTION: f64 = 5.0;

const fn price(name: &'static str, included: f64, per_million: f64) -> Price {
    Price {
        name,
        included,
        per_million,
    }
}

impl Price {
    fn of(self, amount: f64) -> f64 {
        (amount - self.included).max(0.0) / 1e6 * self.per_million
    }
}

/// Objects that a rate is spread over.
pub fn objects(rate: u64) -> u64 {
    rate.div_ceil(PER_OBJECT)
}

/// Rows of the log in a day.
pub fn rows_per_day(rate: u64) -> u64 {
    rate * DAY_SECONDS
}

/// Bytes of the log in a day.
pub fn bytes_per_day(rate: u64) -> u64 {
    rows_per_day(rate) * LOG_ROW_BYTES
}

/// For how many days one database holds the log.
pub fn days_in_one_database(rate: u64) -> f64 {
    DATABASE_BYTES as f64 / bytes_per_day(rate) as f64
}

/// The highest average rate whose log of so many days one database holds.
pub fn rate_of_retention(days: u64) -> f64 {
    DATABASE_BYTES as f64 / (days * DAY_SECONDS * LOG_ROW_BYTES) as f64
}

/// Days that are kept: as many as are asked for by default, or as fit.
fn days_kept(rate: u64) -> f64 {
    days_in_one_database(rate).min(MONTH_DAYS as f64)
}

/// What a month has of everything that is paid for, in the order of the prices.
fn month(rate: u64) -> [(Price, f64); 7] {
    let requests = (rate * MONTH_SECONDS) as f64;
    let objects = objects(rate);
    let seconds = (objects * MONTH_SECONDS) as f64;
    // A permit and its ending are two writes, as long as they are not grouped.
    let writes_each = (2 * rate / objects).min(WRITES_MAX);
    let object_rows = requests * OBJECT_ROWS_PER_REQUEST as f64
        + seconds * (writes_each * OBJECT_ROWS_PER_WRITE + 1) as f64;
    let minutes = (MONTH_SECONDS / 60) as f64;
    let sums = 2.0 * COMBINATIONS as f64 * minutes;
    let stored = bytes_per_day(rate) as f64 * days_kept(rate) / 1e6;
    [
        (WORKER_REQUESTS, requests),
        (WORKER_CPU, requests * CPU_MS as f64),
        // A permit, its ending, and an alarm every second.
        (OBJECT_REQUESTS, 2.0 * requests + seconds),
        (OBJECT_DURATION, seconds * 0.128),
        (OBJECT_ROWS, object_rows),
        (D1_ROWS, requests * 2.0 * LOG_ROW_WRITES as f64 + sums),
        (D1_STORAGE, stored),
    ]
}

/// The bill of a month in dollars.
pub fn bill(rate: u64) -> f64 {
    let used: f64 = month(rate)
        .iter()
        .map(|(price, amount)| price.of(*amount))
        .sum();
    SUBSCRIPTION + used
}

/// The table of volumes, then that of retention, then the bill.
pub fn tables() -> [(&'static str, String); 3] {
    [
        ("volumes", volumes()),
        ("retention", retention()),
        ("bill", bills()),
    ]
}

const VOLUMES: &str = "\
| requests/s | objects | log rows a day | log, GB a day | days in 10 GB | D1 rows written a day | journal of 10 min without D1 | time until a journal is full |
|---:|---:|---:|---:|---:|---:|---:|---:|
";

fn volumes() -> String {
    let rows = RATES.map(|rate| {
        let full = JOURNAL_ROWS_MAX * objects(rate) / rate;
        format!(
            "| {} | {} | {} | {:.2} | {:.2} | {} | {} rows | {:.1} h |\n",
            grouped(rate as f64),
            objects(rate),
            grouped(rows_per_day(rate) as f64),
            bytes_per_day(rate) as f64 / 1e9,
            days_in_one_database(rate),
            grouped((rows_per_day(rate) * 2 * LOG_ROW_WRITES) as f64),
            grouped((rate * 600) as f64),
            full as f64 / 3_600.0,
        )
    });
    format!("{VOLUMES}{}", rows.concat())
}

fn retention() -> String {
    let rows =
        [30, 14, 7, 3, 1].map(|days| format!("| {days} | {:.0} |\n", rate_of_retention(days)));
    format!(
        "| `LOG_RETENTION_DAYS` | requests/s on average |\n|---:|---:|\n{}",
        rows.concat()
    )
}

fn bills() -> String {
    let months = RATES.map(month);
    let header = RATES.map(|rate| format!(" {}/s: amount | $ |", grouped(rate as f64)));
    let lines: Vec<String> = (0..months[0].len())
        .map(|line| {
            let cells = months.map(|month| {
                let (price, amount) = month[line];
                format!(" {} | {} |", grouped(amount), grouped(price.of(amount)))
            });
            format!("| {} |{}\n", months[0][line].0.name, cells.concat())
        })
        .collect();
    let total = RATES.map(|rate| format!(" | {} |", grouped(bill(rate))));
    let each = RATES.map(|rate| {
        let millions = (rate * MONTH_SECONDS) as f64 / 1e6;
        format!(" | {:.2} |", bill(rate) / millions)
    });
    format!(
        "| per month |{}\n|---|{}\n{}| subscription |{}\n| total |{}\n| per million requests |{}\n",
        header.concat(),
        "---:|---:|".repeat(RATES.len()),
        lines.concat(),
        format!(" | {SUBSCRIPTION:.0} |").repeat(RATES.len()),
        total.concat(),
        each.concat(),
    )
}

/// Whole, with a comma between thousands.
fn grouped(amount: f64) -> String {
    let digits = format!("{amount:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What stands between the markers of that name, if the document has them.
pub fn read(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<!-- {name}: begin -->\n\n"))?;
    let (text, _) = rest.split_once(&format!("\n<!-- {name}: end -->"))?;
    Some(text.to_owned())
}

/// The document with all tables renewed, if it has the markers.
pub fn renewed(document: &str) -> Option<String> {
    let mut document = document.to_owned();
    for (name, table) in tables() {
        let (begin, end) = (
            format!("<!-- {name}: begin -->\n"),
            format!("<!-- {name}: end -->"),
        );
        let (before, rest) = document.split_once(&begin)?;
        let (_, after) = rest.split_once(&end)?;
        document = format!("{before}{begin}\n{table}\n{end}{after}");
    }
    Some(document)
}
