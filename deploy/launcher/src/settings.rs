//! 启动器自己的设置：地址、状态目录、必需的机密。
//!
//! Owns which variables the launcher itself reads and what they may be. The gateway's own variables pass through
//! unread, but for the two without which it could serve nobody. A message names a variable, never its value's secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

const PORT_DEFAULT: u16 = 8787;
/// Without them no server can be configured or used: nobody wants to find that out later.
const REQUIRED: [&str; 2] = ["ADMIN_TOKEN", "ENCRYPTION_KEY"];

/// What a run needs to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where the gateway listens; port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// Absolute path of the directory of the database and of the objects.
    pub(crate) state: PathBuf,
    /// Whether servers may lie in private networks.
    pub(crate) private_upstreams: bool,
}

/// Where the gateway listens.
pub(crate) fn address(lookup: impl Fn(&str) -> Option<String>) -> Result<SocketAddr, String> {
    let host = value(&lookup, "HOST").unwrap_or_else(|| Ipv4Addr::LOCALHOST.to_string());
    let ip: IpAddr = host.parse().map_err(|_| {
        format!("HOST is {host}; it must be an address such as 127.0.0.1 or 0.0.0.0")
    })?;
    let port = value(&lookup, "PORT").map_or(Ok(PORT_DEFAULT), |port| {
        port.parse()
            .map_err(|_| format!("PORT is {port}; it must be a number from 0 to 65535"))
    })?;
    Ok(SocketAddr::new(ip, port))
}

/// Where a client of this machine reaches what listens there.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// All settings of a run.
pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let address = address(&lookup)?;
    let state = value(&lookup, "STATE")
        .or_else(|| value(&lookup, "STATE_DIRECTORY"))
        .ok_or("STATE is not set; it names the directory in which the gateway keeps its state")?;
    let state = PathBuf::from(state);
    if !state.is_absolute() {
        return Err(format!(
            "STATE is {}; it must be an absolute path",
            state.display()
        ));
    }
    for name in REQUIRED {
        if value(&lookup, name).is_none() {
            return Err(format!("{name} is not set; `sluice secrets` makes one"));
        }
    }
    let private_upstreams = value(&lookup, "ALLOW_PRIVATE_UPSTREAM")
        .is_some_and(|value| value == "true" || value == "1");
    Ok(Settings {
        address,
        state,
        private_upstreams,
    })
}

fn value(lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let value = lookup(name)?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    const WHOLE: [(&str, &str); 3] = [
        ("STATE_DIRECTORY", "/var/lib/sluice"),
        ("ADMIN_TOKEN", "t"),
        ("ENCRYPTION_KEY", "k"),
    ];

    #[test]
    fn defaults_are_this_machine_only_and_port_8787() {
        let settings = read(lookup(&WHOLE)).unwrap();
        assert_eq!(settings.address, "127.0.0.1:8787".parse().unwrap());
        assert_eq!(settings.state, PathBuf::from("/var/lib/sluice"));
        assert!(!settings.private_upstreams);
    }

    #[test]
    fn a_state_of_ones_own_goes_before_that_of_systemd() {
        let pairs = [&[("STATE", "/data")], &WHOLE[..]].concat();
        assert_eq!(read(lookup(&pairs)).unwrap().state, PathBuf::from("/data"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_empty_counts_as_missing() {
        for (pair, name) in [
            (("STATE_DIRECTORY", ""), "STATE"),
            (("STATE", "relative"), "STATE"),
            (("ADMIN_TOKEN", "  "), "ADMIN_TOKEN"),
            (("ENCRYPTION_KEY", ""), "ENCRYPTION_KEY"),
            (("HOST", "localhost"), "HOST"),
            (("PORT", "65536"), "PORT"),
        ] {
            let pairs = [&[pair], &WHOLE[..]].concat();
            assert!(
                read(lookup(&pairs)).unwrap_err().starts_with(name),
                "{name}"
            );
        }
    }

    #[test]
    fn private_upstreams_are_on_by_the_gateways_own_words_only() {
        for (word, on) in [
            ("true", true),
            (" 1 ", true),
            ("yes", false),
            ("false", false),
        ] {
            let pairs = [&[("ALLOW_PRIVATE_UPSTREAM", word)], &WHOLE[..]].concat();
            assert_eq!(
                read(lookup(&pairs)).unwrap().private_upstreams,
                on,
                "{word}"
            );
        }
    }

    #[test]
    fn who_listens_everywhere_is_reached_on_this_machine() {
        for (listens, reached) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(
                reachable(listens.parse().unwrap()),
                reached.parse().unwrap()
            );
        }
    }
}
