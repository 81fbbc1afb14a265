//! 规模仿真的断言：一个对象承载多少，分片后限额是否仍然成立。
//!
//! The runs of `docs/scaling.md` at a tenth of their size, held to the same bounds as the whole ones,
//! which `make scale` runs and compares with the document. Owns no bound: the judge has them.

use gateway_tests::harness::random::Random;
use gateway_tests::simulation::scale::{Plan, SEED, Size, complaints, run};

/// Windows that are measured after the one that warms up.
const MINUTES: u64 = 1;

fn judge(seed: u64, chosen: impl Fn(&Plan) -> bool) {
    let mut found = Vec::new();
    for plan in Plan::all(Size::Tenth)
        .into_iter()
        .filter(|plan| chosen(plan))
    {
        found.extend(complaints(&run(&plan, seed, MINUTES)));
    }
    assert!(found.is_empty(), "seed {seed}: {}", found.join("\n"));
}

#[test]
fn limits_hold_and_are_used_over_many_locations_and_objects() {
    judge(SEED, |_| true);
}

#[test]
fn limits_hold_over_many_objects_whatever_the_seed() {
    let seed = Random::announced("scale").bits();
    judge(seed, |plan| plan.shards > 1);
}

#[test]
fn a_run_over_its_limit_is_noticed() {
    // The judge reads the provider's record: split limits that add up to more must not pass.
    let mut plan = Plan::all(Size::Tenth)
        .into_iter()
        .find(|plan| {
            plan.shards > 1 && plan.rate * 60.0 > plan.limits.rpm.unwrap_or(u64::MAX) as f64
        })
        .expect("a plan whose split limit binds");
    let honest = plan.limits.rpm;
    plan.overshare = 10;
    let row = run(&plan, SEED, MINUTES);
    assert_eq!(row.plan.limits.rpm, honest, "judged by the real limit");
    assert!(row.windows_over > 0, "{row:#?}");
    assert!(!complaints(&row).is_empty());
}
