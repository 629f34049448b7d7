//! The life of a network, with real bridges, dnsmasq and nft, in private network namespaces.

use crate::world::*;
use ferrovirt_hook::Origin;
use ferrovirt_network::Autostart;

#[test]
fn r70_r71_r72_a_nat_network_from_define_to_undefine() {
    private(
        "life::r70_r71_r72_a_nat_network_from_define_to_undefine",
        || async {
            let world = World::new();
            world.hook("");
            let networks = world.daemon();
            networks.load().await.unwrap();
            let network = up(&networks, nat("n1", 1)).await;
            let shown = run("ip", &["-d", "addr", "show", "virbr-t1"]);
            assert!(shown.contains("192.168.101.1/24 brd 192.168.101.255"), "{shown}");
            assert!(
                shown.contains("52:54:00:00:01:01") && shown.contains("stp_state 1"),
                "{shown}"
            );
            let rules = run("nft", &["list", "ruleset"]);
            assert!(rules.contains("table ip ferrovirt_n1"), "{rules}");
            assert!(rules.contains("ct status dnat accept"), "{rules}");
            assert!(run("ss", &["-lun"]).contains(":67 "), "dnsmasq serves DHCP");
            assert_eq!(
                std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
                    .unwrap()
                    .trim(),
                "1"
            );
            assert!(
                world.input("start").contains("<forward mode='nat'/>"),
                "before completion"
            );
            assert!(
                world
                    .input("started")
                    .contains("<port start='1024' end='65535'/>"),
                "completed"
            );
            assert!(!world.input("started").ends_with('\n'));
            let status = std::fs::read_to_string(world.file("run/n1.xml")).unwrap();
            assert!(
                status.contains("<networkstatus>") && status.contains("phase='active'"),
                "{status}"
            );
            assert!(network.snapshot().active);
            assert_eq!(
                text(network.start(Origin::client()).await),
                "network is already active"
            );
            network.destroy(Origin::client()).await.unwrap();
            assert_eq!(leftovers(world.path()), "");
            assert_eq!(
                text(network.destroy(Origin::client()).await),
                "network 'n1' is not active"
            );
            assert_eq!(world.calls(), ["n1 start", "n1 started", "n1 stopped"]);
            network.undefine(Origin::client()).await.unwrap();
            assert!(networks.by_name("n1").is_none());
            assert!(!world.file("etc/n1.xml").exists());
        },
    );
}

/// A number and what makes the network different.
const KINDS: [(u8, &str); 9] = [
    (1, "<forward mode='route'/><ip address='10.1.0.1' prefix='24'/>"),
    (
        2,
        "<forward mode='open'/><ip address='10.2.0.1' prefix='24'><dhcp><range start='10.2.0.2' end='10.2.0.9'/></dhcp></ip>",
    ),
    (
        3,
        "<bridge stp='off' delay='3'/><mtu size='1400'/><ip address='10.3.0.1' prefix='24'/>",
    ),
    (
        4,
        "<ip family='ipv6' address='fd04::1' prefix='64'><dhcp><range start='fd04::10' end='fd04::1f'/></dhcp></ip>",
    ),
    (
        5,
        "<forward mode='nat'><nat ipv6='yes'><address start='192.0.2.1' end='192.0.2.4'/><port start='500' end='600'/></nat></forward><ip address='10.5.0.1' prefix='24'/><ip family='ipv6' address='fd05::1' prefix='64'/>",
    ),
    (6, "<forward mode='bridge'/><bridge name='br0'/>"),
    (
        7,
        "<dns enable='no'/><ip address='10.7.0.1' prefix='24'/><route address='10.70.0.0' prefix='16' gateway='10.7.0.9' metric='5'/>",
    ),
    (
        8,
        "<forward mode='nat' dev='eth9'/><domain name='lab.test' localOnly='yes'/><dns forwardPlainNames='no'><forwarder domain='x.test' addr='192.0.2.53'/><txt name='a' value='b, &quot;c&quot;'/><srv service='s' protocol='tcp' domain='lab.test' target='.' port='5'/><host ip='10.8.0.3'><hostname>h</hostname></host></dns><ip address='10.8.0.1' prefix='24' localPtr='yes'><dhcp><range start='10.8.0.9' end='10.8.0.19'><lease expiry='0'/></range><host mac='52:54:00:00:00:09' name='h' ip='10.8.0.3'/></dhcp></ip>",
    ),
    (9, ""),
];

