//! 错误凭据的计数：每个地址每分钟几次，超过就等。
//!
//! Owns how many wrong credentials one client address may send in 60 s, and the message in which a Worker
//! tells one object of them: isolates are many, and a count of each of them would multiply the limit. Does
//! not know which credential was wrong, and keeps nothing on disk: what is forgotten with an idle object is
//! at most a minute of counting.
//!
//! Invariant: at most [`ADDRESSES_LEN_MAX`] addresses are kept, each with at most as many instants as the
//! limit has attempts.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use admission::time::Instant;

use crate::error::{ErrorCode, GatewayError};

/// What the limit is per.
pub const WINDOW: Duration = Duration::from_mins(1);

/// Addresses that are told apart. Of more, the one that was wrong longest ago is forgotten.
pub const ADDRESSES_LEN_MAX: usize = 10_000;

/// Among how many objects the addresses are spread: one alone would be a bottleneck under attack.
const OBJECTS: u64 = 64;

/// The client's address where the platform does not tell it: everybody then shares one count.
const UNKNOWN: &str = "unknown";

/// A client's address, as far as it is told apart: an IPv4 address or the /64 of an IPv6 one, which one
/// customer usually has to himself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// From the header in which Cloudflare's edge tells it (`cf-connecting-ip`).
    #[must_use]
    pub fn of(connecting_ip: Option<&str>) -> Self {
        let address = connecting_ip.and_then(|text| text.trim().parse::<IpAddr>().ok());
        Self(match address.map(|address| address.to_canonical()) {
            None => UNKNOWN.to_owned(),
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}")
            }
        })
    }

    /// Name of the object that counts for this address.
    #[must_use]
    pub fn object(&self) -> String {
        // FNV-1a: spreads well, and an attacker gains nothing from hitting one object.
        let hash = self
            .0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("sign-in-{}", hash.checked_rem(OBJECTS).unwrap_or(0))
    }
}

/// What a Worker tells the object: a wrong credential, or only the question how things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whose.
    pub address: Address,
    /// How many wrong ones a minute are let through.
    pub limit: u32,
    /// Whether this one was wrong.
    pub wrong: bool,
}

impl Attempt {
    /// The message as one line: limit, verdict and address, none of which contains a comma.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{},{},{}", self.limit, u8::from(self.wrong), self.address.0)
    }

    /// Reads a line; `None` for what [`Attempt::encode`] does not write.
    #[must_use]
    pub fn decode(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ',');
        let limit = parts.next()?.parse().ok()?;
        let wrong = match parts.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let address = parts.next().filter(|text| text.len() <= 64)?;
        Some(Self {
            address: Address(address.to_owned()),
            limit,
            wrong,
        })
    }
}

/// The object's answer as one line: until when the address is refused.
#[must_use]
pub fn encode_verdict(refused_until: Option<Instant>) -> String {
    refused_until.map_or(0, Instant::as_millis).to_string()
}

/// Reads the object's answer. What cannot be read refuses nobody.
#[must_use]
pub fn decode_verdict(line: &str) -> Option<Instant> {
    let millis: u64 = line.parse().ok()?;
    (millis > 0).then(|| Instant::from_millis(millis))
}

/// Wrong credentials of the last minute, by address.
#[derive(Debug, Default)]
pub struct Attempts {
    wrong: BTreeMap<Address, VecDeque<Instant>>,
}

impl Attempts {
    /// Counts the attempt if it was wrong. Returns until when the address is refused, if it is.
    pub fn see(&mut self, attempt: &Attempt, now: Instant) -> Option<Instant> {
        let limit = usize::try_from(attempt.limit).unwrap_or(usize::MAX).max(1);
        if attempt.wrong {
            self.make_room(&attempt.address);
            let wrong = self.wrong.entry(attempt.address.clone()).or_default();
            wrong.push_back(now);
            while wrong.len() > limit {
                wrong.pop_front();
            }
        }
        let wrong = self.wrong.get_mut(&attempt.address)?;
        while wrong
            .front()
            .is_some_and(|first| first.saturating_add(WINDOW) <= now)
        {
            wrong.pop_front();
        }
        let refused_until = (wrong.len() >= limit)
            .then(|| wrong.front().copied())
            .flatten()
            .map(|first| first.saturating_add(WINDOW));
        if wrong.is_empty() {
            self.wrong.remove(&attempt.address);
        }
        refused_until
    }

    fn make_room(&mut self, address: &Address) {
        if self.wrong.len() < ADDRESSES_LEN_MAX || self.wrong.contains_key(address) {
            return;
        }
        let longest_ago = self.wrong.iter().min_by_key(|(_, wrong)| wrong.back());
        if let Some(address) = longest_ago.map(|(address, _)| address.clone()) {
            self.wrong.remove(&address);
        }
    }
}

/// Addresses that this isolate knows to be refused: their requests cost no call.
#[derive(Debug, Default)]
pub struct Refused {
    until: BTreeMap<Address, Instant>,
}

