//! 存储的行：读得出就恢复，读不出就说，绝不卡死。
//!
//! Rows of the limiter object's own database, and the notes and counters beside them. The oracles: a restored core can
//! be stored and restored again to the same, and whatever the rows say, all of it ends by itself.

use admission::{Admission, Instant};
use gateway::journal::{Answered, Asked, Entry};
use gateway::metrics::Counters;
use gateway::sql::{AdmissionRow, admission_state, write_admission_changes};
use std::time::Duration;

use crate::input::Input;

const NOW: Instant = Instant::from_millis(1_795_420_800_000);
const KINDS: [&str; 6] = ["state", "bucket", "lease", "waiter", "model", "other"];

pub(crate) fn run(bytes: &[u8]) {
    let lines = Input::new(bytes).lines();
    for line in &lines {
        notes(line);
    }
    let rows: Vec<AdmissionRow> = lines
        .iter()
        .filter_map(|line| {
            let kind = *KINDS.get(usize::from(*line.as_bytes().first()?) % KINDS.len())?;
            Some(AdmissionRow {
                kind: kind.to_owned(),
                row: line.get(1..)?.to_owned(),
            })
        })
        .collect();
    let count = rows.len();
    let (state, unreadable) = admission_state(rows);
    assert!(unreadable <= count);
    let mut core = Admission::restore(state, NOW);
    let live = core.live(NOW);
    let mut again = Admission::restore(core.checkpoint(), NOW);
    let restored = again.live(NOW);
    assert_eq!(
        (
            restored.in_flight,
            restored.queue_length,
            restored.rpm_used,
            restored.tpm_used
        ),
        (
            live.in_flight,
            live.queue_length,
            live.rpm_used,
            live.tpm_used
        ),
        "stored and restored to another state"
    );
    write_admission_changes(&again.take_changes()).expect("rows are JSON");
    // A waiter may wait for a configuration at most until its own time is over, a permit until its lease ends.
    let far = Duration::from_hours(24 * 40);
    let mut late = Admission::restore(again.checkpoint(), NOW.saturating_add(far));
    late.handle_timeout(NOW.saturating_add(2 * far));
    let live = late.live(NOW);
    assert_eq!((live.in_flight, live.queue_length), (0, 0), "{live:?}");
}

fn notes(line: &str) {
    if let Ok(asked) = serde_json::from_str::<Asked>(line) {
        assert_eq!(serde_json::from_str(&asked.note()).ok(), Some(asked));
    }
    if let Ok(answered) = serde_json::from_str::<Answered>(line) {
        assert_eq!(serde_json::from_str(&answered.note()).ok(), Some(answered));
    }
    if let Ok(entry) = Entry::decode(line) {
        let again = serde_json::to_string(&entry).expect("a row is JSON");
        assert_eq!(Entry::decode(&again).ok(), Some(entry));
    }
    if let Ok(counters) = Counters::decode(line) {
        let line = counters.encode();
        let again = Counters::decode(&line).expect("its own line");
        assert_eq!(again.encode(), line);
    }
}