#[test]
fn all_kinds_of_networks_come_up_and_leave_nothing() {
    private(
        "life::all_kinds_of_networks_come_up_and_leave_nothing",
        || async {
            let world = World::new();
            let networks = world.daemon();
            networks.load().await.unwrap();
            run("ip", &["link", "add", "br0", "type", "bridge"]);
            let uuid = |n: u8| format!("<uuid>22222222-2222-4222-8222-2222222222{n:02x}</uuid>");
            for (number, body) in KINDS {
                let doc = document(&format!(
                    "<network ipv6='yes'><name>kind {number}</name>{}{body}</network>",
                    uuid(number)
                ));
                let network = networks
                    .create(doc, Origin::client())
                    .await
                    .unwrap_or_else(|e| panic!("{body}: {e}"));
                let snapshot = network.snapshot();
                assert!(snapshot.active && !snapshot.persistent);
                let bridge = snapshot.bridge.clone().unwrap();
                assert!(device(&bridge));
                if number == 3 {
                    let shown = run("ip", &["-d", "link", "show", &bridge]);
                    assert!(
                        shown.contains("mtu 1400") && shown.contains("stp_state 0"),
                        "{shown}"
                    );
                    assert!(shown.contains("forward_delay 300"), "{shown}");
                }
                if number == 4 {
                    let shown = run("ip", &["addr", "show", &bridge]);
                    assert!(
                        shown.contains("fd04::1/64") && !shown.contains("tentative"),
                        "{shown}"
                    );
                }
                if number == 7 {
                    assert!(run("ip", &["route"]).contains("10.70.0.0/16 via 10.7.0.9"));
                }
                network.destroy(Origin::client()).await.unwrap();
                assert!(networks.by_name(&format!("kind {number}")).is_none());
            }
            assert_eq!(leftovers(world.path()), "device br0\n");
            let left: Vec<_> = std::fs::read_dir(world.file("state"))
                .unwrap()
                .flatten()
                .map(|e| e.file_name())
                .collect();
            assert_eq!(
                left,
                Vec::<std::ffi::OsString>::new(),
                "files of transient networks go with them"
            );
        },
    );
}

#[test]
fn r70_r71_a_hook_that_says_no_undoes_everything() {
    private("life::r70_r71_a_hook_that_says_no_undoes_everything", || async {
        let world = World::new();
        let networks = world.daemon();
        world.hook("[ $2 != start ] || { echo 'start says no' >&2; exit 1; }");
        networks.load().await.unwrap();
        let (networks, _) = daemon_with(world.path(), |_| ());
        let network = networks.define(nat("n1", 1), Origin::client()).await.unwrap();
        let said = text(network.start(Origin::client()).await);
        assert!(
            said.starts_with("Hook script execution failed: internal error: Child process ("),
            "{said}"
        );
        assert!(said.contains("unexpected exit status 1: start says no"), "{said}");
        assert_eq!(world.calls(), ["n1 start", "n1 stopped"]);
        assert!(
            world.input("stopped").contains("<forward mode='nat'/>"),
            "never completed"
        );
        assert_eq!(leftovers(world.path()), "");

        world.hook("[ $2 != started ] || exit 3; [ $2 != stopped ] || ! ip link show virbr-t1 || echo bridge >> $0.left");
        assert!(text(network.start(Origin::client()).await).contains("unexpected exit status 3"));
        assert_eq!(world.calls()[2..], ["n1 start", "n1 started", "n1 stopped"]);
        assert_eq!(leftovers(world.path()), "");
        assert!(
            !world.file("hooks/network.left").exists(),
            "the bridge is gone at `stopped`"
        );

        // A transient one is gone, too; `stopped` that fails changes nothing.
        assert!(networks.create(nat("n2", 2), Origin::client()).await.is_err());
        assert!(networks.by_name("n2").is_none());
        world.hook("[ $2 != stopped ] || exit 3");
        network.start(Origin::client()).await.unwrap();
        network.destroy(Origin::client()).await.unwrap();
    });
}

