//! Packets: a guest gets its address from the network, and a connection that a hook's own DNAT rule sends to it arrives.
//! The guest and the client outside are namespaces of their own on a virtual cable.

use std::process::{Child, Command, Stdio};

use crate::world::*;
use ferrovirt_hook::Origin;
use ferrovirt_model::network::Network;
use ferrovirt_network::LeaseKind;

/// Somebody with a network namespace of its own, on one end of a cable.
struct Host {
    process: Child,
}

impl Host {
    /// `here` is the end of the cable that stays, `there` the other's.
    fn new(here: &str, there: &str) -> Host {
        let process = Command::new("unshare")
            .args(["-n", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let host = Host { process };
        let pid = host.process.id().to_string();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|ns| ns == own) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        run(
            "ip",
            &["link", "add", here, "type", "veth", "peer", "name", there],
        );
        run("ip", &["link", "set", there, "netns", &pid]);
        run("ip", &["link", "set", here, "up"]);
        host.run(&["ip", "link", "set", "lo", "up"]);
        host.run(&["ip", "link", "set", there, "up"]);
        host
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &self.process.id().to_string(), "-n", "--"])
            .args(words);
        command
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{words:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// What a connection to this address says, if there is one.
    fn connect(&self, ip: &str, port: &str) -> Option<String> {
        let output = self
            .command(&["busybox", "nc", "-w", "3", ip, port])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A child that is ended with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network whose bridge forwards at once.
fn prompt_nat(name: &str, number: u8) -> Network {
    let mut doc = nat(name, number);
    doc.bridge.as_mut().unwrap().stp = Some(false);
    doc
}

/// A guest on network `n1` that asked for its address, and the address that it was given.
async fn guest_with_address(world: &World) -> (Host, String) {
    let guest = Host::new("guest-h", "guest-g");
    guest.run(&["ip", "link", "set", "guest-g", "address", "52:54:00:00:00:77"]);
    run("ip", &["link", "set", "guest-h", "master", "virbr-t1"]);
    let script = world.file("dhcp");
    let text = "#!/bin/sh\n[ \"$1\" != bound ] || { ip addr add $ip/24 dev $interface; ip route add default via $router; \
                echo $ip > $0.ip; }\n";
    std::fs::write(&script, text).unwrap();
    run("chmod", &["755", &script.to_string_lossy()]);
    let client = "busybox udhcpc -i guest-g -n -q -t 20 -T 1 -x hostname:vm1 -s";
    let words: Vec<&str> = client.split(' ').collect();
    guest.run(&[&words[..], &[&script.to_string_lossy()]].concat());
    let ip = std::fs::read_to_string(world.file("dhcp.ip")).unwrap();
    let ip = ip.trim().to_owned();
    assert!(ip.starts_with("192.168.101."), "{ip}");
    // The file that dnsmasq's helper writes
    let file = world.file("state/virbr-t1.status");
    until("the lease is written", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&ip))
    })
    .await;
    (guest, ip)
}

/// Runs a command line without quotes.
fn run_line(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    run(words[0], &words[1..])
}

#[test]
fn r15_a_guest_gets_its_address_and_the_lease_tells() {
    private(
        "traffic::r15_a_guest_gets_its_address_and_the_lease_tells",
        || async {
            let world = World::new();
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = up(&networks, prompt_nat("n1", 1)).await;
            let (_guest, ip) = guest_with_address(&world).await;

            let lease = network.leases(None).await.unwrap().remove(0);
            assert_eq!(
                (lease.ip.as_str(), lease.prefix, lease.kind),
                (ip.as_str(), 24, LeaseKind::Ipv4)
            );
            assert_eq!(
                (lease.mac.as_deref(), lease.hostname.as_deref()),
                (Some("52:54:00:00:00:77"), Some("vm1"))
            );
            assert_eq!(lease.iface, "virbr-t1");
            assert!(lease.expiry > 1_000_000_000);
            let other = Some("52:54:00:00:00:78".parse().unwrap());
            assert!(network.leases(other).await.unwrap().is_empty());
        },
    );
}

