//! 覆盖率引导的模糊测试程序，由 `make fuzz` 启动。
//!
//! Hands libFuzzer's inputs to the target that `SLUICE_FUZZ_TARGET` names. Owns nothing else; the
//! targets and their seeds are in the library, options and corpus are libFuzzer's own business.
#![no_main]

use std::sync::LazyLock;

use gateway_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SLUICE_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("SLUICE_FUZZ_TARGET is `{name}`, which is no target"))
});

fuzz_target!(
    init: {
        let folder = std::env::var("SLUICE_FUZZ_SEEDS").expect("SLUICE_FUZZ_SEEDS names a folder");
        for (number, seed) in (TARGET.seeds)().into_iter().enumerate() {
            std::fs::write(format!("{folder}/seed-{number}"), seed).expect("a folder to write to");
        }
    },
    |data: &[u8]| (TARGET.run)(data)
);
