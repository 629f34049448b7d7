//! Network cards: the host's end, mostly as inherited descriptors, then the device.

use ferrovirt_model::domain::{
    CardDriver, Domain, Interface, InterfaceSource, InterfaceType, TeamingType, TxMode,
};

use super::json::Object;
use super::place::{alias, place};
use super::{Arguments, Context, virtio_options};
use crate::define::card_device;
use crate::error::{Error, Result};

/// All cards.
pub(super) fn all(context: &mut Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    for (at, interface) in doc.devices.interfaces.iter().enumerate() {
        if interface.kind == InterfaceType::Hostdev {
            continue; // it is one of the devices of the host
        }
        let first = context.boot.network.take_if(|_| at == 0);
        let boot = interface.info.boot.or(first);
        let name = alias(&interface.info);
        let known = |key: &dyn Fn(&str, u32) -> String| {
            let numbers = (0..queues(interface)).map_while(|queue| context.given.of(&key(name, queue)));
            numbers.map(|fd| fd.to_string()).collect::<Vec<_>>()
        };
        let mut taps = known(&tap_key);
        if taps.is_empty() {
            taps.push("-1".to_owned());
        }
        args.add("-netdev", netdev(interface, &taps, &known(&vhost_key))?.finish());
        args.device(device(doc, interface, boot));
    }
    Ok(())
}

/// How many pairs of queues a card has.
pub(crate) fn queues(interface: &Interface) -> u32 {
    let driver = interface.driver.as_ref();
    driver.and_then(|driver| driver.queues).unwrap_or(1)
}

/// Under which name the descriptor of one queue of a tap waits.
pub(crate) fn tap_key(alias: &str, queue: u32) -> String {
    if queue == 0 {
        alias.to_owned()
    } else {
        format!("{alias}#{queue}")
    }
}

/// The same for the kernel's part of that queue.
pub(crate) fn vhost_key(alias: &str, queue: u32) -> String {
    format!("vhost-{alias}#{queue}")
}

/// The host's end; `taps` are descriptors' numbers or the names under which QEMU was given them.
fn netdev(interface: &Interface, taps: &[String], vhosts: &[String]) -> Result<Object> {
    let none = InterfaceSource::default();
    let source = interface.source.as_ref().unwrap_or(&none);
    let object = match interface.kind {
        InterfaceType::User => user(interface),
        InterfaceType::Network | InterfaceType::Bridge | InterfaceType::Ethernet => {
            tap(interface, taps, vhosts)
        }
        InterfaceType::Server => socket().text("listen", &address(source)),
        InterfaceType::Client => socket().text("connect", &address(source)),
        InterfaceType::Mcast => socket().text("mcast", &address(source)),
        InterfaceType::Udp => {
            let local = source.local.clone().unwrap_or_default();
            socket()
                .text("udp", &address(source))
                .text("localaddr", &format!("{}:{}", local.address, local.port))
        }
        // Refused when a guest is defined.
        kind => {
            return Err(Error::unsupported(format!(
                "interface type '{kind}' is not supported"
            )));
        }
    };
    Ok(object.text("id", &host_id(alias(&interface.info))))
}

fn socket() -> Object {
    Object::default().text("type", "socket")
}

fn address(source: &InterfaceSource) -> String {
    let host = source.address.as_deref().unwrap_or_default();
    format!("{host}:{}", source.port.unwrap_or(0))
}

fn tap(interface: &Interface, taps: &[String], vhosts: &[String]) -> Object {
    let object = Object::default().text("type", "tap");
    let object = match taps {
        [one] => object.text("fd", one),
        several => object.text("fds", &several.join(":")),
    };
    let object = match vhosts {
        [] => object,
        [one] => object.boolean("vhost", true).text("vhostfd", one),
        several => object.boolean("vhost", true).text("vhostfds", &several.join(":")),
    };
    let sndbuf = interface.tune.as_ref().and_then(|tune| tune.sndbuf);
    object.maybe_number("sndbuf", sndbuf.and_then(|size| i64::try_from(size).ok()))
}

