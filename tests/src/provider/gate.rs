//! 门：测试说开，才走下一步。
//!
//! Owns counted openings by name. A passer waits until an opening is there and
//! uses it up; openings made early are kept, so no order of calls is a race.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// A counted gate between the provider's steps.
#[derive(Clone, Debug)]
pub struct Gate {
    openings: Arc<Semaphore>,
}

impl Gate {
    /// Lets `count` more steps pass.
    pub fn open(&self, count: usize) {
        self.openings.add_permits(count);
    }

    /// Lets every step pass from now on.
    pub fn open_for_good(&self) {
        self.openings.close();
    }

    /// Waits for an opening and uses it up.
    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.openings.acquire().await {
            permit.forget();
        }
    }
}

/// The gates of one provider, made when first named.
#[derive(Debug, Default)]
pub(super) struct Gates {
    by_name: Mutex<HashMap<String, Gate>>,
}

impl Gates {
    pub(super) fn named(&self, name: &str) -> Gate {
        let mut gates = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        gates
            .entry(name.to_owned())
            .or_insert_with(|| Gate {
                openings: Arc::new(Semaphore::new(0)),
            })
            .clone()
    }
}
