//! Parts of `<interface>` for a machine's cards: how a virtio card and the host's end work together.

use super::virtio_options::VirtioOptions;
use ferrovirt_xml::Xml;
use ferrovirt_xml::values::on_off;

/// Who moves the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum CardBackendName {
    /// The hypervisor.
    Qemu,
    /// The kernel.
    Vhost,
}

/// Who sends packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TxMode {
    /// The thread for input and output.
    #[xml(name = "iothread")]
    IoThread,
    /// A timer.
    Timer,
}

/// `<host>` of a card's driver: which offloads the host's end has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct HostOffloads {
    /// Checksums.
    #[xml(attr, with = "on_off")]
    pub csum: Option<bool>,
    /// Any segmentation.
    #[xml(attr, with = "on_off")]
    pub gso: Option<bool>,
    /// TCP segmentation, IPv4.
    #[xml(attr, with = "on_off")]
    pub tso4: Option<bool>,
    /// TCP segmentation, IPv6.
    #[xml(attr, with = "on_off")]
    pub tso6: Option<bool>,
    /// TCP segmentation with congestion notification.
    #[xml(attr, with = "on_off")]
    pub ecn: Option<bool>,
    /// UDP fragmentation.
    #[xml(attr, with = "on_off")]
    pub ufo: Option<bool>,
    /// Can a packet take several buffers?
    #[xml(attr, with = "on_off")]
    pub mrg_rxbuf: Option<bool>,
}

/// `<guest>` of a card's driver: which offloads the guest may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct GuestOffloads {
    /// Checksums.
    #[xml(attr, with = "on_off")]
    pub csum: Option<bool>,
    /// TCP segmentation, IPv4.
    #[xml(attr, with = "on_off")]
    pub tso4: Option<bool>,
    /// TCP segmentation, IPv6.
    #[xml(attr, with = "on_off")]
    pub tso6: Option<bool>,
    /// TCP segmentation with congestion notification.
    #[xml(attr, with = "on_off")]
    pub ecn: Option<bool>,
    /// UDP fragmentation.
    #[xml(attr, with = "on_off")]
    pub ufo: Option<bool>,
}

/// `<driver>` of a virtio card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CardDriver {
    /// Who moves the packets.
    #[xml(attr)]
    pub name: Option<CardBackendName>,
    /// Who sends.
    #[xml(attr = "txmode")]
    pub tx_mode: Option<TxMode>,
    /// Does the guest's notice reach its thread without a stop in the hypervisor?
    #[xml(attr, with = "on_off")]
    pub ioeventfd: Option<bool>,
    /// Are notices left out that nobody waits for?
    #[xml(attr, with = "on_off")]
    pub event_idx: Option<bool>,
    /// Number of pairs of queues.
    #[xml(attr)]
    pub queues: Option<u32>,
    /// Places in a queue for what comes in.
    #[xml(attr)]
    pub rx_queue_size: Option<u32>,
    /// Places in a queue for what goes out.
    #[xml(attr)]
    pub tx_queue_size: Option<u32>,
    /// Does the card spread what comes in over the queues?
    #[xml(attr, with = "on_off")]
    pub rss: Option<bool>,
    /// Does it tell the guest by what number?
    #[xml(attr, with = "on_off")]
    pub rss_hash_report: Option<bool>,
    /// Options that all virtio devices have.
    #[xml(flatten)]
    pub virtio: VirtioOptions,
    /// Offloads of the host's end.
    pub host: Option<HostOffloads>,
    /// Offloads of the guest.
    pub guest: Option<GuestOffloads>,
}

/// What of the host is behind a card of type `user` or `vhostuser`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Xml)]
pub enum CardBackendType {
    /// What there is by itself.
    #[default]
    Default,
    /// `passt`, a process of its own.
    Passt,
}

/// `<backend>` of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CardBackend {
    /// Its kind.
    #[xml(attr = "type")]
    pub kind: Option<CardBackendType>,
    /// The host's device for taps.
    #[xml(attr)]
    pub tap: Option<String>,
    /// The host's device for vhost.
    #[xml(attr)]
    pub vhost: Option<String>,
    /// Where `passt` writes what it does.
    #[xml(attr = "logFile")]
    pub log_file: Option<String>,
}

/// Which of the two cards of a team it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum TeamingType {
    /// The one that stays.
    Persistent,
    /// The one that is taken away when the guest moves.
    Transient,
}

/// `<teaming>`: two cards that the guest sees as one.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct Teaming {
    /// Which one it is.
    #[xml(attr = "type")]
    pub kind: TeamingType,
    /// Alias of the one that stays.
    #[xml(attr)]
    pub persistent: Option<String>,
}

/// `<tune>`: what the host's end is set to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct CardTune {
    /// Size of the send buffer in bytes.
    pub sndbuf: Option<u64>,
}
