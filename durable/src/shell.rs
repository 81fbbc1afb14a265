//! 状态机的外壳：每一步之后派发、持久、定时。
//!
//! What the object's calls and its timer share: the core, the parked calls, the storage, one timer.
//!
//! Invariant: after every change of the core its events are delivered, what must be durable before
//! an answer is written, and the timer is armed, before anything else may run ([`Shell::step`]).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::log::print;
use admission::protocol::{
    Acquire, AcquireAnswer, AdmissionFacts, Ask, Batch, Block, Live, Refusal, RefusalReason,
    SentLate, Settle, SettleOutcome, TicketId, Unused,
};
use admission::{
    Acquired, Admission, BUCKET, Commit, Event, GUARD, Instant, Progress, WINDOW, WritePace,
};
use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use gateway::journal::{self, Entry};
use gateway::log::{self, Detail};
use wasm_bindgen_futures::spawn_local;
use worker::{D1Database, Delay, Result, SqlStorage};

use crate::clock::now;
use crate::journal::Journal;
use crate::reentry::{GATHERING, Reentry};
use crate::storage::Storage;
use crate::timer::Timer;
use crate::waiters::Waiters;

/// See the module.
pub(crate) struct Shell {
    admission: RefCell<Admission>,
    waiters: RefCell<Waiters>,
    storage: Storage,
    journal: Journal,
    timer: Timer,
    pace: RefCell<WritePace>,
    write_timer: Timer,
    broken: Cell<bool>,
    reentry: Reentry,
    awaiting_commit: RefCell<Vec<oneshot::Sender<()>>>,
    on_broken: Box<dyn Fn(&str)>,
    durable: Durable,
    set_alarm: SetAlarm,
}

/// Sets the alarm, and says if that fails.
type SetAlarm = Box<dyn Fn(Duration, Box<dyn FnOnce()>)>;

/// Waits until all writes so far are durable.
type Durable = Box<dyn Fn() -> LocalBoxFuture<'static, Result<()>>>;

/// What became of a call that asked for a permit.
pub(crate) enum Entered {
    /// It has its answer, and what was granted ahead beside it.
    Answered(AcquireAnswer, Option<Box<Block>>),
    /// It is parked.
    Waiting(Waiting),
}

/// A parked call.
pub(crate) struct Waiting {
    pub(crate) ticket: TicketId,
    receiver: oneshot::Receiver<AcquireAnswer>,
}

impl Waiting {
    /// Waits for the answer. A later call with the same ticket takes this one's place.
    pub(crate) async fn answer(self) -> AcquireAnswer {
        self.receiver
            .await
            .unwrap_or_else(|_superseded| refused(RefusalReason::Cancelled))
    }
}

impl Shell {
    /// The shell around what is stored, with a journal of so many rows. `on_broken` throws the instance
    /// away when a write fails: the durable record then says what may have been granted. `durable` waits
    /// until all writes so far are. `set_alarm` sets the object's alarm, which is to call [`Shell::flush`].
    pub(crate) fn restore(
        sql: SqlStorage,
        journal_rows_max: u64,
        on_broken: impl Fn(&str) + 'static,
        durable: impl Fn() -> LocalBoxFuture<'static, Result<()>> + 'static,
        set_alarm: impl Fn(Duration, Box<dyn FnOnce()>) + 'static,
    ) -> Result<Rc<Self>> {
        let storage = Storage::open(sql)?;
        let (state, unreadable) = storage.load()?;
        let now = now();
        let at_rest = state.is_at_rest(now);
        let mut admission = Admission::restore(state, now);
        if unreadable > 0 {
            // What those rows said is over when a whole window has passed.
            let pause = WINDOW.saturating_add(BUCKET).saturating_add(GUARD);
            admission.pause_until(now.saturating_add(pause), now);
            let rows = u64::try_from(unreadable).unwrap_or(u64::MAX);
            print(&log::Event::LimiterRowsUnreadable { rows });
        }
        let journal = Journal::open(&storage, journal_rows_max)?;
        let shell = Rc::new(Self {
            admission: RefCell::new(admission),
            waiters: RefCell::default(),
            storage,
            journal,
            timer: Timer::default(),
            pace: RefCell::default(),
            write_timer: Timer::default(),
            broken: Cell::new(false),
            reentry: Reentry::default(),
            awaiting_commit: RefCell::default(),
            on_broken: Box::new(on_broken),
            durable: Box::new(durable),
            set_alarm: Box::new(set_alarm),
        });
        if !at_rest {
            shell.gather();
        }
        shell.step(Admission::handle_timeout);
        shell.arm_alarm();
        Ok(shell)
    }

