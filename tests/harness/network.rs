//! Somebody outside: a second network namespace that is connected to the world as a neighbour on its wire.

use std::time::Duration;

use crate::world::World;

/// Address of the world on the outer wire.
pub const HOST_ADDRESS: &str = "10.77.0.1";

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

    /// What the neighbour gets from HTTP on a port of the world; nothing if the connection fails.
    pub fn fetch_from_outside(&self, port: u16) -> Option<String> {
        let command = format!(
            "ip netns exec outside timeout 3 busybox wget -q -O - -T 2 http://{HOST_ADDRESS}:{port}/"
        );
        self.succeeds(&command).then(|| self.try_sh(&command)).flatten()
    }

    /// Waits until the neighbour reaches this text through the world's port.
    pub fn wait_reachable(&self, port: u16, text: &str) {
        let what = format!("'{text}' from outside through port {port}");
        self.wait_for(&what, Duration::from_secs(60), || {
            self.fetch_from_outside(port)
                .is_some_and(|answer| answer.contains(text))
        });
    }

    fn try_sh(&self, command: &str) -> Option<String> {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
