//! The commands we use, one struct each. Replies name only the members we read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::Command;

/// A reply without content (or whose content does not matter).
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Empty {}

macro_rules! command {
    ($(#[$doc:meta])* $name:ident = $qmp:literal -> $reply:ty { $($(#[$field_doc:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind),* }
        impl Command for $name {
            const NAME: &'static str = $qmp;
            type Reply = $reply;
        }
    };
}

command!(
    /// Ends capabilities negotiation.
    QmpCapabilities = "qmp_capabilities" -> Empty {}
);
command!(
    /// Starts the virtual CPUs.
    Cont = "cont" -> Empty {}
);
command!(
    /// Stops the virtual CPUs.
    Stop = "stop" -> Empty {}
);
command!(
    /// Ends QEMU at once.
    Quit = "quit" -> Empty {}
);
command!(
    /// Presses the power button.
    SystemPowerdown = "system_powerdown" -> Empty {}
);
command!(
    /// Presses the reset button.
    SystemReset = "system_reset" -> Empty {}
);
command!(
    /// Sends a non-maskable interrupt.
    InjectNmi = "inject-nmi" -> Empty {}
);
command!(
    /// Receives the descriptor that travels with this command.
    GetFd = "getfd" -> Empty {
        /// Name it gets.
        fdname: String,
    }
);
command!(
    /// Closes a descriptor that was received and not used.
    CloseFd = "closefd" -> Empty {
        /// Its name.
        fdname: String,
    }
);
command!(
    /// Asks the guest to let go of a device.
    DeviceDel = "device_del" -> Empty {
        /// Its id.
        id: String,
    }
);
command!(
    /// Takes the host's end of a network card away.
    NetdevDel = "netdev_del" -> Empty {
        /// Its id.
        id: String,
    }
);
command!(
    /// Takes a node of the block layer away.
    BlockdevDel = "blockdev-del" -> Empty {
        /// Its name.
        node_name: String,
    }
);
command!(
    /// QEMU's version.
    QueryVersion = "query-version" -> Version {}
);
command!(
    /// Whether the CPUs run.
    QueryStatus = "query-status" -> Status {}
);
command!(
    /// Where character devices are (pty paths).
    QueryChardev = "query-chardev" -> Vec<Chardev> {}
);
command!(
    /// How much memory the guest has.
    QueryBalloon = "query-balloon" -> Balloon {}
);
command!(
    /// Threads of the virtual CPUs.
    QueryCpus = "query-cpus-fast" -> Vec<Cpu> {}
);
command!(
    /// I/O threads.
    QueryIoThreads = "query-iothreads" -> Vec<IoThread> {}
);
command!(
    /// Places for virtual CPUs, taken or not.
    QueryHotpluggableCpus = "query-hotpluggable-cpus" -> Vec<CpuSlot> {}
);
command!(
    /// Machine types.
    QueryMachines = "query-machines" -> Vec<Machine> {}
);
command!(
    /// CPU models.
    QueryCpuDefinitions = "query-cpu-definitions" -> Vec<CpuDefinition> {}
);
command!(
    /// Whether KVM is there and used.
    QueryKvm = "query-kvm" -> Kvm {}
);
command!(
    /// What the binary is for.
    QueryTarget = "query-target" -> Target {}
);
command!(
    /// Types of QEMU's object model, devices among them.
    QomListTypes = "qom-list-types" -> Vec<QomType> {
        /// Only what derives from this.
        implements: String,
        /// Also abstract ones.
        r#abstract: bool,
    }
);
command!(
    /// A property of an object.
    QomGet = "qom-get" -> Box<RawValue> {
        /// Path in the composition tree.
        path: String,
        /// Name of the property.
        property: String,
    }
);
command!(
    /// Sets a property of an object that is a number.
    QomSet = "qom-set" -> Empty {
        /// Path in the composition tree.
        path: String,
        /// Name of the property.
        property: &'static str,
        /// The number.
        value: i64,
    }
);
command!(
    /// Makes an object that needs nothing said but its name.
    ObjectAdd = "object-add" -> Empty {
        /// Its type.
        qom_type: &'static str,
        /// Its name.
        id: String,
    }
);
command!(
    /// Takes an object away.
    ObjectDel = "object-del" -> Empty {
        /// Its name.
        id: String,
    }
);
command!(
    /// Properties of an object.
    QomList = "qom-list" -> Vec<QomProperty> {
        /// Path in the composition tree.
        path: String,
    }
);
command!(
    /// What a CPU model is made of.
    QueryCpuModelExpansion = "query-cpu-model-expansion" -> ModelExpansion {
        /// `full` or `static`.
        r#type: &'static str,
        /// The model.
        model: CpuModel,
    }
);
command!(
    /// Command-line options and their parameters.
    QueryCommandLineOptions = "query-command-line-options" -> Vec<CommandLineOption> {}
);
command!(
    /// Names of all commands.
    QueryCommands = "query-commands" -> Vec<Named> {}
);
command!(
    /// What QEMU does when the guest panics, reboots, powers off, or its watchdog fires.
    SetAction = "set-action" -> Empty {
        /// `reset` or `shutdown`.
        #[serde(skip_serializing_if = "Option::is_none")]
        reboot: Option<&'static str>,
        /// `poweroff` or `pause`.
        #[serde(skip_serializing_if = "Option::is_none")]
        shutdown: Option<&'static str>,
        /// `pause`, `shutdown`, `exit-failure`, `none`.
        #[serde(skip_serializing_if = "Option::is_none")]
        panic: Option<&'static str>,
    }
);
command!(
    /// Sets the guest's password for a display.
    SetPassword = "set_password" -> Empty {
        /// `vnc` or `spice`.
        protocol: &'static str,
        /// The password.
        password: String,
        /// What happens to who is connected.
        #[serde(skip_serializing_if = "Option::is_none")]
        connected: Option<&'static str>,
    }
);
command!(
    /// When the guest's password for a display ends.
    ExpirePassword = "expire_password" -> Empty {
        /// `vnc` or `spice`.
        protocol: &'static str,
        /// `now`, `never`, `+SECONDS`, `SECONDS`.
        time: String,
    }
);

command!(
    /// What was done with each disk.
    QueryBlockStats = "query-blockstats" -> Vec<BlockRow> {}
);
command!(
    /// The nodes of the block layer.
    QueryNamedBlockNodes = "query-named-block-nodes" -> Vec<NamedNode> {
        /// Without the chains below each node.
        flat: bool,
    }
);
command!(
    /// The last measurement of how fast the guest writes to its memory.
    QueryDirtyRate = "query-dirty-rate" -> DirtyRate {}
);
command!(
    /// How much memory the guest shall have.
    SetBalloon = "balloon" -> Empty {
        /// Bytes.
        value: u64,
    }
);
command!(
    /// Plugs a network card's cable in or out.
    SetLink = "set_link" -> Empty {
        /// Name of the card or of its other end.
        name: String,
        /// Plugged in.
        up: bool,
    }
);

/// Reply of `query-version`.
#[derive(Debug, Clone, Deserialize)]
pub struct Version {
    /// Three numbers.
    pub qemu: VersionNumber,
    /// What the distributor wrote beside it.
    #[serde(default)]
    pub package: String,
}

/// QEMU's version in numbers.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct VersionNumber {
    /// 10 of 10.0.2
    pub major: u64,
    /// 0 of 10.0.2
    pub minor: u64,
    /// 2 of 10.0.2
    pub micro: u64,
}

