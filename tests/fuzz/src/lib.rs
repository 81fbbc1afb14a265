//! 模糊测试：凡读外来字节之处，各有目标与判据。
//!
//! Owns the fuzz targets: for each parser that sees bytes from outside one function from bytes to a verdict, which is
//! a panic, and the inputs that a run begins with. `make fuzz` runs them guided by coverage (libFuzzer); the tests run
//! each for a bounded number of mutated inputs and repeat everything in `corpus`, where a finding is stored.
//!
//! Invariant: a target's verdict depends on its bytes alone, and each has an oracle that can fail.

mod admin;
mod answers;
mod headers;
mod input;
mod mutation;
mod protocol;
mod queries;
mod requests;
mod rows;
mod seeds;
mod streams;
mod texts;

pub use mutation::Mutations;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    /// Judges one input.
    pub run: fn(&[u8]),
    /// Where mutation begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        run: requests::run,
        seeds: seeds::requests,
    },
    Target {
        name: "streams",
        run: streams::run,
        seeds: seeds::streams,
    },
    Target {
        name: "answers",
        run: answers::run,
        seeds: seeds::answers,
    },
    Target {
        name: "headers",
        run: headers::run,
        seeds: seeds::headers,
    },
    Target {
        name: "protocol",
        run: protocol::run,
        seeds: seeds::protocol,
    },
    Target {
        name: "rows",
        run: rows::run,
        seeds: seeds::rows,
    },
    Target {
        name: "admin",
        run: admin::run,
        seeds: seeds::admin,
    },
    Target {
        name: "queries",
        run: queries::run,
        seeds: seeds::queries,
    },
    Target {
        name: "texts",
        run: texts::run,
        seeds: seeds::texts,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mutated inputs of each target in the tests: a few seconds in all.
    const CASES: usize = 3_000;

    /// What the inputs of a short run follow from; `make fuzz` finds others each time.
    const SEED: u64 = 20_261_123;

    fn stands(name: &str) {
        let target = target(name).expect("a target");
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{name} has nothing to begin with");
        for seed in &seeds {
            (target.run)(seed);
        }
        let folder = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a readable entry").path();
            println!("corpus {}", path.display());
            (target.run)(&std::fs::read(path).expect("a readable file"));
        }
        println!("{name}: {CASES} cases of seed {SEED}");
        for case in Mutations::new(seeds, SEED).take(CASES) {
            (target.run)(&case);
        }
    }

    macro_rules! targets {
        ($($test:ident: $name:literal),+ $(,)?) => {
            $(#[test]
            fn $test() {
                stands($name);
            })+

            #[test]
            fn every_target_is_run_by_a_test() {
                let tested = [$($name),+];
                let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                assert_eq!(all, tested);
            }
        };
    }

    targets! {
        bodies_of_requests_are_read_as_serde_json_reads_them: "requests",
        streams_are_observed_alike_at_any_chunking: "streams",
        answers_tell_the_usage_that_serde_json_reads: "answers",
        headers_are_read_within_their_bounds: "headers",
        messages_to_the_limiter_come_back_as_they_were_sent: "protocol",
        rows_of_the_limiter_restore_to_what_ends_by_itself: "rows",
        bodies_of_the_admin_api_are_refused_or_within_their_bounds: "admin",
        queries_are_refused_or_within_their_bounds: "queries",
        texts_survive_their_ways_of_writing: "texts",
    }
}
