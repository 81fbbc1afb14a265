//! 定时任务：执行用量汇总与日志保留的计划。
//!
//! Carries out one run of [`gateway::rollup`], batch by batch. What fails is logged and left to the next run:
//! a step that was not answered either happened whole or not at all.

use gateway::rollup::{DoneRow, Run};
use worker::{Env, Result};

use crate::clock::now;
use crate::isolate::Isolate;
use crate::log;
use crate::store::{self, StoreError};

/// One run, once a minute.
pub(crate) async fn run(env: &Env) -> Result<()> {
    let isolate = Isolate::get(env)?;
    let mut run = Run::new(now(), isolate.settings.log_retention_days);
    if let Err(error) = carry_out(&isolate, &mut run).await {
        log::storage_error("usage rollup", &error);
    }
    log::usage_run(&run);
    Ok(())
}

async fn carry_out(isolate: &Isolate, run: &mut Run) -> std::result::Result<(), StoreError> {
    while let Some(step) = run.next(now()) {
        let results = isolate.store.batch(&step).await?;
        let rows: Vec<DoneRow> = store::rows(results.first())?;
        run.done(&rows);
    }
    Ok(())
}