#[test]
fn a_connection_that_a_hook_redirects_arrives() {
    private("traffic::a_connection_that_a_hook_redirects_arrives", || async {
        let world = World::new();
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = up(&networks, prompt_nat("n1", 1)).await;
        let (guest, ip) = guest_with_address(&world).await;

        // Somebody outside: the guest reaches it, under the host's address.
        let outside = Host::new("out-h", "out-g");
        run_line("ip addr add 10.99.0.1/24 dev out-h");
        outside.run(&["ip", "addr", "add", "10.99.0.2/24", "dev", "out-g"]);
        guest.run(&["busybox", "ping", "-c", "1", "-W", "3", "10.99.0.2"]);

        // It does not reach the guest by itself, but it does where a hook redirects a port of the host's.
        outside.run(&["ip", "route", "add", "192.168.101.0/24", "via", "10.99.0.1"]);
        let words = "hello from the guest";
        let serve = ["busybox", "nc", "-ll", "-p", "80", "-e", "echo", words];
        let _serving = Background(guest.command(&serve).stdin(Stdio::null()).spawn().unwrap());
        until("the guest serves", || guest.connect("127.0.0.1", "80").is_some()).await;
        assert_eq!(outside.connect(&ip, "80"), None);
        let rule = format!(
            "table ip hooks_own {{\n chain pre {{\n type nat hook prerouting priority dstnat\n tcp dport 8080 dnat to {ip}:80\n \
             }}\n}}\n"
        );
        std::fs::write(world.file("dnat.nft"), rule).unwrap();
        run("nft", &["-f", &world.file("dnat.nft").to_string_lossy()]);
        assert_eq!(outside.connect("10.99.0.1", "8080").as_deref(), Some(words));
        run_line(&format!(
            "iptables -t nat -A PREROUTING -p tcp --dport 8081 -j DNAT --to {ip}:80"
        ));
        assert_eq!(outside.connect("10.99.0.1", "8081").as_deref(), Some(words));

        // The end of the network takes nothing of theirs away.
        network.destroy(Origin::client()).await.unwrap();
        assert!(run("nft", &["list", "ruleset"]).contains("tcp dport 8080 dnat to"));
        assert!(!run("nft", &["list", "tables"]).contains("ferrovirt_"));
    });
}

#[test]
fn networks_are_kept_apart() {
    private("traffic::networks_are_kept_apart", || async {
        let world = World::new();
        let networks = world.daemon();
        networks.load().await.unwrap();
        let mut hosts = Vec::new();
        for number in [1, 2] {
            up(&networks, prompt_nat(&format!("n{number}"), number)).await;
            let (here, there) = (format!("g{number}-h"), format!("g{number}-g"));
            let guest = Host::new(&here, &there);
            run(
                "ip",
                &["link", "set", &here, "master", &format!("virbr-t{number}")],
            );
            guest.run(&[
                "ip",
                "addr",
                "add",
                &format!("192.168.{}.5/24", 100 + number),
                "dev",
                &there,
            ]);
            guest.run(&[
                "ip",
                "route",
                "add",
                "default",
                "via",
                &format!("192.168.{}.1", 100 + number),
            ]);
            hosts.push(guest);
        }
        hosts[0].run(&["busybox", "ping", "-c", "1", "-W", "5", "192.168.101.1"]);
        hosts[1].run(&["busybox", "ping", "-c", "1", "-W", "5", "192.168.102.1"]);
        let across = hosts[0]
            .command(&["busybox", "ping", "-c", "1", "-W", "1", "192.168.102.5"])
            .output()
            .unwrap();
        assert!(
            !across.status.success(),
            "{}",
            String::from_utf8_lossy(&across.stdout)
        );
    });
}