/// Reply of `query-status`.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// The CPUs run.
    pub running: bool,
    /// `running`, `paused`, `prelaunch`, `shutdown`, `guest-panicked`, `io-error`, `watchdog`, ...
    pub status: String,
}

/// One row of `query-chardev`.
#[derive(Debug, Clone, Deserialize)]
pub struct Chardev {
    /// Its id, e.g. `charserial0`.
    pub label: String,
    /// Where it is, e.g. `pty:/dev/pts/3`.
    pub filename: String,
    /// Whether the guest's side is open.
    #[serde(default, rename = "frontend-open")]
    pub frontend_open: bool,
}

/// Reply of `query-balloon`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Balloon {
    /// Bytes the guest has.
    pub actual: u64,
}

/// One row of `query-cpus-fast`.
#[derive(Debug, Clone, Deserialize)]
pub struct Cpu {
    /// Number.
    #[serde(rename = "cpu-index")]
    pub index: i64,
    /// Its thread.
    #[serde(rename = "thread-id")]
    pub thread_id: i32,
    /// Its place in the composition tree.
    #[serde(default, rename = "qom-path")]
    pub qom_path: String,
}

/// One row of `query-hotpluggable-cpus`: a place for a virtual CPU.
#[derive(Debug, Clone, Deserialize)]
pub struct CpuSlot {
    /// QEMU's device for it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is: socket, core, thread.
    pub props: std::collections::BTreeMap<String, i64>,
}

/// Adds a virtual CPU.
#[derive(Debug, Clone, Serialize)]
pub struct AddCpu {
    /// QEMU's device for it.
    pub driver: String,
    /// Its id.
    pub id: String,
    /// Where it goes.
    #[serde(flatten)]
    pub place: std::collections::BTreeMap<String, i64>,
}

impl Command for AddCpu {
    const NAME: &'static str = "device_add";
    type Reply = Empty;
}

/// One row of `query-blockstats`: a disk, or an image below one.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockRow {
    /// The device, by its id or its place in the composition tree; absent below.
    #[serde(default)]
    pub qdev: Option<String>,
    /// The node; absent in an empty drive.
    #[serde(default)]
    pub node_name: Option<String>,
    /// What was done with it.
    pub stats: BlockCounters,
    /// The node that the bytes are in, where it is another one.
    #[serde(default)]
    pub parent: Option<Box<BlockRow>>,
    /// The image below.
    #[serde(default)]
    pub backing: Option<Box<BlockRow>>,
}

