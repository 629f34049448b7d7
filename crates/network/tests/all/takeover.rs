//! What a new daemon makes of what the one before left: networks that are up, that vanished, and what was cut short by
//! a SIGKILL at any moment (R24, R96).

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::world::*;
use ferrovirt_hook::Origin;

/// Says to a process of this program that it is a daemon to be killed: the world's directory, and what to do.
const DAEMON: &str = "FERROVIRT_TEST_DAEMON";

fn dnsmasq_pid(world: &World, name: &str) -> Option<i32> {
    std::fs::read_to_string(world.file(&format!("run/{name}.pid")))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn kill(pid: i32) {
    run("kill", &["-9", &pid.to_string()]);
}

#[test]
fn r24_a_network_that_is_up_is_taken_over_without_a_hook() {
    private(
        "takeover::r24_a_network_that_is_up_is_taken_over_without_a_hook",
        || async {
            let world = World::new();
            world.hook("");
            // Two that live at once would both look after one dnsmasq.
            let mut child = spawn_daemon(&world, "two");
            until("both are up", || world.file("done").exists()).await;
            let _ = child.kill();
            let _ = child.wait();
            let calls = world.calls().len();
            let live = std::fs::read_to_string(world.file("live")).unwrap();
            let pid = dnsmasq_pid(&world, "n1").unwrap();
            // Somebody reloads the host's packet filter.
            run("nft", &["flush", "ruleset"]);

            let networks = world.daemon();
            networks.load().await.unwrap();
            let n1 = networks.by_name("n1").unwrap();
            let n2 = networks.by_name("n2").unwrap();
            assert!(n1.snapshot().active && n1.snapshot().persistent);
            assert!(n2.snapshot().active && !n2.snapshot().persistent);
            assert_eq!(n1.snapshot().to_xml(false), live);
            assert_eq!(dnsmasq_pid(&world, "n1"), Some(pid), "dnsmasq is the same");
            assert!(
                run("nft", &["list", "tables"]).contains("ferrovirt_n1"),
                "the rules are back"
            );
            assert_eq!(world.calls().len(), calls);
            n1.destroy(Origin::client()).await.unwrap();
            n2.destroy(Origin::client()).await.unwrap();
            assert!(networks.by_name("n2").is_none());
            assert_eq!(leftovers(world.path()), "");
        },
    );
}

#[test]
fn r24_a_network_whose_bridge_vanished_gets_stopped() {
    private(
        "takeover::r24_a_network_whose_bridge_vanished_gets_stopped",
        || async {
            let world = World::new();
            world.hook("");
            let networks = world.daemon();
            networks.load().await.unwrap();
            up(&networks, nat("n1", 1)).await;
            run("ip", &["link", "del", "virbr-t1"]);
            let networks = world.daemon();
            networks.load().await.unwrap();
            assert_eq!(world.calls(), ["n1 start", "n1 started", "n1 stopped"]);
            assert!(!networks.by_name("n1").unwrap().snapshot().active);
            assert_eq!(leftovers(world.path()), "");
        },
    );
}

#[test]
fn dnsmasq_is_started_again_when_it_dies() {
    private("takeover::dnsmasq_is_started_again_when_it_dies", || async {
        let world = World::new();
        let networks = world.daemon();
        networks.load().await.unwrap();
        let n1 = up(&networks, nat("n1", 1)).await;
        let pid = dnsmasq_pid(&world, "n1").unwrap();
        kill(pid);
        until("another dnsmasq", || {
            dnsmasq_pid(&world, "n1").is_some_and(|now| now != pid)
        })
        .await;
        n1.destroy(Origin::client()).await.unwrap();
        assert_eq!(leftovers(world.path()), "");
        // Also one that died while there was no daemon.
        let mut child = spawn_daemon(&world, "start");
        until("it is up", || world.file("done").exists()).await;
        let _ = child.kill();
        let _ = child.wait();
        let pid = dnsmasq_pid(&world, "n1").unwrap();
        kill(pid);
        let networks = world.daemon();
        networks.load().await.unwrap();
        until("another dnsmasq", || {
            dnsmasq_pid(&world, "n1").is_some_and(|now| now != pid)
        })
        .await;
        networks
            .by_name("n1")
            .unwrap()
            .destroy(Origin::client())
            .await
            .unwrap();
        assert_eq!(leftovers(world.path()), "");
    });
}

#[test]
fn ports_are_taken_over_and_claimed_by_their_guests() {
    private(
        "takeover::ports_are_taken_over_and_claimed_by_their_guests",
        || async {
            let world = World::new();
            world.hook("");
            let networks = world.daemon();
            networks.load().await.unwrap();
            let n1 = up(&networks, plain("n1", 1)).await;
            let request = ferrovirt_network::PortRequest {
                uuid: Some("44444444-4444-4444-8444-444444444401".parse().unwrap()),
                owner_name: "g1".to_owned(),
                owner_uuid: "11111111-1111-4111-8111-111111111101".parse().unwrap(),
                mac: "52:54:00:00:00:01".parse().unwrap(),
            };
            let create = async |network: &ferrovirt_network::NetworkHandle| {
                network
                    .create_port(request.clone(), Origin::client(), Default::default(), None)
                    .await
            };
            create(&n1).await.unwrap();
            let networks = world.daemon();
            networks.load().await.unwrap();
            let n1 = networks.by_name("n1").unwrap();
            assert_eq!(n1.snapshot().ports.len(), 1);
            create(&n1).await.unwrap();
            assert!(world.input("port-created").contains("<network connections='1'>"));
            assert!(create(&n1).await.is_err(), "it is claimed");
            n1.destroy(Origin::client()).await.unwrap();
            assert_eq!(world.calls()[4..], ["n1 port-deleted", "n1 stopped"]);
        },
    );
}

/// A daemon in a process of its own, which the test kills. In it, this test does what it is told and never returns.
#[test]
fn the_daemon_that_is_killed() {
    let Ok(orders) = std::env::var(DAEMON) else { return };
    let (root, order) = orders.split_once('|').unwrap();
    let root = PathBuf::from(root);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let networks = daemon(&root);
        networks.load().await.unwrap();
        let network = match networks.by_name("n1") {
            Some(network) => network,
            None => networks.define(nat("n1", 1), Origin::client()).await.unwrap(),
        };
        std::fs::write(root.join("ready"), "").unwrap();
        match order {
            "start" => network.start(Origin::client()).await.unwrap(),
            "two" => {
                network.start(Origin::client()).await.unwrap();
                networks.create(nat("n2", 2), Origin::client()).await.unwrap();
                std::fs::write(root.join("live"), network.snapshot().to_xml(false)).unwrap();
            }
            "destroy" => network.destroy(Origin::client()).await.unwrap(),
            other => panic!("{other}"),
        }
        std::fs::write(root.join("done"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

fn spawn_daemon(world: &World, order: &str) -> Child {
    for file in ["ready", "done"] {
        let _ = std::fs::remove_file(world.file(file));
    }
    Command::new(std::env::current_exe().unwrap())
        .args(["takeover::the_daemon_that_is_killed", "--exact", "--nocapture"])
        .env(DAEMON, format!("{}|{order}", world.path().display()))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a daemon carry out `order` and kills it so long after it began.
async fn cut_short(world: &World, order: &str, after: Duration) {
    let mut child = spawn_daemon(world, order);
    until("the daemon is ready", || world.file("ready").exists()).await;
    tokio::time::sleep(after).await;
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn r96_a_start_that_was_cut_short_anywhere_is_undone() {
    private(
        "takeover::r96_a_start_that_was_cut_short_anywhere_is_undone",
        || async {
            for step in 0..24 {
                let world = World::new();
                world.hook("sleep 0.02");
                cut_short(&world, "start", Duration::from_millis(step * 8)).await;
                let done = world.file("done").exists();
                let networks = world.daemon();
                networks.load().await.unwrap();
                let network = networks.by_name("n1").expect("defined before");
                let calls = world.calls();
                if network.snapshot().active {
                    assert_eq!(calls, ["n1 start", "n1 started"], "step {step}");
                    network.destroy(Origin::client()).await.unwrap();
                } else {
                    assert!(!done, "step {step}: what was acknowledged is there");
                    let expected: &[&str] = match calls.len() {
                        0 => &[],
                        // A script that had only just begun may be ended before it wrote anything.
                        1 => &["n1 stopped"],
                        2 => &["n1 start", "n1 stopped"],
                        _ => &["n1 start", "n1 started", "n1 stopped"],
                    };
                    assert_eq!(calls, expected, "step {step}");
                }
                assert_eq!(leftovers(world.path()), "", "step {step}");
                network.start(Origin::client()).await.unwrap();
                network.destroy(Origin::client()).await.unwrap();
            }
        },
    );
}

#[test]
fn r96_an_end_that_was_cut_short_anywhere_is_finished() {
    private(
        "takeover::r96_an_end_that_was_cut_short_anywhere_is_finished",
        || async {
            for step in 0..12 {
                let world = World::new();
                world.hook("sleep 0.02");
                let mut child = spawn_daemon(&world, "start");
                until("it is up", || world.file("done").exists()).await;
                let _ = child.kill();
                let _ = child.wait();
                cut_short(&world, "destroy", Duration::from_millis(step * 7)).await;
                let networks = world.daemon();
                networks.load().await.unwrap();
                let network = networks.by_name("n1").expect("defined before");
                if network.snapshot().active {
                    network.destroy(Origin::client()).await.unwrap();
                }
                assert_eq!(world.calls()[2], "n1 stopped", "step {step}");
                assert_eq!(leftovers(world.path()), "", "step {step}");
            }
        },
    );
}

#[test]
fn r96_a_hook_that_hangs_when_the_daemon_dies_is_ended() {
    private(
        "takeover::r96_a_hook_that_hangs_when_the_daemon_dies_is_ended",
        || async {
            let world = World::new();
            world.hook("[ $2 != started ] || { echo $$ > $0.pid; sleep 300; }");
            let mut child = spawn_daemon(&world, "start");
            let pid = world.file("hooks/network.pid");
            until("the hook runs", || {
                std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
            })
            .await;
            let _ = child.kill();
            let _ = child.wait();
            let pid = std::fs::read_to_string(&pid).unwrap().trim().to_owned();
            assert!(
                std::path::Path::new("/proc").join(&pid).exists(),
                "the script lives on"
            );
            let networks = world.daemon();
            networks.load().await.unwrap();
            assert!(!std::path::Path::new("/proc").join(&pid).exists(), "it was ended");
            assert_eq!(world.calls(), ["n1 start", "n1 started", "n1 stopped"]);
            assert_eq!(leftovers(world.path()), "");
        },
    );
}
