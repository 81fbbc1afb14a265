//! 估算的测试：默认、学习、界限。
//!
//! Estimates: the default, what is learnt, and the bounds.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow must panic"
)]

use super::*;
use crate::protocol::{SettleOutcome, TicketId};

fn demand(model: &str, prompt_bytes: u64, output_tokens_max: Option<u64>) -> Demand {
    Demand {
        model: model.to_owned(),
        prompt_bytes,
        output_tokens_max,
    }
}

fn used(prompt_tokens: u64, completion_tokens: u64) -> Settle {
    Settle {
        prompt_tokens: Some(prompt_tokens),
        completion_tokens: Some(completion_tokens),
        ..Settle::new(TicketId::try_from("t").unwrap(), SettleOutcome::Completed)
    }
}

fn expected(prompt_bytes: u64, output_tokens_max: Option<u64>) -> u64 {
    Estimator::default().expected_tokens(&demand("m", prompt_bytes, output_tokens_max))
}

#[test]
fn prompt_bytes_round_up_and_output_has_a_default() {
    assert_eq!(expected(0, None), 1_024);
    assert_eq!(expected(9, None), 3 + 1_024);
}

#[test]
fn the_client_can_lower_the_expected_output_but_not_raise_it() {
    assert_eq!(expected(8, Some(10)), 12);
    assert_eq!(expected(8, Some(100_000)), 2 + 1_024);
}

#[test]
fn an_estimate_is_bounded() {
    assert_eq!(expected(u64::MAX, None), TOKENS_MAX);
    let mut estimator = Estimator::default();
    for _ in 0..100 {
        estimator.learn(
            &demand("m", 1, None),
            &used(u64::MAX, u64::MAX),
            Instant::default(),
        );
    }
    let huge = demand("m", u64::MAX, None);
    assert_eq!(estimator.expected_tokens(&huge), TOKENS_MAX);
}

const MINUTE: u64 = 60_000;

/// Settlements of the same kind, evenly over a minute and a little more.
fn epoch(estimator: &mut Estimator, usage: &[(u64, u64)], minute: u64) {
    for sample in 0..=30 {
        let now = Instant::from_millis(minute * 2 * MINUTE + sample * 2_000);
        let (prompt, output) = usage[usize::try_from(sample).unwrap() % usage.len()];
        estimator.learn(&demand("m", 1_000, None), &used(prompt, output), now);
    }
}

fn expects(estimator: &Estimator, prompt_bytes: u64) -> u64 {
    estimator.expected_tokens(&demand("m", prompt_bytes, None))
}

#[test]
fn what_is_always_the_same_is_expected_exactly() {
    let mut estimator = Estimator::default();
    for minute in 0..8 {
        epoch(&mut estimator, &[(250, 70)], minute);
    }
    // The first sample is no deviation, it was unknown; half of its trace goes with each epoch.
    assert_eq!(expects(&estimator, 1_000), 250 + 70);
    assert_eq!(expects(&estimator, 2_000), 500 + 70);
}

#[test]
fn what_varies_is_expected_with_four_mean_deviations() {
    let mut estimator = Estimator::default();
    for minute in 0..8 {
        epoch(&mut estimator, &[(250, 100), (250, 300)], minute);
    }
    // Mean 200 but for the odd sample, deviation 100.
    let expected = expects(&estimator, 1_000);
    assert!((840..860).contains(&expected), "{expected}");
    // What the client allows bounds the output alone.
    let bounded = estimator.expected_tokens(&demand("m", 1_000, Some(10)));
    assert_eq!(bounded, 260);
}

#[test]
fn an_unknown_model_is_not_expected_below_the_default_before_a_whole_epoch() {
    let mut estimator = Estimator::default();
    for sample in 0..40 {
        let now = Instant::from_millis(sample * 1_000);
        estimator.learn(&demand("m", 1_000, None), &used(100, 5), now);
    }
    assert_eq!(expects(&estimator, 1_000), 250 + 1_024);
    // But above it at once.
    let now = Instant::from_millis(41_000);
    estimator.learn(&demand("m", 1_000, None), &used(900, 90_000), now);
    assert!(expects(&estimator, 1_000) > 2_000);
}

#[test]
fn longer_answers_are_believed_at_once_and_shorter_ones_after_an_epoch() {
    let mut estimator = Estimator::default();
    epoch(&mut estimator, &[(250, 100)], 0);
    let before = expects(&estimator, 1_000);
    let learn = |estimator: &mut Estimator, output: u64, from: u64| {
        for sample in 0..20 {
            let now = Instant::from_millis(from + sample * 100);
            estimator.learn(&demand("m", 1_000, None), &used(250, output), now);
        }
    };
    learn(&mut estimator, 10, 10 * MINUTE);
    assert_eq!(expects(&estimator, 1_000), before);
    let mut longer = Estimator::default();
    epoch(&mut longer, &[(250, 100)], 0);
    learn(&mut longer, 900, 10 * MINUTE);
    assert!(expects(&longer, 1_000) >= 250 + 900);
}

#[test]
fn usage_without_its_parts_teaches_nothing() {
    let mut estimator = Estimator::default();
    let ticket = TicketId::try_from("t").unwrap();
    let mut settle = Settle::new(ticket, SettleOutcome::Completed);
    settle.tokens = Some(9);
    settle.prompt_tokens = Some(9);
    estimator.learn(&demand("m", 9, None), &settle, Instant::default());
    assert_eq!(estimator.len(), 0);
}

#[test]
fn an_empty_body_teaches_no_ratio_and_does_not_divide() {
    let mut estimator = Estimator::default();
    let now = Instant::default();
    estimator.learn(&demand("m", 0, None), &used(9, 9), now);
    assert_eq!(expects(&estimator, 1_000), 250 + 1_024);
}

#[test]
fn the_model_used_least_recently_is_forgotten() {
    let mut estimator = Estimator::default();
    let now = Instant::default();
    for number in 0..MODELS_LEN_MAX {
        let model = format!("m{number}");
        estimator.learn(&demand(&model, 10, None), &used(1, 1), now);
    }
    estimator.learn(&demand("m0", 10, None), &used(1, 1), now);
    estimator.learn(&demand("new", 10, None), &used(1, 1), now);
    assert_eq!(estimator.len(), 256);
    assert!(estimator.models.contains_key("m0") && !estimator.models.contains_key("m1"));
}

#[test]
fn whole_epochs_are_stored_and_come_back() {
    let mut estimator = Estimator::default();
    estimator.learn(&demand("other", 10, None), &used(1, 1), Instant::default());
    assert!(estimator.is_stored(), "nothing is worth a row yet");
    epoch(&mut estimator, &[(250, 100), (260, 110)], 0);
    assert!(!estimator.is_stored());
    let (rows, gone) = estimator.take_rows();
    assert_eq!((rows.len(), gone.len()), (1, 0));
    assert_eq!(estimator.rows(), rows);
    let mut back = Estimator::default();
    for row in rows.clone().into_iter().chain(rows) {
        back.restore(row);
    }
    assert_eq!(back.len(), 1);
    assert_eq!(expects(&back, 1_000), expects(&estimator, 1_000));
    for number in 0..MODELS_LEN_MAX {
        let model = format!("m{number}");
        back.learn(&demand(&model, 10, None), &used(1, 1), Instant::default());
    }
    let (rows, gone) = back.take_rows();
    assert_eq!((rows.len(), gone), (0, vec!["m".to_owned()]));
}
