//! Hooks that run side by side, hang, call back and fail: ports, R90, R91, R95.

use std::time::{Duration, Instant};

use crate::world::*;
use ferrovirt_hook::{Driver, Object, Origin};
use ferrovirt_model::Uuid;
use ferrovirt_network::{NetworkHandle, PortRequest};
use tokio_util::sync::CancellationToken;

fn request(guest: u8) -> PortRequest {
    PortRequest {
        uuid: Some(
            format!("44444444-4444-4444-8444-4444444444{guest:02x}")
                .parse()
                .unwrap(),
        ),
        owner_name: format!("g{guest}"),
        owner_uuid: format!("11111111-1111-4111-8111-1111111111{guest:02x}")
            .parse()
            .unwrap(),
        mac: format!("52:54:00:00:00:{guest:02x}").parse().unwrap(),
    }
}

async fn plug(network: &NetworkHandle, guest: u8) -> Result<Uuid, String> {
    plug_until(network, guest, CancellationToken::new()).await
}

async fn plug_until(network: &NetworkHandle, guest: u8, cancel: CancellationToken) -> Result<Uuid, String> {
    let origin = Origin::client().with(Object::new(Driver::Qemu, format!("g{guest}")));
    let made = network.create_port(request(guest), origin, cancel, None).await;
    made.map(|port| port.uuid).map_err(|error| error.to_string())
}

#[test]
fn r73_r74_ports_are_counted_and_called_for() {
    private("hooks::r73_r74_ports_are_counted_and_called_for", || async {
        let world = World::new();
        world.hook(
            "[ $2 != port-created ] || ! grep -q '<name>g9<' $(dirname $0)/../in-port-created || exit 5",
        );
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = networks.define(plain("n1", 1), Origin::client()).await.unwrap();
        assert_eq!(plug(&network, 1).await.unwrap_err(), "network 'n1' is not active");
        network.start(Origin::client()).await.unwrap();
        let first = plug(&network, 1).await.unwrap();
        assert_eq!(
            world.input("port-created"),
            "<hookData>
  <network connections='1'>
    <name>n1</name>
    <uuid>22222222-2222-4222-8222-222222222201</uuid>
    <bridge name='virbr-t1' stp='on' delay='0'/>
    <mac address='52:54:00:00:01:01'/>
  </network>
  <networkport>
    <uuid>44444444-4444-4444-8444-444444444401</uuid>
    <owner>
      <name>g1</name>
      <uuid>11111111-1111-4111-8111-111111111101</uuid>
    </owner>
    <mac address='52:54:00:00:00:01'/>
    <plug type='network' bridge='virbr-t1'/>
  </networkport>
</hookData>"
        );
        let second = plug(&network, 2).await.unwrap();
        assert!(world.input("port-created").contains("connections='2'"));
        assert!(
            network
                .snapshot()
                .to_xml(false)
                .starts_with("<network connections='2'>\n")
        );
        assert!(world.file(&format!("run/n1/ports/{first}.xml")).is_file());
        assert_eq!(
            plug(&network, 2).await.unwrap_err(),
            format!("network port with UUID {second} already exists")
        );
        // One that the hook refuses does not exist, and nothing is called for it.
        assert!(
            plug(&network, 9)
                .await
                .unwrap_err()
                .contains("unexpected exit status 5")
        );
        assert_eq!(network.snapshot().ports.len(), 2);
        assert!(
            network
                .delete_port(request(9).uuid.unwrap(), Origin::client())
                .await
                .is_err()
        );

        network.delete_port(first, Origin::client()).await.unwrap();
        assert!(world.input("port-deleted").contains("connections='1'"));
        assert!(!world.file(&format!("run/n1/ports/{first}.xml")).exists());
        network.delete_port(second, Origin::client()).await.unwrap();
        assert!(
            world
                .input("port-deleted")
                .starts_with("<hookData>\n  <network>\n")
        );
        let calls = world.calls();
        let ports: Vec<_> = calls.iter().filter(|call| call.contains("port")).collect();
        assert_eq!(ports.len(), 5, "{ports:?}");
    });
}