    fn gather(self: &Rc<Self>) {
        self.reentry.begin();
        let shell = Rc::clone(self);
        spawn_local(async move {
            Delay::from(GATHERING).await;
            for (request, sender) in shell.reentry.end() {
                if let Err(Entered::Answered(AcquireAnswer::Granted(grant), _)) =
                    sender.send(shell.enter_now(request, None))
                {
                    shell.give_back(grant.permit.ticket().clone());
                }
            }
        });
    }

    /// Asks the core for a permit, and for others ahead, and parks the call if it has to wait.
    pub(crate) async fn enter(self: &Rc<Self>, request: Acquire, ask: Option<Ask>) -> Entered {
        let entered = if self.reentry.gathers() {
            let entered = self.reentry.gather(request, now());
            entered
                .await
                .unwrap_or_else(|_reset| Entered::Answered(refused(RefusalReason::Cancelled), None))
        } else {
            self.enter_now(request, ask)
        };
        if let Entered::Answered(answer, _) = &entered {
            self.written_before(answer).await;
        }
        entered
    }

    fn enter_now(self: &Rc<Self>, request: Acquire, ask: Option<Ask>) -> Entered {
        if self.journal.is_full(self.admission.borrow().permits_out()) {
            // What it used could not be noted.
            return Entered::Answered(refused(RefusalReason::Overloaded), None);
        }
        let ticket = request.ticket.clone();
        if request.arrival.is_some() {
            self.journal.withdraw(&ticket);
        }
        let (note, attempt) = (request.note.clone(), request.attempt);
        self.waiters.borrow_mut().supersede(&ticket);
        self.step(|admission, now| match admission.acquire(request, now) {
            Acquired::Granted(grant) => {
                let block = ask.and_then(|ask| self.grant_ahead_in(admission, &ask, now));
                let block = block.map(Box::new);
                Entered::Answered(AcquireAnswer::Granted(grant), block)
            }
            Acquired::Refused(refusal) => {
                let row = journal::refused(&ticket, &note, attempt, &refusal, now);
                self.journal.add(row);
                Entered::Answered(AcquireAnswer::Refused(refusal), None)
            }
            // Parked before the events are delivered: one of them may already be its answer.
            Acquired::Queued { .. } => Entered::Waiting(Waiting {
                receiver: self.waiters.borrow_mut().park(ticket.clone()),
                ticket,
            }),
        })
    }

    /// Takes a ticket whose caller is gone out of the queue.
    pub(crate) fn cancel(self: &Rc<Self>, ticket: &TicketId) {
        self.step(|admission, now| admission.cancel(ticket, now));
    }

    /// Takes a permit back that nobody used.
    pub(crate) fn give_back(self: &Rc<Self>, ticket: TicketId) {
        self.settle(&Settle::new(ticket, SettleOutcome::NotSent));
    }

    /// Ends a permit and notes its row in the same step. False if it is unknown.
    pub(crate) fn settle(self: &Rc<Self>, settle: &Settle) -> bool {
        self.step(|admission, now| self.settle_in(admission, settle, now))
    }