/// Counters of a [`BlockRow`].
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct BlockCounters {
    /// Bytes read.
    pub rd_bytes: u64,
    /// Bytes written.
    pub wr_bytes: u64,
    /// Reads.
    pub rd_operations: u64,
    /// Writes.
    pub wr_operations: u64,
    /// Flushes.
    pub flush_operations: u64,
    /// Time of the reads, in nanoseconds.
    pub rd_total_time_ns: u64,
    /// Time of the writes, in nanoseconds.
    pub wr_total_time_ns: u64,
    /// Time of the flushes, in nanoseconds.
    pub flush_total_time_ns: u64,
    /// The end of what was written farthest out.
    pub wr_highest_offset: u64,
}

/// One row of `query-named-block-nodes`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NamedNode {
    /// Its name.
    #[serde(default)]
    pub node_name: Option<String>,
    /// Its image.
    pub image: NodeImage,
}

/// Sizes in a [`NamedNode`], in bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeImage {
    /// As the guest sees it.
    pub virtual_size: u64,
    /// What it occupies.
    #[serde(default)]
    pub actual_size: Option<u64>,
}

/// Reply of `query-dirty-rate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DirtyRate {
    /// `unstarted`, `measuring`, `measured`.
    pub status: String,
    /// Seconds, of the host's clock.
    #[serde(default)]
    pub start_time: i64,
    /// How long it takes, in seconds.
    #[serde(default)]
    pub calc_time: i64,
    /// `page-sampling`, `dirty-ring`, `dirty-bitmap`.
    #[serde(default)]
    pub mode: String,
    /// MiB per second, once it is measured.
    #[serde(default)]
    pub dirty_rate: Option<i64>,
    /// The same of single processors.
    #[serde(default)]
    pub vcpu_dirty_rate: Vec<VcpuDirtyRate>,
}

/// The rate of one processor in a [`DirtyRate`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VcpuDirtyRate {
    /// Its number.
    pub id: i64,
    /// MiB per second.
    pub dirty_rate: i64,
}

/// One row of `query-machines`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// Canonical name.
    pub name: String,
    /// Short name for the newest of a family.
    #[serde(default)]
    pub alias: Option<String>,
    /// Used when nothing is said.
    #[serde(default)]
    pub is_default: bool,
    /// Most virtual CPUs.
    #[serde(default)]
    pub cpu_max: u32,
    /// CPUs can be added while it runs.
    #[serde(default)]
    pub hotpluggable_cpus: bool,
    /// NUMA possible.
    #[serde(default)]
    pub numa_mem_supported: bool,
    /// QEMU's authors would rather it were not used.
    #[serde(default)]
    pub deprecated: bool,
    /// CPU model when nothing is said, as a type name.
    #[serde(default)]
    pub default_cpu_type: Option<String>,
    /// Id of its memory.
    #[serde(default)]
    pub default_ram_id: Option<String>,
    /// ACPI tables possible.
    #[serde(default)]
    pub acpi: bool,
}

/// One row of `query-cpu-definitions`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuDefinition {
    /// Name, e.g. `qemu64`.
    pub name: String,
    /// Its type, e.g. `qemu64-x86_64-cpu`.
    #[serde(default)]
    pub typename: String,
    /// Features the accelerator lacks; empty is runnable, absent is unknown.
    #[serde(default)]
    pub unavailable_features: Option<Vec<String>>,
    /// The model of a version this name stands for.
    #[serde(default)]
    pub alias_of: Option<String>,
}

/// Reply of `query-kvm`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Kvm {
    /// In use.
    pub enabled: bool,
    /// In the binary.
    pub present: bool,
}

/// Reply of `query-target`.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    /// `x86_64`, `i386`, ...
    pub arch: String,
}

/// One row of `qom-list-types`.
#[derive(Debug, Clone, Deserialize)]
pub struct QomType {
    /// Its name.
    pub name: String,
}

/// One row of `qom-list`.
#[derive(Debug, Clone, Deserialize)]
pub struct QomProperty {
    /// Its name.
    pub name: String,
    /// Its type; children are `child<TYPE>`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A CPU model with changes to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CpuModel {
    /// Base.
    pub name: String,
    /// Properties set on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub props: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Reply of `query-cpu-model-expansion`.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelExpansion {
    /// The model with all its properties.
    pub model: CpuModel,
}

/// One row of `query-command-line-options`.
#[derive(Debug, Clone, Deserialize)]
pub struct CommandLineOption {
    /// Its name without the dash.
    pub option: String,
    /// Its parameters.
    #[serde(default)]
    pub parameters: Vec<Named>,
}

/// Anything that has a name.
#[derive(Debug, Clone, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// One row of `query-iothreads`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IoThread {
    /// Its object, e.g. `iothread1`.
    pub id: String,
    /// Its thread.
    pub thread_id: i32,
}