#[test]
fn r75_ports_that_are_lost_go_before_the_network() {
    private("hooks::r75_ports_that_are_lost_go_before_the_network", || async {
        let world = World::new();
        world.hook("");
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = up(&networks, plain("n1", 1)).await;
        let port = plug(&network, 1).await.unwrap();
        plug(&network, 2).await.unwrap();
        network.destroy(Origin::client()).await.unwrap();
        assert_eq!(
            world.calls()[4..],
            ["n1 port-deleted", "n1 port-deleted", "n1 stopped"]
        );
        assert!(network.delete_port(port, Origin::client()).await.is_err());
        assert_eq!(leftovers(world.path()), "");
    });
}

#[test]
fn r90_hooks_of_two_ports_run_side_by_side_and_reads_do_not_wait() {
    private(
        "hooks::r90_hooks_of_two_ports_run_side_by_side_and_reads_do_not_wait",
        || async {
            let world = World::new();
            // Each port's hook waits until the other's runs, too.
            world.hook(
                "[ $2 = port-created ] || exit 0; echo >> $0.both; n=0; \
             while [ $(wc -l < $0.both) -lt 2 ]; do sleep 0.05; n=$((n+1)); [ $n -lt 100 ] || exit 7; done",
            );
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = up(&networks, plain("n1", 1)).await;
            let other = network.clone();
            let first = tokio::spawn(async move { plug(&other, 1).await });
            until("the first hook runs", || {
                world.file("hooks/network.both").exists()
            })
            .await;
            let since = Instant::now();
            assert!(networks.list()[0].active && network.snapshot().ports.is_empty());
            assert!(since.elapsed() < Duration::from_millis(50));
            plug(&network, 2).await.unwrap();
            first.await.unwrap().unwrap();
            assert_eq!(network.snapshot().ports.len(), 2);
        },
    );
}

#[test]
fn r90_other_networks_do_not_wait_for_this_ones_hook() {
    private(
        "hooks::r90_other_networks_do_not_wait_for_this_ones_hook",
        || async {
            let world = World::new();
            world.hook("[ $1 != slow ] || [ $2 != start ] || sleep 20");
            let networks = world.daemon();
            networks.load().await.unwrap();
            let slow = networks.define(plain("slow", 1), Origin::client()).await.unwrap();
            let starting = slow.clone();
            let start = tokio::spawn(async move { starting.start(Origin::client()).await });
            until("the hook runs", || {
                world.calls().contains(&"slow start".to_owned())
            })
            .await;
            let since = Instant::now();
            let quick = up(&networks, plain("quick", 2)).await;
            assert!(quick.snapshot().active && !slow.snapshot().active);
            assert!(networks.by_uuid(&slow.snapshot().uuid).is_some());
            assert!(since.elapsed() < Duration::from_secs(5));
            slow.destroy(Origin::client()).await.unwrap();
            assert!(start.await.unwrap().is_err());
        },
    );
}

#[test]
fn r95_a_destroy_gets_through_a_hook_that_hangs() {
    private("hooks::r95_a_destroy_gets_through_a_hook_that_hangs", || async {
        for hangs in ["start", "started"] {
            let world = World::new();
            world.hook(&format!("[ $2 != {hangs} ] || sleep 60"));
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = networks.define(nat("n1", 1), Origin::client()).await.unwrap();
            let starting = network.clone();
            let start = tokio::spawn(async move { starting.start(Origin::client()).await });
            until("the hook runs", || world.calls().contains(&format!("n1 {hangs}"))).await;
            let again = text(network.start(Origin::client()).await);
            assert!(again.starts_with("network 'n1' is being started"), "{again}");
            let since = Instant::now();
            network.destroy(Origin::client()).await.unwrap();
            assert!(since.elapsed() < Duration::from_secs(4));
            let said = text(start.await.unwrap());
            assert!(
                said.contains("hooks/network") && said.contains("destroy"),
                "{said}"
            );
            assert_eq!(world.calls().last().unwrap(), "n1 stopped");
            assert!(!network.snapshot().active);
            assert_eq!(leftovers(world.path()), "");
        }
    });
}

