//! 规模基准：队列从 10 到 10,000，每个操作的代价应当几乎不变。
//!
//! What one operation costs at queue lengths 10 to 10,000, and what a waiter costs in memory:
//! `cargo bench -p admission`. All lengths are measured in rounds of one run, so their ratio means
//! something on a busy machine; the least of the rounds counts.
//!
//! Invariant: it fails where a cost grows like the length of the queue.
#![expect(
    unsafe_code,
    reason = "an allocator that counts can only be written with unsafe"
)]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "in a benchmark an overflow or a surprise must panic"
)]

use admission::protocol::{Acquire, Limits, Settle, SettleOutcome, TicketId};
use admission::{Acquired, Admission, Event, Instant};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time;

/// Counts the bytes that are allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator; only the sizes are added up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Nanoseconds of one operation at a queue length.
type Measure = fn(u64) -> f64;

const LENGTHS: [u64; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: usize = 9;
const REPEATS: u32 = 500;
/// Growth from 10 to 10,000 that is still logarithmic (a factor of 4) with cold caches; linear
/// growth would be 1,000.
const RATIO_MAX: f64 = 10.0;
const START: u64 = 1_700_000_000_000;

fn main() {
    let operations: [(&str, Measure); 5] = [
        ("acquire, queued", acquire),
        ("cancel", cancel),
        ("settle, next granted", settle),
        ("timeout, one refused", timeout),
        ("write of one change", write),
    ];
    println!("ns an operation       {LENGTHS:>9?}   last : first");
    let mut flat = true;
    for (name, measure) in operations {
        let mut least = LENGTHS.map(|_| f64::MAX);
        for _ in 0..ROUNDS {
            for (least, length) in least.iter_mut().zip(LENGTHS) {
                *least = least.min(measure(length));
            }
        }
        let ratio = least.last().unwrap_or(&0.0) / least.first().unwrap_or(&1.0);
        flat &= ratio < RATIO_MAX;
        let figures: Vec<String> = least.iter().map(|ns| format!("{ns:8.0}")).collect();
        println!("{name:<22} {}   {ratio:5.1}", figures.join(" "));
    }
    memory();
    assert!(flat, "a cost grows with the length of the queue");
}

/// A core whose queue holds so many, with one slot that is taken by `out`.
struct Bench {
    core: Admission,
    now: u64,
    made: u64,
    waiting: VecDeque<TicketId>,
    out: TicketId,
}

impl Bench {
    fn new(length: u64, queue_timeout: Duration) -> Self {
        let mut bench = Self {
            core: Admission::new(),
            now: START,
            made: 0,
            waiting: VecDeque::new(),
            out: ticket(0),
        };
        let limits = Limits {
            version: 1,
            concurrency: Some(1),
            queue_max: 1 << 20,
            queue_timeout,
            lease: Duration::from_hours(24),
            ..Limits::default()
        };
        bench.core.set_limits(limits, Instant::from_millis(START));
        for _ in 0..=length {
            bench.now += 1;
            bench.enter();
        }
        bench.commit();
        bench
    }

    /// One request more; it waits unless it is the first.
    fn enter(&mut self) {
        let request = self.request();
        let ticket = request.ticket.clone();
        let acquired = self.core.acquire(request, Instant::from_millis(self.now));
        if matches!(acquired, Acquired::Queued { .. }) {
            self.waiting.push_back(ticket);
        }
    }

    fn request(&mut self) -> Acquire {
        let ticket = ticket(self.made);
        self.made += 1;
        Acquire {
            ticket,
            app: "app".to_owned(),
            key_id: "key".to_owned(),
            model: "gpt-some-model".to_owned(),
            prompt_bytes: 1_000,
            output_tokens_max: None,
            wait_max: None,
            arrival: None,
            attempt: 0,
            note: String::new(),
            pause: None,
            config_version: 1,
            limits: Limits::default(),
        }
    }

    fn commit(&mut self) {
        let sequence = self.core.take_changes().sequence;
        self.core.committed(sequence);
    }

    /// Repeats `prepare` and `measured`, and returns the nanoseconds of the second alone.
    fn time(
        mut self,
        mut prepare: impl FnMut(&mut Self),
        mut measured: impl FnMut(&mut Self),
    ) -> f64 {
        let mut span = Duration::ZERO;
        for repeat in 0..REPEATS {
            self.now += 1;
            prepare(&mut self);
            let start = time::Instant::now();
            measured(&mut self);
            span += start.elapsed();
            if repeat % 20 == 0 {
                self.commit();
            }
        }
        span.as_secs_f64() * 1e9 / f64::from(REPEATS)
    }
}

fn ticket(number: u64) -> TicketId {
    // As long as the ids that Workers make.
    let text = format!("req-{number:028}");
    TicketId::try_from(text).expect("plain and short")
}

fn acquire(length: u64) -> f64 {
    Bench::new(length, Duration::from_hours(1)).time(
        |bench| {
            let ticket = bench.waiting.pop_back().expect("one waits");
            bench.core.cancel(&ticket, Instant::from_millis(bench.now));
            while bench.core.poll_event().is_some() {}
        },
        Bench::enter,
    )
}

fn cancel(length: u64) -> f64 {
    Bench::new(length, Duration::from_hours(1)).time(Bench::enter, |bench| {
        let ticket = bench.waiting.pop_back().expect("one waits");
        bench.core.cancel(&ticket, Instant::from_millis(bench.now));
        while bench.core.poll_event().is_some() {}
    })
}

fn settle(length: u64) -> f64 {
    Bench::new(length, Duration::from_hours(1)).time(Bench::enter, |bench| {
        let settle = Settle {
            tokens: Some(500),
            ..Settle::new(bench.out.clone(), SettleOutcome::Completed)
        };
        bench.core.settle(&settle, Instant::from_millis(bench.now));
        while let Some(event) = bench.core.poll_event() {
            if let Event::Granted { ticket, .. } = event {
                bench.waiting.pop_front();
                bench.out = ticket;
            }
        }
    })
}

fn timeout(length: u64) -> f64 {
    // Deadlines are apart like the arrivals, so each time exactly one is due.
    Bench::new(length, Duration::from_mins(1)).time(Bench::enter, |bench| {
        let due = bench.core.poll_timeout().expect("somebody waits");
        bench.core.handle_timeout(due);
        while bench.core.poll_event().is_some() {}
        bench.now = bench.now.max(due.as_millis());
    })
}

fn write(length: u64) -> f64 {
    Bench::new(length, Duration::from_hours(1)).time(
        |bench| {
            bench.commit();
            bench.enter();
        },
        Bench::commit,
    )
}

fn memory() {
    let length = 10_000;
    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut bench = Bench::new(length, Duration::from_hours(1));
    // What is the bench's own is no waiter's.
    bench.waiting = VecDeque::new();
    let after = ALLOCATED.load(Ordering::Relaxed);
    let each = (after - before) / usize::try_from(length).expect("it is small");
    println!("memory of a waiter     {each} bytes, of {length}");
    assert_eq!(
        bench.core.live(Instant::from_millis(START)).queue_length,
        length
    );
}