#[test]
fn names_ids_bridges_and_subnets_are_unique() {
    private("life::names_ids_bridges_and_subnets_are_unique", || async {
        let world = World::new();
        let networks = world.daemon();
        networks.load().await.unwrap();
        let define = async |doc| {
            networks
                .define(doc, Origin::client())
                .await
                .map(|handle| handle.snapshot())
        };
        let says = async |doc| {
            networks
                .define(doc, Origin::client())
                .await
                .map(drop)
                .expect_err("a clash")
                .to_string()
        };
        define(nat("n1", 1)).await.unwrap();
        assert_eq!(
            says(nat("n1", 2)).await,
            "network 'n1' already exists with uuid 22222222-2222-4222-8222-222222222201"
        );
        assert_eq!(
            says(nat("n2", 1)).await,
            "network 'n1' is already defined with uuid 22222222-2222-4222-8222-222222222201"
        );
        let mut same_bridge = nat("n2", 2);
        same_bridge.bridge.as_mut().unwrap().name = Some("virbr-t1".to_owned());
        assert_eq!(says(same_bridge).await, "bridge name 'virbr-t1' already in use.");
        // Names of bridges are chosen among those that nobody has.
        run("ip", &["link", "add", "virbr0", "type", "bridge"]);
        let auto = |name: &str| document(&format!("<network><name>{name}</name></network>"));
        assert_eq!(
            define(auto("a1")).await.unwrap().bridge.as_deref(),
            Some("virbr1")
        );
        assert_eq!(
            define(auto("a2")).await.unwrap().bridge.as_deref(),
            Some("virbr2")
        );
        let a1 = networks.by_name("a1").unwrap().snapshot();
        let mut again = auto("a1");
        again.uuid = Some(a1.uuid);
        assert_eq!(
            define(again).await.unwrap().config.as_ref().unwrap().mac,
            a1.config.as_ref().unwrap().mac
        );

        let n1 = networks.by_name("n1").unwrap();
        n1.start(Origin::client()).await.unwrap();
        let mut same_subnet = nat("n3", 3);
        same_subnet.ips = nat("n1", 1).ips;
        define(same_subnet).await.unwrap();
        let n3 = networks.by_name("n3").unwrap();
        assert_eq!(
            text(n3.start(Origin::client()).await),
            "Network is already in use by interface virbr-t1"
        );
        assert!(device("virbr-t1"));
        let said = networks
            .create(nat("n1", 1), Origin::client())
            .await
            .map(drop)
            .expect_err("active")
            .to_string();
        assert_eq!(said, "network is already active as 'n1'");
        // A device that somebody else made stays.
        let _ = define(plain("n4", 4)).await.unwrap();
        run("ip", &["link", "add", "virbr-t4", "type", "bridge"]);
        let n4 = networks.by_name("n4").unwrap();
        assert_eq!(
            text(n4.start(Origin::client()).await),
            "error creating bridge interface virbr-t4: File exists"
        );
        assert!(device("virbr-t4"));
    });
}

#[test]
fn definitions_and_marks_are_on_disk() {
    private("life::definitions_and_marks_are_on_disk", || async {
        let world = World::new();
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = networks.define(nat("n1", 1), Origin::client()).await.unwrap();
        let file = std::fs::read_to_string(world.file("etc/n1.xml")).unwrap();
        assert!(
            file.starts_with("<!--\nWARNING: ") && file.contains("\n-->\n\n<network>\n  <name>n1</name>\n"),
            "{file}"
        );
        network.set_autostart(true, Origin::client()).await.unwrap();
        assert_eq!(
            std::fs::read_link(world.file("etc/autostart/n1.xml")).unwrap(),
            world.file("etc/n1.xml")
        );
        // The next daemon knows both.
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = networks.by_name("n1").unwrap();
        assert!(network.snapshot().autostart && network.snapshot().persistent && !network.snapshot().active);
        assert_eq!(
            network.snapshot().to_xml(false),
            nat("n1", 1).to_xml(&ferrovirt_model::Form::INACTIVE)
        );
        // Undefined while up, it is transient: what makes no sense for such one is refused.
        network.start(Origin::client()).await.unwrap();
        network.undefine(Origin::client()).await.unwrap();
        assert!(!world.file("etc/autostart/n1.xml").is_symlink());
        assert_eq!(
            text(network.undefine(Origin::client()).await),
            "can't undefine transient network"
        );
        assert_eq!(
            text(network.set_autostart(true, Origin::client()).await),
            "cannot set autostart for transient network"
        );
        // Defined again, it is persistent; another definition has its effect at the next start.
        let mut other = nat("n1", 1);
        other.title = Some("other".to_owned());
        networks.define(other, Origin::client()).await.unwrap();
        let snapshot = network.snapshot();
        assert!(snapshot.active && snapshot.persistent);
        assert!(snapshot.to_xml(true).contains("<title>other</title>"));
        assert!(!snapshot.to_xml(false).contains("<title>"));
        network.destroy(Origin::client()).await.unwrap();
        assert!(network.snapshot().to_xml(false).contains("<title>other</title>"));
    });
}

