//! Programs of the protocol, and what is known about a procedure besides its arguments.

use crate::error::ErrorDomain;
use crate::frame::{Header, MessageType, Status};

/// The remote program: nearly everything.
pub const REMOTE: u32 = 0x2000_8086;
/// Calls that only QEMU guests know.
pub const QEMU: u32 = 0x2000_8087;
/// Calls that only containers know.
pub const LXC: u32 = 0x0006_8000;
/// Signs of life.
pub const KEEPALIVE: u32 = 0x6b65_6570;
/// The only version of every program.
pub const VERSION: u32 = 1;

/// Keepalive procedure "are you there".
pub const PING: i32 = 1;
/// Keepalive procedure "I am".
pub const PONG: i32 = 2;

/// The header of a sign of life; the message has no payload.
pub const fn keepalive(procedure: i32) -> Header {
    Header {
        program: KEEPALIVE,
        version: VERSION,
        procedure,
        kind: MessageType::Message as u32,
        serial: 0,
        status: Status::Ok as u32,
    }
}

/// Who may call a procedure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any client, before it opened a connection.
    Greeting,
    /// A client with an open connection, also a read-only one.
    Read,
    /// A client with an open connection that may change things.
    Write,
}

/// Which driver of a connection answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The connection itself, whatever its driver.
    Connection,
    /// The hypervisor driver.
    Hypervisor,
    /// The network driver.
    Networks,
    /// The storage driver.
    Storage,
    /// A hypervisor driver of containers.
    Containers,
}

/// Which workers libvirt's own daemon gives a procedure to. Information only: nothing here waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Cannot block on a hypervisor.
    High,
    /// May block.
    Low,
}

/// What travels with a call besides arguments and reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    Plain,
    /// The call opens a stream.
    Stream,
    /// Descriptors come with the call or its reply.
    Descriptors,
}

/// A procedure's row without its arguments and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Procedure {
    /// Number within the remote program.
    pub number: i32,
    /// Name as the protocol has it, `DOMAIN_CREATE`.
    pub name: &'static str,
    /// The public function that clients call it by, `virDomainCreate`; errors name it.
    pub function: &'static str,
    /// Which part of the API its refusals come from.
    pub domain: ErrorDomain,
    /// Which driver answers.
    pub needs: Needs,
    /// Who may call it.
    pub access: Access,
    /// Which workers libvirt's daemon would take.
    pub priority: Priority,
    /// What else travels.
    pub extra: Extra,
}

impl Procedure {
    /// Whether a read-only connection may call it.
    pub const fn readonly(&self) -> bool {
        !matches!(self.access, Access::Write)
    }
}

/// Procedures of the other programs that clients probe for; they are refused by their function's name.
pub const fn foreign_function(program: u32, procedure: i32) -> Option<&'static str> {
    Some(match (program, procedure) {
        (QEMU, 1) => "virDomainQemuMonitorCommand",
        (QEMU, 2) => "virDomainQemuAttach",
        (QEMU, 3) => "virDomainQemuAgentCommand",
        (QEMU, 4) => "virConnectDomainQemuMonitorEventRegister",
        (QEMU, 5) => "virConnectDomainQemuMonitorEventDeregister",
        (QEMU, 7) => "virDomainQemuMonitorCommandWithFiles",
        _ => return None,
    })
}
