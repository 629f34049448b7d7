//! The life of a network, with real bridges, dnsmasq and nft, in private network namespaces.

mod world;

use ferrovirt_hook::Origin;
use world::*;

#[test]
fn r70_r71_r72_a_nat_network_from_define_to_undefine() {
    private("r70_r71_r72_a_nat_network_from_define_to_undefine", || async {
        let world = World::new();
        world.hook("[ $2 = start ] && ! ip link show virbr-t1 2>/dev/null || true");
        let networks = world.daemon();
        networks.load().await.unwrap();
        let network = up(&networks, nat("n1", 1)).await;
        assert!(device("virbr-t1"));
        let shown = run("ip", &["-d", "addr", "show", "virbr-t1"]);
        assert!(shown.contains("192.168.101.1/24 brd 192.168.101.255"), "{shown}");
        assert!(shown.contains("52:54:00:00:01:01") && shown.contains("stp_state 1"), "{shown}");
        let rules = run("nft", &["list", "ruleset"]);
        assert!(rules.contains("table ip ferrovirt_n1"), "{rules}");
        assert!(rules.contains("ct status dnat accept"), "{rules}");
        assert!(run("ss", &["-lun"]).contains(":67 "), "dnsmasq serves DHCP");
        assert!(world.input("start").contains("<forward mode='nat'/>"), "before completion");
        assert!(world.input("started").contains("<port start='1024' end='65535'/>"), "completed");
        assert!(!world.input("started").ends_with('\n'));
        assert!(network.snapshot().active);
        assert_eq!(text(network.start(Origin::client()).await), "network is already active");
        network.destroy(Origin::client()).await.unwrap();
        assert_eq!(leftovers(world.path()), "");
        assert_eq!(text(network.destroy(Origin::client()).await), "network 'n1' is not active");
        assert_eq!(world.calls(), ["n1 start", "n1 started", "n1 stopped"]);
        network.undefine(Origin::client()).await.unwrap();
        assert!(networks.by_name("n1").is_none());
        assert!(!world.file("etc/n1.xml").exists());
    });
}
