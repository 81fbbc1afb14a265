//! 仿真的断言：限额、次序、利用率与归零。
//!
//! What the simulation must show, on the run that `docs/admission.md` prints: the bounds are those
//! that the document states. One run of all scenarios serves all tests.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use gateway_tests::harness::random::Random;
use gateway_tests::harness::root;
use gateway_tests::simulation::{Figures, MINUTES, SEED, Scenario, documented, run, table};

fn rows() -> &'static [Figures] {
    static ROWS: OnceLock<Vec<Figures>> = OnceLock::new();
    ROWS.get_or_init(|| {
        Scenario::all()
            .iter()
            .flat_map(|scenario| run(scenario, SEED, MINUTES))
            .collect()
    })
}

/// The rows of whole runs whose name begins like this.
fn named(beginning: &str) -> Vec<&'static Figures> {
    let found: Vec<_> = rows()
        .iter()
        .filter(|row| row.app.is_none() && row.scenario.starts_with(beginning))
        .collect();
    assert!(!found.is_empty(), "no scenario is called {beginning}");
    found
}

/// Scenarios that break an assumption of the guarantee on purpose.
const BEYOND: &str = "beyond: ";

fn assert_used(row: &Figures, least: f64) {
    for used in [row.requests_used, row.tokens_used].into_iter().flatten() {
        assert!(used >= least, "{}: {used} is below {least}", row.scenario);
    }
}

fn assert_within_limits(row: &Figures) {
    assert_eq!(row.windows_over, 0, "windows over a limit: {row:#?}");
    let (open, slots) = row.open_max;
    assert!(slots.is_none_or(|slots| open <= slots), "{row:#?}");
}

fn assert_clean(row: &Figures) {
    assert_eq!(row.out_of_order, 0, "granted out of order: {row:#?}");
    assert_eq!(row.doubled, 0, "one permit, two requests: {row:#?}");
    assert_eq!(row.unanswered, 0, "a client never heard again: {row:#?}");
    assert_eq!(
        row.leftovers, 0,
        "the core did not return to zero: {row:#?}"
    );
}

#[test]
fn exact_estimates_use_99_percent_of_a_saturated_limit() {
    for row in named("saturation, exact") {
        assert_used(row, 0.99);
        assert_within_limits(row);
    }
}

#[test]
fn learned_estimates_use_95_percent_of_a_saturated_limit_and_never_exceed_it() {
    for row in named("saturation, chat") {
        assert_used(row, 0.95);
        assert_within_limits(row);
    }
}

#[test]
fn no_window_at_the_provider_exceeds_a_limit_in_any_scenario() {
    for row in rows() {
        if row.app.is_none() && !row.scenario.starts_with(BEYOND) {
            assert_within_limits(row);
        }
    }
}

#[test]
fn no_client_sees_a_429_of_a_provider_that_is_stricter_than_configured() {
    for row in named("provider at half")
        .into_iter()
        .chain(named("200 at once"))
    {
        assert!(row.refused_upstream > 0, "the provider is stricter");
        assert_eq!(row.refused_clients, 0, "{row:#?}");
    }
}

#[test]
fn a_provider_at_half_the_limit_is_used_to_within_10_percent_of_its_own_limit() {
    // 30 a minute: the 200th may come after six windows.
    for row in named("200 at once, half, window") {
        assert_longest_wait(row, Duration::from_mins(6).mul_f64(1.1));
    }
    // A bucket of 5 that gains one every 2 s has 200 after 390 s. The storm of the first refusals
    // reached the provider and stays charged for one window of our own, once.
    for row in named("200 at once, half, bucket") {
        assert_longest_wait(row, Duration::from_secs(390 + 60));
    }
    for row in named("provider at half") {
        assert_used(row, 0.98);
    }
}

fn assert_longest_wait(row: &Figures, bound: Duration) {
    let longest = row.waits[2];
    assert!(longest <= bound, "{longest:?} is over {bound:?}: {row:#?}");
    assert_eq!(row.refused_clients, 0, "{row:#?}");
}

#[test]
fn nobody_is_granted_before_somebody_who_arrived_earlier_and_everything_returns_to_zero() {
    for row in rows() {
        assert_clean(row);
    }
}

#[test]
fn dense_traffic_goes_ahead_and_no_window_is_the_fuller_for_it() {
    for row in named("dense") {
        // Where traffic is so dense the limit is soon half used up.
        assert!(row.went_ahead > 500, "{row:#?}");
        assert_within_limits(row);
    }
}

#[test]
fn restarts_lose_nobody() {
    for row in named("restarts") {
        assert!(row.deaths > 0, "the object died");
        assert_eq!(
            row.timeouts + row.evictions + row.refused_clients,
            0,
            "{row:#?}"
        );
    }
}

#[test]
fn a_small_app_waits_no_longer_than_the_greedy_one_before_it() {
    let of = |app| {
        let row = rows().iter().find(|row| row.app == Some(app));
        row.expect("the app has a row").waits[2]
    };
    for small in ["small 1", "small 2", "small 3"] {
        assert!(of(small) <= of("greedy"), "{small}");
    }
}

#[test]
fn limits_and_order_hold_whatever_the_seed() {
    let seed = Random::announced("simulation").bits();
    for scenario in Scenario::all() {
        let is_exact = [
            "saturation, exact",
            "bursts",
            "Poisson",
            "diurnal",
            "restarts, bursts",
            "restarts, in mid-burst",
        ]
        .iter()
        .any(|beginning| scenario.name.starts_with(beginning));
        if is_exact {
            for row in run(&scenario, seed, 3) {
                assert_within_limits(&row);
                assert_clean(&row);
            }
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    for scenario in Scenario::all() {
        let once = table(&run(&scenario, 7, 1));
        assert_eq!(once, table(&run(&scenario, 7, 1)), "{}", scenario.name);
        assert_ne!(once, table(&run(&scenario, 8, 1)), "{}", scenario.name);
    }
}

#[test]
fn the_documented_table_is_this_run() {
    let expected = documented::block(rows(), SEED, MINUTES);
    for path in ["docs/admission.md", "docs/zh-CN/admission.md"] {
        let text = fs::read_to_string(root().join(path)).expect("the document exists");
        let shown = documented::read(&text).expect("the document has the markers");
        assert!(
            shown == expected,
            "{path} is out of date; renew it with\n\
             cargo run -p gateway-tests --bin simulate --release -- --write {path}\n{expected}"
        );
    }
}
