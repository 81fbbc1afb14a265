//! 仪表盘与告警规则：每个查询都合语法，且只问真有的指标。
//!
//! A linter for `deploy/monitoring`: every query parses as `PromQL` and asks only for series that `GET /metrics`
//! has, with labels and values that they can have; panels do not overlap and say what they show.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use crate::metrics::complete_text;
use crate::tables::read;

/// Series by name; their labels and the values that these have in the sample.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn series() -> Series {
    let mut series = Series::new();
    for line in complete_text()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (sample, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let known = series.entry(name.to_owned()).or_default();
        for label in labels
            .trim_end_matches('}')
            .split(',')
            .filter(|label| !label.is_empty())
        {
            let (label, value) = label.split_once('=').expect("a label");
            let values = known.entry(label.to_owned()).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
    series
}

struct Checked<'a> {
    series: &'a Series,
    selectors: usize,
}

impl Checked<'_> {
    fn selector(&mut self, selector: &VectorSelector) -> Result<(), String> {
        self.selectors += 1;
        let name = selector
            .name
            .as_deref()
            .ok_or("a selector without a name")?;
        let labels = self
            .series
            .get(name)
            .ok_or_else(|| format!("no metric {name}"))?;
        for matcher in &selector.matchers.matchers {
            let values = labels.get(&matcher.name);
            let values = values.ok_or_else(|| format!("{name} has no label {}", matcher.name))?;
            let closed = ["outcome", "source", "kind"].contains(&matcher.name.as_str());
            let asked: Vec<&str> = match &matcher.op {
                MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
                MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
            };
            if let Some(unknown) = asked
                .into_iter()
                .find(|value| closed && !values.contains(*value))
            {
                return Err(format!("{name}: {} is never {unknown}", matcher.name));
            }
        }
        Ok(())
    }
}

impl ExprVisitor for Checked<'_> {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector)?,
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs)?,
            _ => {}
        }
        Ok(true)
    }
}

fn check(query: &str, series: &Series) -> Result<(), String> {
    // What Grafana puts in before it asks.
    let query = query
        .replace("$__rate_interval", "1m")
        .replace("$__range", "1h");
    let expr = parser::parse(&query)?;
    let mut checked = Checked {
        series,
        selectors: 0,
    };
    walk_expr(&mut checked, &expr)?;
    if checked.selectors == 0 {
        return Err("it asks for nothing".to_owned());
    }
    Ok(())
}

#[test]
fn the_linter_finds_what_is_wrong() {
    let series = series();
    for wrong in [
        "sum(sluice_queue_length",
        "sluice_queue_len",
        "sluice_queue_length{model=\"m\"}",
        "rate(sluice_requests_total{outcome=\"okay\"}[5m])",
        "sum(rate(sluice_requests_total{outcome=~\"ok|gone\"}[5m]))",
        "1 + 1",
    ] {
        assert!(check(wrong, &series).is_err(), "{wrong}");
    }
    assert_eq!(
        check("sluice_queue_length{server=~\"$server\"}", &series),
        Ok(())
    );
}

#[test]
fn every_alert_asks_for_what_exists_and_says_what_to_do() {
    let series = series();
    let rules: Value =
        serde_yaml_ng::from_str(&read("deploy/monitoring/alerts.yml")).expect("YAML");
    let mut names = BTreeSet::new();
    for rule in rules["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|group| group["rules"].as_array().into_iter().flatten())
    {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| panic!("{rule}"), str::to_owned)
        };
        let name = text(&rule["alert"]);
        let checked = check(&text(&rule["expr"]), &series);
        assert_eq!(checked, Ok(()), "{name}");
        assert!(
            ["page", "ticket"].contains(&text(&rule["labels"]["severity"]).as_str()),
            "{name}"
        );
        assert!(text(&rule["annotations"]["summary"]).len() > 20, "{name}");
        assert!(
            text(&rule["annotations"]["description"]).len() > 40,
            "{name}"
        );
        assert!(names.insert(name.clone()), "{name} is there twice");
        for path in ["docs/operations.md", "docs/zh-CN/operations.md"] {
            assert!(
                read(path).contains(&format!("`{name}`")),
                "{path} lacks {name}"
            );
        }
    }
    assert!(names.len() >= 10, "{names:?}");
}

#[test]
fn every_panel_asks_for_what_exists_has_its_place_and_says_what_it_shows() {
    let series = series();
    let dashboard: Value =
        serde_json::from_str(&read("deploy/monitoring/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let mut queries = 0;
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        let place = |field: &str| panel["gridPos"][field].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title} is too wide");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies upon another");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 20),
            "{title}"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            assert_eq!(check(query, &series), Ok(()), "{title}: {query}");
            queries += 1;
        }
    }
    assert!(queries >= 20, "{queries}");
}