#[test]
fn r95_a_stopped_hook_that_hangs_is_named_to_the_second_destroy() {
    private(
        "hooks::r95_a_stopped_hook_that_hangs_is_named_to_the_second_destroy",
        || async {
            let world = World::new();
            world.hook("[ $2 != stopped ] || sleep 3");
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = up(&networks, nat("n1", 1)).await;
            let ending = network.clone();
            let end = tokio::spawn(async move { ending.destroy(Origin::client()).await });
            until("the hook runs", || {
                world.calls().contains(&"n1 stopped".to_owned())
            })
            .await;
            let since = Instant::now();
            let said = text(network.destroy(Origin::client()).await);
            assert!(since.elapsed() < Duration::from_secs(1));
            assert!(
                said.contains("is being stopped: hook ") && said.contains("hooks/network"),
                "{said}"
            );
            assert!(text(network.start(Origin::client()).await).contains("is being stopped"));
            assert!(!device("virbr-t1"), "it is gone, whatever the hook does");
            end.await.unwrap().unwrap();
            network.start(Origin::client()).await.unwrap();
            network.destroy(Origin::client()).await.unwrap();
        },
    );
}

#[test]
fn r95_ports_hooks_are_cancelled_by_their_guest_and_by_the_networks_end() {
    private(
        "hooks::r95_ports_hooks_are_cancelled_by_their_guest_and_by_the_networks_end",
        || async {
            let world = World::new();
            world.hook("[ $2 != port-created ] || sleep 60");
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = up(&networks, plain("n1", 1)).await;
            let cancel = CancellationToken::new();
            let (plugging, token) = (network.clone(), cancel.clone());
            let port = tokio::spawn(async move { plug_until(&plugging, 1, token).await });
            until("the hook runs", || {
                world.calls().contains(&"n1 port-created".to_owned())
            })
            .await;
            cancel.cancel();
            assert!(port.await.unwrap().is_err());
            assert!(network.snapshot().ports.is_empty());
            let plugging = network.clone();
            let port = tokio::spawn(async move { plug(&plugging, 2).await });
            until("the hook runs", || world.calls().len() == 4).await;
            network.destroy(Origin::client()).await.unwrap();
            assert!(port.await.unwrap().is_err());
            assert_eq!(world.calls().last().unwrap(), "n1 stopped");
            assert!(!world.calls().contains(&"n1 port-deleted".to_owned()));
        },
    );
}

#[test]
fn r91_a_network_is_not_changed_from_inside_its_own_hook() {
    private(
        "hooks::r91_a_network_is_not_changed_from_inside_its_own_hook",
        || async {
            let world = World::new();
            world.hook("[ $1 != n1 ] || [ $2 != started ] || { echo $$ > $0.pid; sleep 60; }");
            let (networks, engine) = daemon_with(world.path(), |_| ());
            networks.load().await.unwrap();
            let network = networks.define(plain("n1", 1), Origin::client()).await.unwrap();
            let other = networks.define(plain("n2", 2), Origin::client()).await.unwrap();
            let starting = network.clone();
            let start = tokio::spawn(async move { starting.start(Origin::client()).await });
            let pid = world.file("hooks/network.pid");
            until("the hook runs", || {
                std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
            })
            .await;
            let pid = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
            let origin = engine.origin_of(pid).expect("the process is a hook");
            for said in [
                text(network.destroy(origin.clone()).await),
                text(network.start(origin.clone()).await),
                text(network.undefine(origin.clone()).await),
                text(network.set_autostart(true, origin.clone()).await),
                text(networks.define(plain("n1", 1), origin.clone()).await.map(drop)),
                text(networks.create(plain("n1", 1), origin.clone()).await.map(drop)),
            ] {
                assert!(
                    said.contains("hooks/network (network n1 started begin -)"),
                    "{said}"
                );
            }
            // Reading works, and changing another.
            assert!(network.snapshot().active);
            other.start(origin.clone()).await.unwrap();
            other.destroy(origin).await.unwrap();
            network.destroy(Origin::client()).await.unwrap();
            assert!(start.await.unwrap().is_err());
        },
    );
}