/// The hypervisor's own stack; addresses are those of its network.
fn user(interface: &Interface) -> Object {
    let start = Object::default().text("type", "user");
    interface.ips.iter().fold(start, |object, ip| {
        if ip.address.is_ipv4() {
            let prefix = ip.prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
            object.text("net", &format!("{}{prefix}", ip.address))
        } else {
            object
                .text("ipv6-prefix", &ip.address.to_string())
                .maybe_number("ipv6-prefixlen", ip.prefix)
        }
    })
}

fn device(doc: &Domain, interface: &Interface, boot: Option<u32>) -> Object {
    let id = alias(&interface.info);
    let model = interface.model.as_deref().unwrap_or_default();
    let virtio = model.starts_with("virtio");
    let mtu = interface
        .mtu
        .filter(|_| virtio && interface.kind != InterfaceType::User);
    let driver = interface.driver.clone().unwrap_or_default();
    let stays = interface.teaming.as_ref().map(|teaming| teaming.kind) == Some(TeamingType::Persistent);
    let object = virtio_options(Object::driver(card_device(model)), Some(&driver.virtio));
    with_driver(object, &driver)
        .maybe_number("host_mtu", mtu)
        .maybe_boolean("failover", stays.then_some(true))
        .text("netdev", &host_id(id))
        .text("id", id)
        .maybe_text("mac", interface.mac.map(|mac| mac.to_string()).as_deref())
        .maybe_number("bootindex", boot)
        .append(&place(doc, &interface.info))
        .append(&super::hostdev::rom(interface.info.rom.as_ref()))
}

/// Options of a virtio card.
fn with_driver(object: Object, driver: &CardDriver) -> Object {
    let host = driver.host.clone().unwrap_or_default();
    let guest = driver.guest.clone().unwrap_or_default();
    let several = driver.queues.filter(|queues| *queues > 1);
    object
        .maybe_text(
            "tx",
            driver.tx_mode.map(|mode| match mode {
                TxMode::IoThread => "bh",
                TxMode::Timer => "timer",
            }),
        )
        .maybe_boolean("ioeventfd", driver.ioeventfd)
        .maybe_boolean("event_idx", driver.event_idx)
        .maybe_boolean("csum", host.csum)
        .maybe_boolean("gso", host.gso)
        .maybe_boolean("host_tso4", host.tso4)
        .maybe_boolean("host_tso6", host.tso6)
        .maybe_boolean("host_ecn", host.ecn)
        .maybe_boolean("host_ufo", host.ufo)
        .maybe_boolean("mrg_rxbuf", host.mrg_rxbuf)
        .maybe_boolean("guest_csum", guest.csum)
        .maybe_boolean("guest_tso4", guest.tso4)
        .maybe_boolean("guest_tso6", guest.tso6)
        .maybe_boolean("guest_ecn", guest.ecn)
        .maybe_boolean("guest_ufo", guest.ufo)
        .maybe_boolean("mq", several.map(|_| true))
        // One for each queue, and two for the rest.
        .maybe_number("vectors", several.map(|queues| 2 * i64::from(queues) + 2))
        .maybe_boolean("rss", driver.rss)
        .maybe_boolean("hash", driver.rss_hash_report)
        .maybe_number("rx_queue_size", driver.rx_queue_size)
        .maybe_number("tx_queue_size", driver.tx_queue_size)
}

/// Arguments of `netdev_add` and `device_add` for a card that is plugged into the running guest of this document.
pub(crate) fn hot(doc: &Domain, interface: &Interface, fd: &str) -> Result<(String, String)> {
    let device = device(doc, interface, interface.info.boot);
    Ok((
        netdev(interface, &[fd.to_owned()], &[])?.finish(),
        device.finish(),
    ))
}

/// QEMU's name for the host's end of a card: `hostnet0` for `net0`.
pub(crate) fn host_id(alias: &str) -> String {
    format!("host{alias}")
}
