//! 两个 Worker，同一批限流对象。
//!
//! Owns a workerd that runs the gateway's Worker twice, each with an isolate of its
//! own, before the same objects and the same database: what the platform makes of a
//! busy Worker, or of a deployment that has reached only some of its isolates. Its
//! configuration is the launcher's with one more service, which may have variables
//! of its own; nothing else differs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use tokio::net::{TcpListener, TcpStream};

use super::SOON;
use super::gateway::root;
use super::process::Process;
use super::within;

/// Before the names of the second Worker's own variables in the process's environment.
const OF_SECOND: &str = "SECOND_";

/// Starts it on what the launcher left in this state; the addresses of both Workers. `second` are
/// variables that the second Worker has in place of the first one's, or besides.
pub(super) async fn start(
    state: &Path,
    variables: &BTreeMap<String, String>,
    second: &BTreeMap<String, String>,
) -> (Process, [String; 2]) {
    let run = state.join("run");
    let single = std::fs::read_to_string(run.join("config.capnp"));
    let single = single.expect("the launcher writes its configuration");
    let ports = [free_port().await, free_port().await];
    std::fs::write(run.join("pair.capnp"), doubled(&single, ports, second))
        .expect("it is writable");
    let mut command = Command::new(root().join("node_modules/.bin/workerd"));
    command
        .args(["serve", "--experimental", "pair.capnp", "config"])
        .current_dir(&run)
        .envs(variables)
        .envs(
            second
                .iter()
                .map(|(name, value)| (format!("{OF_SECOND}{name}"), value)),
        );
    let process = Process::start(command);
    within(SOON, "both Workers listen", async {
        for port in ports {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_err()
            {
                tokio::time::sleep(SOON / 400).await;
            }
        }
    })
    .await;
    (
        process,
        ports.map(|port| format!("http://127.0.0.1:{port}")),
    )
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("a loopback port is free").port()
}

/// The configuration with a second service that uses the first one's objects, each on a socket.
fn doubled(single: &str, ports: [u16; 2], own: &BTreeMap<String, String>) -> String {
    const SERVICE: &str = "    (name = \"gateway\", worker = (\n";
    const SOCKET: &str = "    (name = \"http\", address = ";
    let (before, rest) = single.split_once(SERVICE).expect("a service `gateway`");
    let (service, after) = rest.split_once("\n    )),\n").expect("its end");
    let second: Vec<String> = service
        .lines()
        .filter(|line| !line.trim_start().starts_with("durableObject"))
        .filter(|line| !own.keys().any(|name| line.contains(&bound(name, name))))
        .map(of_the_first)
        .map(|line| with_own(line, own))
        .collect();
    let (between, sockets) = after.split_once(SOCKET).expect("a socket `http`");
    let (_, others) = sockets.split_once('\n').expect("more lines");
    let socket = |service: &str, port: u16| {
        format!(
            "    (name = \"{service}\", address = \"127.0.0.1:{port}\", http = (), service = \"{service}\"),\n"
        )
    };
    [
        before,
        SERVICE,
        service,
        "\n    )),\n    (name = \"second\", worker = (\n",
        &second.join("\n"),
        "\n    )),\n",
        between,
        &socket("gateway", ports[0]),
        &socket("second", ports[1]),
        others,
    ]
    .concat()
}

/// The binding of a variable of the environment, up to its end.
fn bound(name: &str, variable: &str) -> String {
    format!("(name = \"{name}\", fromEnvironment = \"{variable}\")")
}

/// The beginning of the list of bindings with those that only the second Worker has.
fn with_own(line: String, own: &BTreeMap<String, String>) -> String {
    if line.trim() != "bindings = [" {
        return line;
    }
    let more = own.keys().map(|name| {
        format!(
            "\n          {},",
            bound(name, &format!("{OF_SECOND}{name}"))
        )
    });
    more.fold(line, |line, binding| line + &binding)
}

/// A binding of objects names the service that they live in, unless they are its own.
fn of_the_first(line: &str) -> String {
    const BINDING: &str = "durableObjectNamespace = \"";
    let Some((before, rest)) = line.split_once(BINDING) else {
        return line.to_owned();
    };
    let (class, after) = rest.split_once('"').expect("a class name in quotes");
    format!(
        "{before}durableObjectNamespace = (className = \"{class}\", serviceName = \"gateway\"){after}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_worker_uses_the_objects_of_the_first() {
        let single = "const config = (\n  services = [\n    (name = \"gateway\", worker = (\n        \
            bindings = [\n          (name = \"L\", durableObjectNamespace = \"Limiter\"),\n        ],\n        \
            durableObjectNamespaces = [],\n        durableObjectStorage = (localDisk = \"storage\"),\n    )),\n  \
            ],\n  sockets = [\n    (name = \"http\", address = \"127.0.0.1:0\", http = (), service = \"gateway\"),\n  ],\n);\n";
        let double = doubled(single, [1, 2], &BTreeMap::new());
        assert_eq!(double.matches("durableObjectStorage").count(), 1);
        assert!(double.contains(
            "durableObjectNamespace = (className = \"Limiter\", serviceName = \"gateway\")),"
        ));
        assert!(double.contains(
            "(name = \"second\", address = \"127.0.0.1:2\", http = (), service = \"second\"),"
        ));
        assert!(!double.contains("127.0.0.1:0"));
    }
    #[test]
    fn second_worker_may_have_variables_of_its_own() {
        let single = "const config = (\n  services = [\n    (name = \"gateway\", worker = (\n        \
            bindings = [\n          (name = \"A\", fromEnvironment = \"A\"),\n          (name = \"B\", fromEnvironment = \"B\"),\n        \
            ],\n    )),\n  ],\n  sockets = [\n    (name = \"http\", address = \"127.0.0.1:0\", http = (), service = \"gateway\"),\n  ],\n);\n";
        let own = ["A", "C"].map(|name| (name.to_owned(), "value".to_owned()));
        let double = doubled(single, [1, 2], &own.into());
        let (_, second) = double
            .split_once("(name = \"second\"")
            .expect("a second service");
        for (binding, count) in [
            (bound("A", "A"), 0),
            (bound("A", "SECOND_A"), 1),
            (bound("B", "B"), 1),
            (bound("C", "SECOND_C"), 1),
        ] {
            assert_eq!(second.matches(&binding).count(), count, "{binding}");
        }
        assert!(!double.contains("value"), "values stay in the environment");
    }
}
