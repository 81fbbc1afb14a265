//! 预授的随机操作：要、用、还。
//!
//! Random operations with permits granted ahead: asking for them, now and then twice, using them, giving them
//! back. Core and reference model must agree on each.

use super::Episode;
use super::outsider::Call;
use crate::protocol::{Ask, BlockId, Unused};

impl Episode {
    pub(super) fn grant_ahead(&mut self) -> Call {
        let limits = if self.random.chance(2) || !self.adopted {
            self.random_limits()
        } else {
            self.limits
        };
        let again = self.blocks > 0 && self.random.chance(15);
        let number = if again { self.blocks } else { self.blocks + 1 };
        self.blocks = number;
        let random = &mut self.random;
        let ask = Ask {
            block: BlockId::try_from(format!("b{number}.")).unwrap(),
            count: random.pick(&[1, 4, 12, 32, 64]),
            note: random.pick(&["", "ahead"]).to_owned(),
            model: random.pick(&["a", "a", "b"]).to_owned(),
            prompt_bytes: random.pick(&[0, 1, 400, 2_000]),
            output_tokens_max: random.pick(&[None, Some(0), Some(1), Some(100)]),
            limits,
        };
        self.see(limits);
        let model = self.model.grant_ahead(&ask, self.now);
        let block = self.core.grant_ahead(&ask, self.now);
        assert_eq!(block, model, "answer to {ask:?}");
        let granted = block.is_some();
        let mut grants = Vec::new();
        if let Some(mut block) = block {
            assert!(block.count() <= ask.count);
            while let Some(grant) = block.take() {
                grants.push(grant);
            }
        }
        Call::Ahead(grants, granted)
    }

    pub(super) fn used(&mut self) -> Call {
        let out = self.outsider.out();
        let ticket = self.some_ticket(&out);
        let known = self.core.used(&ticket, self.now);
        assert_eq!(known, self.model.in_use(&ticket, self.now), "{ticket}");
        Call::Other
    }

    /// One permit, of whatever kind; only those granted ahead and unused go back.
    pub(super) fn take_back(&mut self) -> Call {
        let out = self.outsider.out();
        let mut ticket = self.some_ticket(&out);
        if self.blocks > 0 && self.random.chance(70) {
            let block = BlockId::try_from(format!("b{}.", self.blocks)).unwrap();
            let first = self.random.below(20);
            let unused = Unused {
                block,
                first,
                count: 1,
            };
            ticket = unused.tickets().next().unwrap();
        }
        let known = self.core.take_back(&ticket, self.now);
        assert_eq!(known, self.model.take_back(&ticket, self.now), "{ticket}");
        Call::TakenBack(ticket, known)
    }
}