#[test]
fn r22_r24_autostart_once_per_boot_and_at_reload() {
    private("life::r22_r24_autostart_once_per_boot_and_at_reload", || async {
        let world = World::new();
        world.hook("[ $1 != bad ] || [ $2 != start ] || exit 1");
        let networks = world.daemon();
        networks.load().await.unwrap();
        for doc in [plain("n1", 1), plain("bad", 2), plain("n3", 3)] {
            let name = doc.name.clone();
            let network = networks.define(doc, Origin::client()).await.unwrap();
            network
                .set_autostart(name != "n3", Origin::client())
                .await
                .unwrap();
        }
        let active = |networks: &ferrovirt_network::Networks| {
            let all = networks.list();
            all.iter()
                .filter(|network| network.active)
                .map(|network| network.name.clone())
                .collect::<Vec<_>>()
        };
        networks.autostart(Autostart::Boot).await;
        assert_eq!(active(&networks), ["n1"]);
        networks
            .by_name("n1")
            .unwrap()
            .destroy(Origin::client())
            .await
            .unwrap();
        // Another daemon of the same boot starts none, a reload does.
        let networks = world.daemon();
        networks.load().await.unwrap();
        networks.autostart(Autostart::Boot).await;
        assert!(active(&networks).is_empty());
        networks.autostart(Autostart::Reload).await;
        assert_eq!(active(&networks), ["n1"]);
    });
}

#[test]
fn a_missing_program_is_named() {
    private("life::a_missing_program_is_named", || async {
        let world = World::new();
        let (networks, _) = daemon_with(world.path(), |config| config.nft = "no-such-nft".into());
        let n1 = networks.define(nat("n1", 1), Origin::client()).await.unwrap();
        assert!(text(n1.start(Origin::client()).await).starts_with("Cannot find 'no-such-nft' in path"));
        let (networks, _) = daemon_with(world.path(), |config| config.dnsmasq = "/nowhere/dnsmasq".into());
        let n2 = networks.define(nat("n2", 2), Origin::client()).await.unwrap();
        assert!(text(n2.start(Origin::client()).await).starts_with("Cannot find '/nowhere/dnsmasq' in path"));
        // dnsmasq's own words.
        let networks = world.daemon();
        let mut doc = nat("n3", 3);
        doc.ips[0].tftp = Some(ferrovirt_model::network::Tftp {
            root: "/nowhere/tftp".to_owned(),
        });
        let n3 = networks.define(doc, Origin::client()).await.unwrap();
        let said = text(n3.start(Origin::client()).await);
        assert!(
            said.contains("dnsmasq") && said.contains("/nowhere/tftp"),
            "{said}"
        );
        assert_eq!(leftovers(world.path()), "");
    });
}

#[test]
fn r16_an_ordinary_users_daemon_keeps_definitions_only() {
    private(
        "life::r16_an_ordinary_users_daemon_keeps_definitions_only",
        || async {
            let world = World::new();
            let (networks, _) = daemon_with(world.path(), |config| config.privileged = false);
            networks.load().await.unwrap();
            let network = networks.define(nat("n1", 1), Origin::client()).await.unwrap();
            assert!(text(network.start(Origin::client()).await).contains("ordinary user"));
            assert!(networks.create(nat("n2", 2), Origin::client()).await.is_err());
            assert!(networks.by_name("n2").is_none());
            networks.autostart(Autostart::Boot).await;
            assert!(!device("virbr-t1"));
        },
    );
}