    /// Carries out what an isolate has gathered, in one step; what is unknown is passed over. Then grants
    /// permits ahead, if they are asked for.
    pub(crate) fn carry_out(self: &Rc<Self>, batch: &Batch, ask: Option<Ask>) -> Option<Block> {
        self.step(|admission, now| {
            for ticket in &batch.late {
                let ticket = ticket.clone();
                admission.sent_late(&SentLate { ticket }, now);
            }
            for settle in &batch.settles {
                self.settle_in(admission, settle, now);
            }
            for ticket in &batch.uses {
                admission.used(ticket, now);
            }
            for ticket in batch.unused.iter().flat_map(Unused::tickets) {
                admission.take_back(&ticket, now);
            }
            self.grant_ahead_in(admission, &ask?, now)
        })
    }

    fn grant_ahead_in(&self, admission: &mut Admission, ask: &Ask, now: Instant) -> Option<Block> {
        // Each of them may leave a row.
        let permits = admission.permits_out().saturating_add(ask.count);
        if self.journal.is_full(permits) {
            return None;
        }
        admission.grant_ahead(ask, now)
    }

    fn settle_in(&self, admission: &mut Admission, settle: &Settle, now: Instant) -> bool {
        let ended = admission.settle(settle, now);
        let row = ended.as_ref().and_then(|ended| {
            journal::settled(&settle.ticket, ended, settle.outcome, &settle.note, now)
        });
        self.journal.add(row);
        ended.is_some()
    }

    /// Notes what has come due and moves rows of the journal to D1; the alarm calls it.
    pub(crate) async fn flush(self: &Rc<Self>, db: &D1Database) {
        self.step(Admission::handle_timeout);
        self.written().await;
        if let Err(error) = self.journal.flush(&self.storage, db).await {
            print(&log::Event::JournalFlushFailed {
                rows: self.journal.rows(),
                detail: Detail::new(&error.to_string()),
            });
        }
        self.arm_alarm();
    }

    fn arm_alarm(&self) {
        let lease_end = self.admission.borrow().next_lease_end();
        if let Some(after) = self.journal.alarm(lease_end) {
            (self.set_alarm)(after, Box::new(self.journal.without_alarm()));
        }
    }

    /// Whether a write has failed: nothing that this instance says holds any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The picture now.
    pub(crate) fn live(&self, now: Instant) -> Live {
        Live {
            journal_rows: self.journal.rows(),
            journal_failures: self.journal.failures(),
            ..self.admission.borrow().live(now)
        }
    }

    /// What the requests so far say in sums, encoded.
    pub(crate) fn counters(&self) -> String {
        self.journal.counters().encode()
    }

    /// Where a waiter stands now.
    pub(crate) fn progress(&self, ticket: &TicketId, now: Instant) -> Option<Progress> {
        self.admission.borrow().progress(ticket, now)
    }

    /// One change of the core, with all that follows from it.
    pub(crate) fn step<T>(self: &Rc<Self>, change: impl FnOnce(&mut Admission, Instant) -> T) -> T {
        let now = now();
        let result = change(&mut self.admission.borrow_mut(), now);
        self.deliver(now);
        self.persist(now);
        self.arm(now);
        result
    }

    fn deliver(&self, now: Instant) {
        while let Some(event) = self.next_event() {
            let (ticket, answer) = match event {
                Event::Granted { ticket, grant } => (ticket, AcquireAnswer::Granted(grant)),
                Event::Refused {
                    ticket,
                    refusal,
                    attempt,
                    note,
                } => {
                    let row = journal::refused(&ticket, &note, attempt, &refusal, now);
                    let is_parked = self.waiters.borrow().is_parked(&ticket);
                    let entry = |row| Entry::of_refusal(row, refusal.reason, is_parked, now);
                    self.journal.add(row.map(entry));
                    (ticket, AcquireAnswer::Refused(refusal))
                }
                Event::LeaseExpired { ticket, ended } => {
                    self.journal.add(journal::expired(&ticket, &ended, now));
                    continue;
                }
            };
            let unclaimed = self.waiters.borrow_mut().answer(&ticket, answer);
            if let Some(AcquireAnswer::Granted(_)) = unclaimed {
                let settle = Settle::new(ticket, SettleOutcome::NotSent);
                self.settle_in(&mut self.admission.borrow_mut(), &settle, now);
            }
        }
    }

