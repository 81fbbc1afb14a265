//! 统计与日志的参数：文档说收的就收，说不收的就拒绝。
//!
//! Asks for statistics and logs with every parameter at the bounds that the OpenAPI document gives it, and just
//! beyond them. The bounds are read from the document that the gateway serves, so neither can change alone.

use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;
use serde_json::Value;

use super::{DAY_MS, HOUR_MS, get, time};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        parameters_are_taken_and_refused_as_the_document_says,
        longest_range_is_served_and_a_longer_one_is_not,
    ]
}

const PATHS: [&str; 4] = [
    "/api/stats/usage",
    "/api/stats/usage.csv",
    "/api/logs",
    "/api/logs.csv",
];

/// Values that a parameter must take, and values that it must not.
fn values(schema: &Value) -> (Vec<String>, Vec<String>) {
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(str::to_owned);
        return (
            words.collect(),
            ["none", "", "hour,day"].map(str::to_owned).into(),
        );
    }
    if schema["type"] == "integer" {
        let bound = |name: &str| schema[name].as_i64().expect("a bound");
        let (min, max) = (bound("minimum"), bound("maximum"));
        let beyond = [
            (min - 1).to_string(),
            (max + 1).to_string(),
            "1e2x".to_owned(),
        ];
        return (
            [min, max].map(|value| value.to_string()).into(),
            beyond.into(),
        );
    }
    if schema["format"] == "date-time" {
        let good = ["2026-01-01T00:00:00Z", "2026-01-01t05:00:00.000%2B05:00"];
        let bad = [
            "2026-01-01",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "yesterday",
        ];
        return (
            good.map(str::to_owned).into(),
            bad.map(str::to_owned).into(),
        );
    }
    if schema["pattern"].is_string() {
        // A cursor: only those that the gateway gave are good, which the walks through pages show.
        return (Vec::new(), ["!", "", "x y"].map(str::to_owned).into());
    }
    let max = schema["maxLength"].as_u64().expect("a longest text") as usize;
    let texts = ["x".to_owned(), "x".repeat(max), "%E6%A8%A1".to_owned()];
    (texts.into(), [String::new(), "x".repeat(max + 1)].into())
}

/// The query of a path, and what completes it: a range has two ends that belong together.
fn query(path: &str, name: &str, value: &str) -> String {
    let other = match name {
        "from" => "&to=2026-01-02T00:00:00Z",
        "to" => "&from=2025-12-31T00:00:00Z",
        _ => "",
    };
    let value = value.replace(' ', "%20");
    format!("{path}?{name}={value}{other}")
}

async fn refused(gateway: &Gateway, path: &str, name: &str) {
    let answer = gateway.admin("GET", path).send().await;
    let answer = answer.expect_error(422, "invalid_field");
    assert_eq!(answer.json()["error"]["param"], name, "{path}");
}

async fn parameters_are_taken_and_refused_as_the_document_says() {
    let gateway = crate::stage::gateway().await;
    let document = get(gateway, "/openapi.json").await;
    let mut seen = 0;
    for path in PATHS {
        gateway.admin("GET", path).send().await.expect(200);
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        for parameter in parameters.expect("parameters") {
            let name = parameter["$ref"].as_str().expect("a reference");
            let name = name.rsplit('/').next().expect("a name");
            let parameter = &document["components"]["parameters"][name];
            if parameter["in"] != "query" {
                continue;
            }
            let name = parameter["name"].as_str().expect("a name");
            let (good, bad) = values(&parameter["schema"]);
            for value in good {
                let path = query(path, name, &value);
                let answer = gateway.admin("GET", &path).send().await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            }
            for value in bad {
                refused(gateway, &query(path, name, &value), name).await;
            }
            let once = query(path, name, "2026-01-01T00:00:00Z");
            refused(
                gateway,
                &format!("{once}&{name}=2026-01-01T00:00:00Z"),
                name,
            )
            .await;
            seen += 1;
        }
        refused(gateway, &format!("{path}?colour=red"), "colour").await;
    }
    assert!(seen >= 30, "{seen} parameters");
}

async fn longest_range_is_served_and_a_longer_one_is_not() {
    let gateway = crate::stage::gateway().await;
    let midnight = super::now() / DAY_MS * DAY_MS;
    for (granularity, unit, longest) in [("hour", HOUR_MS, 31 * 24), ("day", DAY_MS, 366)] {
        let of = |units: u64| {
            let (from, to) = (time(midnight - units * unit), time(midnight));
            format!("/api/stats/usage?granularity={granularity}&from={from}&to={to}")
        };
        let report = get(gateway, &of(longest)).await;
        assert!(report["totals"]["requests"].is_u64(), "{report}");
        refused(gateway, &of(longest + 1), "from").await;
        refused(gateway, &of(0), "from").await;
    }
    // Without a range: the last 24 hours, or 30 days, up to the end of the present one.
    for (granularity, from, to) in [
        (
            "hour",
            super::this_hour() - 23 * HOUR_MS,
            super::this_hour() + HOUR_MS,
        ),
        ("day", midnight - 29 * DAY_MS, midnight + DAY_MS),
    ] {
        let report = get(
            gateway,
            &format!("/api/stats/usage?granularity={granularity}"),
        )
        .await;
        assert_eq!(
            (&report["from"], &report["to"]),
            (&time(from).into(), &time(to).into())
        );
    }
}