impl Refused {
    /// Notes what the object said.
    pub fn note(&mut self, address: &Address, until: Instant, now: Instant) {
        self.until.retain(|_, until| *until > now);
        if self.until.len() < ADDRESSES_LEN_MAX {
            self.until.insert(address.clone(), until);
        }
    }

    /// Fails while the address is refused.
    pub fn check(&self, address: &Address, now: Instant) -> Result<(), GatewayError> {
        match self.until.get(address).filter(|until| **until > now) {
            None => Ok(()),
            Some(until) => Err(too_many_attempts(until.saturating_since(now))),
        }
    }
}

/// The answer to an address that has sent too many wrong credentials, whatever it sends now.
fn too_many_attempts(wait: Duration) -> GatewayError {
    GatewayError::new(
        ErrorCode::TooManyAttempts,
        "Too many wrong credentials came from this address; wait before the next attempt.",
    )
    .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(1_000_000).saturating_add(Duration::from_secs(seconds))
    }

    fn attempt(address: &str, wrong: bool) -> Attempt {
        Attempt {
            address: Address::of(Some(address)),
            limit: 3,
            wrong,
        }
    }

    #[test]
    fn an_address_is_refused_from_its_last_allowed_mistake_until_the_first_is_a_minute_old() {
        let mut attempts = Attempts::default();
        let wrong = attempt("192.0.2.1", true);
        assert_eq!(attempts.see(&wrong, at(0)), None);
        assert_eq!(attempts.see(&wrong, at(10)), None);
        assert_eq!(attempts.see(&wrong, at(20)), Some(at(60)));
        let asked = attempt("192.0.2.1", false);
        assert_eq!(attempts.see(&asked, at(59)), Some(at(60)));
        assert_eq!(attempts.see(&asked, at(60)), None);
        assert_eq!(attempts.see(&wrong, at(61)), Some(at(70)));
        assert_eq!(attempts.see(&attempt("192.0.2.2", false), at(61)), None);
    }

    #[test]
    fn questions_cost_nothing_and_old_mistakes_are_forgotten() {
        let mut attempts = Attempts::default();
        for _ in 0..10 {
            assert_eq!(attempts.see(&attempt("192.0.2.1", false), at(0)), None);
        }
        attempts.see(&attempt("192.0.2.1", true), at(0));
        attempts.see(&attempt("192.0.2.1", false), at(60));
        assert!(attempts.wrong.is_empty());
    }

    #[test]
    fn of_too_many_addresses_the_one_that_was_wrong_longest_ago_is_forgotten() {
        let mut attempts = Attempts::default();
        for number in 0..=ADDRESSES_LEN_MAX {
            let [.., c, d] = u32::try_from(number).unwrap().to_be_bytes();
            let address = format!("10.0.{c}.{d}");
            attempts.see(
                &attempt(&address, true),
                at(0).saturating_add(Duration::from_millis(number as u64)),
            );
        }
        assert_eq!(attempts.wrong.len(), ADDRESSES_LEN_MAX);
        assert!(!attempts.wrong.contains_key(&Address::of(Some("10.0.0.0"))));
    }

    #[test]
    fn addresses_are_ipv4_or_the_network_of_ipv6_and_everything_else_is_one() {
        let of = |text| Address::of(Some(text)).0;
        assert_eq!(of(" 192.0.2.1 "), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2");
        assert_eq!(of("2001:db8:1:2::9"), "2001:db8:1:2");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1, 10.0.0.1"), "unknown");
        assert_eq!(Address::of(None).0, "unknown");
    }

    #[test]
    fn addresses_are_spread_over_all_objects() {
        let objects: std::collections::BTreeSet<String> = (0..=255_u8)
            .flat_map(|c| (0..=3_u8).map(move |d| format!("198.51.{c}.{d}")))
            .map(|address| Address::of(Some(&address)).object())
            .collect();
        assert_eq!(objects.len() as u64, OBJECTS);
    }

    #[test]
    fn messages_read_back() {
        let sent = attempt("2001:db8::1", true);
        assert_eq!(Attempt::decode(&sent.encode()), Some(sent));
        for bad in ["", "3", "3,2,a", "x,1,a", "3,1"] {
            assert_eq!(Attempt::decode(bad), None, "{bad}");
        }
        assert_eq!(Attempt::decode(&format!("3,1,{}", "x".repeat(65))), None);
        assert_eq!(decode_verdict(&encode_verdict(Some(at(1)))), Some(at(1)));
        assert_eq!(decode_verdict(&encode_verdict(None)), None);
        assert_eq!(decode_verdict("?"), None);
    }

    #[test]
    fn a_refused_address_is_told_when_to_come_back_and_let_in_then() {
        let mut refused = Refused::default();
        let address = Address::of(Some("192.0.2.1"));
        refused.note(&address, at(60), at(20));
        let error = refused.check(&address, at(30)).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooManyAttempts);
        assert_eq!(error.retry_after, Some(Duration::from_secs(30)));
        assert!(refused.check(&address, at(60)).is_ok());
        assert!(refused.check(&Address::of(None), at(30)).is_ok());
    }
}
