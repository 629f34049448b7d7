//! Network devices: address, link, and what they do in hardware.

use std::path::Path;

use ferrovirt_model::node_device::{NetCapability, NetKind, NetLink};
use ferrovirt_sys::ethtool::{Ethtool, Question, flag};

use super::Look;
use crate::places::Places;
use crate::sysfs;

/// `NETIF_F_GSO_UDP_TUNNEL` among the numbers of features.
const UDP_TUNNELS: u32 = 25;

pub(super) fn describe(look: &Look<'_>) -> NetCapability {
    let interface = look.device.kernel_name().to_owned();
    let wireless = look.variables.get("DEVTYPE").is_some_and(|kind| kind == "wlan");
    NetCapability {
        address: look.word("address"),
        link: link(&look.dir),
        features: features(&look.shared.places, &look.dir, &interface),
        kind: Some(
            match wireless {
                true => NetKind::Ieee80211,
                false => NetKind::Ieee80203,
            }
            .into(),
        ),
        interface,
    }
}

/// State and speed; the kernel knows no speed of what is down, of bridges and of virtual cards.
fn link(dir: &Path) -> Option<NetLink> {
    let state = sysfs::word(&dir.join("operstate"))?;
    let speed = match state.as_str() {
        "up" => sysfs::number::<i64>(&dir.join("speed")),
        _ => None,
    };
    Some(NetLink {
        speed: speed
            .and_then(|speed| u32::try_from(speed).ok())
            .filter(|speed| *speed > 0),
        state: Some(state),
    })
}

/// The words for what is on, in libvirt's order. Asks the network namespace that we are in.
fn features(places: &Places, dir: &Path, device: &str) -> Vec<String> {
    let Ok(ethtool) = Ethtool::open() else {
        return Vec::new();
    };
    let on = |question| ethtool.ask(device, question).is_some_and(|value| value != 0);
    let flags = ethtool.ask(device, Question::Flags).unwrap_or(0);
    let table = [
        ("rx", on(Question::ReceiveChecksum)),
        ("tx", on(Question::SendChecksum)),
        ("sg", on(Question::ScatterGather)),
        ("tso", on(Question::TcpSegmentation)),
        ("gso", on(Question::Segmentation)),
        ("gro", on(Question::Receive)),
        ("lro", flags & flag::LARGE_RECEIVE != 0),
        ("rxvlan", flags & flag::RECEIVE_VLAN != 0),
        ("txvlan", flags & flag::SEND_VLAN != 0),
        ("ntuple", flags & flag::FILTERS != 0),
        ("rxhash", flags & flag::RECEIVE_HASH != 0),
        ("rdma", has_rdma(places, dir)),
        ("txudptnl", ethtool.feature(device, UDP_TUNNELS) == Some(true)),
    ];
    let words = table.iter().filter(|(_, on)| *on);
    words.map(|(word, _)| (*word).to_owned()).collect()
}

/// Whether the hardware of this device is an InfiniBand device's, too.
fn has_rdma(places: &Places, dir: &Path) -> bool {
    let Ok(own) = dir.join("device").canonicalize() else {
        return false;
    };
    let all = places.sys.join("class/infiniband");
    let names = sysfs::names(&all);
    let mut devices = names
        .iter()
        .filter_map(|name| all.join(name).join("device").canonicalize().ok());
    devices.any(|device| device == own)
}
