//! Somebody outside: a second network namespace that is connected to the world as a neighbour on its wire.

use std::process::Command;
use std::time::Duration;

use crate::world::World;

/// Address of the world on the outer wire.
pub const HOST_ADDRESS: &str = "10.77.0.1";
/// Asks a web server, with nothing but bash: `$0` address, `$1` port.
const FETCH: &str = "exec 3<>/dev/tcp/$0/$1 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";

impl World {
    /// Makes the neighbour `outside` (10.77.0.2) and the wire to it.
    pub fn make_outside(&self) {
        self.sh("ip netns add outside
             ip link add wire type veth peer name eth0 netns outside
             ip addr add 10.77.0.1/24 dev wire
             ip link set wire up
             ip -n outside addr add 10.77.0.2/24 dev eth0
             ip -n outside link set eth0 up
             ip -n outside link set lo up");
    }

    /// What the neighbour gets from HTTP; nothing if the connection fails.
    pub fn fetch_from_outside(&self, address: &str, port: u16) -> Option<String> {
        fetch(
            Command::new("ip").args(["netns", "exec", "outside"]),
            address,
            port,
        )
    }

    /// What the world itself gets from HTTP.
    pub fn fetch(&self, address: &str, port: u16) -> Option<String> {
        fetch(&mut Command::new("env"), address, port)
    }

    /// Waits until the neighbour reaches this text through the world's port.
    pub fn wait_reachable(&self, port: u16, text: &str) {
        let what = format!("'{text}' from outside through port {port}");
        self.wait_for(&what, Duration::from_secs(60), || {
            self.fetch_from_outside(HOST_ADDRESS, port)
                .is_some_and(|answer| answer.contains(text))
        });
    }
}

fn fetch(command: &mut Command, address: &str, port: u16) -> Option<String> {
    let port = port.to_string();
    let output = command
        .args(["timeout", "3", "bash", "-c", FETCH, address, &port])
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
