//! 可用率：故障混合之下，按规格作答的请求占多少。
//!
//! SC-006 of the specification on plain workerd. A few hundred requests with the other tests; `make availability` asks for
//! a run of its own length (`AVAILABILITY_REQUESTS`, `AVAILABILITY_CLIENTS`; `SLUICE_SEED` repeats one). What counts as
//! unavailable, says `mix`; what is not in the mix, says `docs/faults.md`.

use std::time::Duration;

use gateway_tests::criteria;
use gateway_tests::harness::{Gateway, random::Random};
use libtest_mimic::Trial;

use crate::mix::{self, Mix, Report, Scene, Size};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![requests_are_answered_as_promised_whatever_goes_wrong]
}

/// What the specification asks for.
const AVAILABILITY_MIN: f64 = 99.5;

/// Until the journals are in D1: pauses after an outage lie in between.
const DRAINED: Duration = Duration::from_mins(2);

/// Requests between two troubles.
const EVERY: usize = 60;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a whole number"))
}

async fn requests_are_answered_as_promised_whatever_goes_wrong() {
    let size = Size {
        clients: number("AVAILABILITY_CLIENTS", 24),
        requests_max: number("AVAILABILITY_REQUESTS", 300),
        pause_ms: 100,
    };
    let mut random = Random::announced("requests_are_answered_as_promised_whatever_goes_wrong");
    let gateway = Gateway::serve()
        .with_faults()
        .variable("LOG_REQUESTS", "off")
        .start()
        .await;
    let scene = Scene::set(&gateway).await;
    let seed = random.bits();
    let mix = Mix::new(&gateway, &scene, size, random);
    let clients = mix.start(size.clients);
    mix::trouble(&gateway, &scene, &mix, EVERY, seed).await;
    clients.join_all().await;
    for server in scene.servers() {
        gateway
            .live_within(DRAINED, &server.id, "all is over and in D1", |live| {
                live["in_flight"] == 0 && live["queue_length"] == 0 && live["journal_rows"] == 0
            })
            .await;
    }
    let report = Report::new(&mix.told(), &mix::rows(&gateway).await);
    report.print();
    let availability = report.availability();
    let figure = format!(
        "{availability:.3} % of {} requests answered as promised under the mix of faults, at least {AVAILABILITY_MIN} %",
        size.requests_max
    );
    criteria::said(6, availability >= AVAILABILITY_MIN, &figure);
    assert!(availability >= AVAILABILITY_MIN, "{availability:.3} %");
}
