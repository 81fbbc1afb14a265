//! 参照模型的试探：六条规则逐条直写。
//!
//! Probing in the reference model: the six rules, one by one.

use super::{Lease, Model, count, leaves_at};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Lead,
    Beyond,
}

#[derive(Clone, Copy, PartialEq)]
enum Lead {
    Due,
    Out,
    Accepted,
}

/// What is believed since the first refusal.
#[derive(Clone)]
pub(super) struct Learnt {
    pub(super) ceiling: u64,
    lead: Lead,
    /// 0 once a second refusal proved a rule.
    pub(super) round: u64,
    left: u64,
    pub(super) pace: u64,
    pace_at: u64,
    refused_at: u64,
    pub(super) forget_at: u64,
}

/// May go freely, may go as a probe, may not go.
pub(super) enum Way {
    Open,
    Probe(Kind),
    Shut,
}

impl Model {
    /// Requests in the window at `at` that the upstream did not refuse.
    pub(super) fn taken_on(&self, at: u64) -> u64 {
        let held = self.charges.iter().filter(|c| leaves_at(c.at) > at);
        held.filter(|c| !c.refused).map(|c| c.requests).sum()
    }

    pub(super) fn way(&self, at: u64) -> Way {
        let Some(learnt) = &self.probe else {
            return Way::Open;
        };
        if at >= learnt.forget_at {
            return Way::Open;
        }
        let beyond = if learnt.round == 0 {
            at >= learnt.pace_at
        } else {
            learnt.left > 0
        };
        match learnt.lead {
            Lead::Due => Way::Probe(Kind::Lead),
            Lead::Accepted if self.taken_on(at) < learnt.ceiling => Way::Open,
            Lead::Accepted if beyond => Way::Probe(Kind::Beyond),
            Lead::Out | Lead::Accepted => Way::Shut,
        }
    }

    /// Instants at which the way may open.
    pub(super) fn openings(&self) -> Vec<u64> {
        let learnt = self.probe.iter();
        learnt.flat_map(|l| [l.pace_at, l.forget_at]).collect()
    }

    /// What the window takes as far as it has been found out.
    pub(super) fn found_out(&self) -> Option<u64> {
        let learnt = self.probe.as_ref().filter(|l| l.round == 0)?;
        Some(learnt.ceiling + super::CYCLE / learnt.pace)
    }

    /// A request goes that fits since `at`.
    pub(super) fn probe_granted(&mut self, at: u64) -> Option<Kind> {
        let Way::Probe(kind) = self.way(at) else {
            return None;
        };
        let learnt = self.probe.as_mut().unwrap();
        match kind {
            Kind::Lead => learnt.lead = Lead::Out,
            Kind::Beyond => learnt.left = learnt.left.saturating_sub(1),
        }
        learnt.pace_at = self.now + learnt.pace;
        Some(kind)
    }

    /// Probes whose answer still matters, with the instant at which silence means yes.
    pub(super) fn silences(&self) -> Vec<(u64, Lease)> {
        let Some(learnt) = &self.probe else {
            return Vec::new();
        };
        let mut probes: Vec<(u64, Lease)> = self
            .leases
            .iter()
            .filter(|l| l.probe.is_some() && l.granted_at > learnt.refused_at)
            .map(|l| (l.granted_at + 1_000, l.clone()))
            .collect();
        probes.sort_by_key(|(at, lease)| (*at, lease.ticket.clone()));
        probes
    }

    /// Takes the probe's mark away. True if its answer still mattered.
    fn unmark(&mut self, lease: &Lease) -> bool {
        let silences = self.silences();
        for held in &mut self.leases {
            if held.serial == lease.serial {
                held.probe = None;
            }
        }
        silences.iter().any(|(_, l)| l.serial == lease.serial)
    }

    /// The upstream took it on.
    pub(super) fn heard(&mut self, lease: &Lease) {
        if !self.unmark(lease) {
            return;
        }
        let others = count(&self.silences());
        let learnt = self.probe.as_mut().unwrap();
        match (lease.probe.unwrap(), learnt.round) {
            (Kind::Lead, round) => {
                learnt.lead = Lead::Accepted;
                learnt.left = round;
            }
            (Kind::Beyond, 0) => learnt.pace -= 1.max(learnt.pace / 32),
            (Kind::Beyond, _) if learnt.left == 0 && others == 0 => {
                learnt.round *= 2;
                learnt.left = learnt.round;
            }
            (Kind::Beyond, _) => {}
        }
        if learnt.round > 64 || (learnt.round == 0 && learnt.pace < 10) {
            self.probe = None;
        }
    }

    /// It never reached the upstream.
    pub(super) fn not_heard(&mut self, lease: &Lease) {
        if !self.unmark(lease) {
            return;
        }
        let learnt = self.probe.as_mut().unwrap();
        match lease.probe.unwrap() {
            Kind::Lead => learnt.lead = Lead::Due,
            Kind::Beyond if learnt.round > 0 => learnt.left += 1,
            Kind::Beyond => {}
        }
    }

    pub(super) fn refused_by_upstream(&mut self, lease: Option<Lease>, pause: u64) {
        let now = self.now;
        let until = now + pause.clamp(1, super::HOUR);
        self.paused_until = self.paused_until.max(until);
        let until = self.paused_until;
        if let Some(lease) = &lease {
            let held = self.charges.iter_mut();
            for charge in held.filter(|c| c.lease == Some(lease.serial)) {
                charge.refused = true;
                charge.tokens = 0;
            }
        }
        let taken_on = self.taken_on(now).max(1);
        let before = self.probe.take();
        let forget_at = before.as_ref().map_or(0, |l| l.forget_at);
        let mut learnt = before.clone().unwrap_or(Learnt {
            ceiling: taken_on,
            lead: Lead::Due,
            round: 1,
            left: 0,
            pace: 0,
            pace_at: now,
            refused_at: now,
            forget_at,
        });
        learnt.ceiling = learnt.ceiling.min(taken_on);
        learnt.lead = Lead::Due;
        learnt.left = 0;
        learnt.forget_at = forget_at.max(until + 600_000);
        if let Some(lease) = lease
            && lease.granted_at > learnt.refused_at
        {
            let pace = match learnt.round {
                0 => learnt.pace + learnt.pace / 4,
                _ => until - lease.granted_at.max(now - 1_000),
            };
            learnt.pace = pace.clamp(10, 300_000);
            learnt.round = 0;
        }
        learnt.refused_at = now;
        self.probe = Some(learnt);
    }

    pub(super) fn forget(&mut self, at: u64) {
        self.probe = self.probe.take().filter(|learnt| learnt.forget_at > at);
    }

    /// After a crash a lead that nobody remembers is sent again.
    pub(super) fn lead_again(&mut self) {
        let nobody = self.silences().is_empty();
        if let Some(learnt) = &mut self.probe
            && learnt.lead == Lead::Out
            && nobody
        {
            learnt.lead = Lead::Due;
        }
    }
}
