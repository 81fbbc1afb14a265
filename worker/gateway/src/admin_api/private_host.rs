//! 内网主机：只有从里面才够得着的地址与名字。
//!
//! Owns which hosts are not on the public internet, so that a base URL cannot make the gateway talk to what
//! its network hides: other machines, routers, the metadata service of a cloud. Resolves no name: what a name
//! means can change after the check.
//!
//! Invariant: it looks at a host that the WHATWG parser has read, so that no spelling of an address (decimal,
//! octal, short, full-width digits, a dot at the end) is missed.

use core::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// Names below these mean something else in every network (RFC 6761, 6762 with its appendix G, 8375).
const PRIVATE_SUFFIXES: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "home.arpa",
];

/// Networks of IPv4 that are not public, as first address and length of the prefix (RFC 6890).
const PRIVATE_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Networks of IPv6 that are not public.
const PRIVATE_V6: &[(Ipv6Addr, u32)] = &[
    // Link-local, and the site-local of old.
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 9),
    // Unique local.
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    // Multicast.
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    // NAT64 with an operator's own prefix.
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
];

/// Whether the host is this machine: `127.0.0.0/8`, `::1` and `localhost`.
pub(super) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name.as_ref() == "localhost",
    }
}

/// Whether the host lies in somebody's own network. Loopback spelled plainly does not count: see
/// [`is_loopback`].
pub(super) fn is_private<S: AsRef<str>>(host: &Host<S>) -> bool {
    if is_loopback(host) {
        return false;
    }
    match host {
        Host::Ipv4(address) => is_private_v4(*address),
        Host::Ipv6(address) => is_private_v6(*address),
        Host::Domain(name) => is_private_name(name.as_ref()),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    PRIVATE_V4.iter().any(|(network, length)| {
        let mask = u32::MAX
            .checked_shl(u32::BITS.saturating_sub(*length))
            .unwrap_or(0);
        address.to_bits() & mask == network.to_bits()
    })
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let in_network = PRIVATE_V6.iter().any(|(network, length)| {
        let mask = u128::MAX
            .checked_shl(u128::BITS.saturating_sub(*length))
            .unwrap_or(0);
        address.to_bits() & mask == network.to_bits()
    });
    in_network || embedded_v4(address).is_some_and(is_private_v4)
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible (which takes in `::`), translated
/// (RFC 6052), 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let joined = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

/// The name comes in lower case and ASCII. One without a dot means something only inside a network.
fn is_private_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    !name.contains('.')
        || PRIVATE_SUFFIXES.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[track_caller]
    fn host(text: &str) -> Host<String> {
        let url = Url::parse(&format!("https://{text}/v1"));
        let url = url.unwrap_or_else(|error| panic!("{text}: {error}"));
        url.host().unwrap().to_owned()
    }

    #[test]
    fn addresses_of_private_networks_are_seen_in_every_spelling() {
        for text in [
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.192",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // Decimal, hexadecimal, octal, short, mixed, with a dot at the end.
            "167772161",
            "2852039166",
            "0xa9fea9fe",
            "0XA9.0xFE.0xA9.0xFE",
            "012.0.0.1",
            "0251.0376.0251.0376",
            "10.1",
            "192.168.257",
            "0xa.1",
            "0",
            "10.0.0.1.",
            "%31%30.0.0.1",
            // Full-width and circled digits, ideographic full stops.
            "\u{ff11}\u{ff10}.0.0.1",
            "\u{2460}\u{24ea}\u{3002}0\u{3002}0\u{3002}1",
        ] {
            assert!(is_private(&host(text)), "{text} is {:?}", host(text));
        }
    }

    #[test]
    fn ipv6_addresses_of_private_networks_and_disguised_ipv4_ones_are_seen() {
        for text in [
            "[::]",
            "[::2]",
            "[fe80::1]",
            "[febf::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fdff:ffff::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[0:0:0:0:0:ffff:c0a8:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0.0.0.0]",
            "[::10.0.0.1]",
            "[::ffff:0:10.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::808:808]",
            "[2002:a00:1::1]",
            "[2002:7f00:1::]",
        ] {
            assert!(is_private(&host(text)), "{text}");
        }
    }

    #[test]
    fn names_that_only_a_network_of_ones_own_knows_are_seen() {
        for text in [
            "metadata.google.internal",
            "METADATA.Google.Internal.",
            "printer.local",
            "a.b.localhost",
            "localhost.",
            "nas.lan",
            "router.home.arpa",
            "vllm",
            "vllm.",
            "internal",
            "\u{ff4c}\u{ff4f}\u{ff43}\u{ff41}\u{ff4c}",
            "x.\u{ff49}nternal",
        ] {
            assert!(is_private(&host(text)), "{text} is {:?}", host(text));
        }
    }

    #[test]
    fn public_hosts_and_this_machine_are_not_private() {
        for text in [
            "api.openai.com",
            "api.openai.com.",
            "internal.example.com",
            "local.example",
            "mylocal.example",
            "xn--fsq.example",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "192.0.2.1",
            "[2001:db8::1]",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::8.8.8.8]",
            "[2002:808:808::1]",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "[::1]",
            "localhost",
            "LOCALHOST",
        ] {
            assert!(!is_private(&host(text)), "{text}");
        }
    }
}