    fn next_event(&self) -> Option<Event> {
        self.admission.borrow_mut().poll_event()
    }

    /// Notes that something is to be written, and sees to it in time.
    fn persist(self: &Rc<Self>, now: Instant) {
        let needed = match self.admission.borrow().needs_commit() {
            Commit::Nothing if self.journal.is_pending() => Commit::Soon,
            needed => needed,
        };
        self.pace.borrow_mut().asked(needed, now);
        self.write_in_time(now);
    }

    /// Waits until everything so far is written. The platform then holds the answer back until it
    /// is durable.
    pub(crate) async fn written(&self) {
        if self.pace.borrow().is_asked() {
            let (sender, written) = oneshot::channel();
            self.awaiting_commit.borrow_mut().push(sender);
            // Dropped only with the whole instance.
            let _dropped = written.await;
        }
    }

    /// Waits until a permit is written before it is answered: it may be used only when it is durable, or a
    /// crash would leave a request without a row. A refusal waits for its own row, which must not become
    /// another by a crash.
    pub(crate) async fn written_before(self: &Rc<Self>, answer: &AcquireAnswer) {
        if let AcquireAnswer::Refused(_) = answer {
            self.written().await;
            return;
        }
        self.written_now().await;
    }

    /// Waits until everything so far is written, which somebody waits for.
    pub(crate) async fn written_now(self: &Rc<Self>) {
        let now = now();
        self.pace.borrow_mut().permit_waits(now);
        self.write_in_time(now);
        self.written().await;
    }

    fn write_in_time(self: &Rc<Self>, now: Instant) {
        let due = self.pace.borrow().due();
        match due {
            None => {}
            Some(due) if due <= now => self.commit(),
            Some(due) => {
                let shell = Rc::clone(self);
                self.write_timer.arm(due, now, move || {
                    shell.write_timer.fired();
                    shell.write_in_time(crate::clock::now());
                });
            }
        }
    }

    fn commit(self: &Rc<Self>) {
        let changes = self.admission.borrow_mut().take_changes();
        let written = self
            .storage
            .write(&changes)
            .and_then(|()| self.journal.write(&self.storage));
        match written {
            Ok(()) => {
                self.arm_alarm();
                self.admission.borrow_mut().committed(changes.sequence);
                self.pace.borrow_mut().began();
                self.await_durable();
                for waiting in self.awaiting_commit.take() {
                    // A call that is gone needs no word.
                    let _gone = waiting.send(());
                }
            }
            Err(error) => self.write_failed(&error),
        }
    }

    /// Goes on to the next group when this one is durable.
    fn await_durable(self: &Rc<Self>) {
        let shell = Rc::clone(self);
        let durable = (self.durable)();
        spawn_local(async move {
            if let Err(error) = durable.await {
                return shell.write_failed(&error);
            }
            shell.pace.borrow_mut().durable();
            shell.write_in_time(now());
        });
    }

    fn write_failed(&self, error: &worker::Error) {
        let detail = Detail::new(&error.to_string());
        print(&log::Event::LimiterWriteFailed { detail });
        self.broken.set(true);
        (self.on_broken)("a write failed");
    }

    fn arm(self: &Rc<Self>, now: Instant) {
        let next = self.admission.borrow().poll_timeout();
        if let Some(at) = next {
            let shell = Rc::clone(self);
            self.timer.arm(at, now, move || {
                shell.timer.fired();
                shell.step(Admission::handle_timeout);
            });
        }
    }
}

/// What a call hears that the core was not asked about.
fn refused(reason: RefusalReason) -> AcquireAnswer {
    AcquireAnswer::Refused(Refusal {
        reason,
        retry_after: Duration::ZERO,
        admission: AdmissionFacts::default(),
    })
}
