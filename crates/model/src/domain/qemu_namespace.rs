//! The elements of QEMU's own namespace: arguments that nobody checks, and corrections of what is known of QEMU.

use ferrovirt_xml::Xml;

/// `<qemu:arg>`: one argument.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuArg {
    /// As QEMU gets it.
    #[xml(attr)]
    pub value: String,
}

/// `<qemu:env>`: one variable.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuEnv {
    /// Its name.
    #[xml(attr)]
    pub name: String,
    /// Its value; without one it is empty.
    #[xml(attr)]
    pub value: Option<String>,
}

/// `<qemu:commandline>`: what QEMU gets beside ours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct QemuCommandline {
    /// Arguments at the end.
    #[xml(name = "arg", namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0")]
    pub args: Vec<QemuArg>,
    /// Variables at the end.
    #[xml(name = "env", namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0")]
    pub env: Vec<QemuEnv>,
}

/// One of libvirt's names of what a QEMU can do.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuCapability {
    /// The name.
    #[xml(attr)]
    pub capability: String,
}

/// `<qemu:capabilities>`: corrections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct QemuCapabilities {
    /// What it has, whatever it says.
    #[xml(name = "add", namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0")]
    pub add: Vec<QemuCapability>,
    /// What it does not have.
    #[xml(name = "del", namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0")]
    pub del: Vec<QemuCapability>,
}

/// What a property is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Xml)]
pub enum QemuPropertyType {
    /// A text.
    String,
    /// A number.
    Signed,
    /// A number from 0.
    Unsigned,
    /// `true` or `false`.
    Bool,
    /// Nothing: it is left out.
    Remove,
}

/// `<qemu:property>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuProperty {
    /// Its name.
    #[xml(attr)]
    pub name: String,
    /// What it is.
    #[xml(attr = "type")]
    pub kind: QemuPropertyType,
    /// Its value.
    #[xml(attr)]
    pub value: Option<String>,
}

/// `<qemu:frontend>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct QemuFrontend {
    /// The properties.
    #[xml(
        name = "property",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub properties: Vec<QemuProperty>,
}

/// `<qemu:device>`: corrections of one device.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuOverrideDevice {
    /// Its alias.
    #[xml(attr)]
    pub alias: String,
    /// What the guest sees of it.
    #[xml(
        name = "frontend",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub frontend: Option<QemuFrontend>,
}

/// `<qemu:override>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct QemuOverride {
    /// The devices.
    #[xml(
        name = "device",
        namespace = "qemu=http://libvirt.org/schemas/domain/qemu/1.0"
    )]
    pub devices: Vec<QemuOverrideDevice>,
}

/// `<qemu:deprecation>`.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct QemuDeprecation {
    /// What QEMU does; libvirt keeps any word and knows `omit`, `reject` and `crash`.
    #[xml(attr)]
    pub behavior: Option<String>,
}
