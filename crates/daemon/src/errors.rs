//! What clients are told: the one place where errors of all crates become libvirt's code, domain and text.
//!
//! An error's `Display` is the text that stands after the template of its code, so only code and domain are decided
//! here. Which part of libvirt says a thing (domain 10 or 20) hardly matters to anybody, but is kept where it is known.

use ferrovirt_guest::{BackendError, Error as GuestError};
use ferrovirt_hook::HookError;
use ferrovirt_host::Error as HostError;
use ferrovirt_network::Error as NetworkError;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};
use ferrovirt_xml::XmlError;

/// Which kind of document a text was meant to be: decides the domain of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `<domain>`
    Domain,
    /// `<network>`
    Network,
}

impl Document {
    const fn domain(self) -> ErrorDomain {
        match self {
            Self::Domain => ErrorDomain::Domain,
            Self::Network => ErrorDomain::Network,
        }
    }
}

/// Things that libvirt's generic code says about a guest, not its QEMU driver.
const SAID_BY_THE_GENERIC_CODE: &[&str] = &[
    "domain is not running",
    "transient domains do not have any persistent config",
    "Can't rename domain to itself",
];

/// The guest has no channel for an agent at all.
pub const NO_AGENT: &str = "QEMU guest agent is not configured";

/// An operation on a guest failed.
pub fn guest(error: GuestError) -> ErrorReply {
    use ErrorCode as Code;
    let (code, domain) = match &error {
        GuestError::NoDomain(_) => (Code::NoDomain, ErrorDomain::Qemu),
        GuestError::Failed(_) => (Code::OperationFailed, ErrorDomain::Domain),
        GuestError::Invalid(text) if SAID_BY_THE_GENERIC_CODE.contains(&text.as_str()) => {
            (Code::OperationInvalid, ErrorDomain::Domain)
        }
        GuestError::Invalid(_) | GuestError::Busy(_) => (Code::OperationInvalid, ErrorDomain::Qemu),
        GuestError::Argument(_) => (Code::InvalidArg, ErrorDomain::Qemu),
        GuestError::NotSupported(_) => (Code::OperationUnsupported, ErrorDomain::Qemu),
        GuestError::NoDevice(_) => (Code::DeviceMissing, ErrorDomain::Domain),
        GuestError::Xml(_) => (Code::XmlError, ErrorDomain::Domain),
        GuestError::Timeout(_) => (Code::OperationTimeout, ErrorDomain::Qemu),
        GuestError::Aborted(_) => (Code::OperationAborted, ErrorDomain::Qemu),
        GuestError::File { .. } => (Code::SystemError, ErrorDomain::Qemu),
        GuestError::Internal(_) => (Code::InternalError, ErrorDomain::Qemu),
        _ => return guest_of_others(error),
    };
    ErrorReply::new(code, domain, error.to_string())
}

/// What a guest's operation only passes on.
fn guest_of_others(error: GuestError) -> ErrorReply {
    match error {
        GuestError::Hook(error) => hook(&error),
        GuestError::Network(error) => network(error),
        GuestError::Backend(error) => backend(&error),
        GuestError::Document(error) => document(&error, "", Document::Domain),
        other => ErrorReply::internal(ErrorDomain::Qemu, other.to_string()),
    }
}

fn backend(error: &BackendError) -> ErrorReply {
    use ErrorCode as Code;
    let (code, domain) = match error {
        BackendError::Xml(_) => (Code::XmlError, ErrorDomain::Domain),
        BackendError::Unsupported(_) => (Code::ConfigUnsupported, ErrorDomain::Qemu),
        BackendError::Argument(_) => (Code::InvalidArg, ErrorDomain::Qemu),
        BackendError::NotSupported(_) => (Code::OperationUnsupported, ErrorDomain::Qemu),
        BackendError::Invalid(_) => (Code::OperationInvalid, ErrorDomain::Qemu),
        BackendError::Internal(_) => (Code::InternalError, ErrorDomain::Qemu),
        BackendError::System(_) => (Code::SystemError, ErrorDomain::Qemu),
        BackendError::Timeout(_) => (Code::OperationTimeout, ErrorDomain::Qemu),
        BackendError::Failed(_) => (Code::OperationFailed, ErrorDomain::Qemu),
        BackendError::Agent(text) if text == NO_AGENT => (Code::ArgumentUnsupported, ErrorDomain::Qemu),
        BackendError::Agent(_) => (Code::AgentUnresponsive, ErrorDomain::Qemu),
        BackendError::Cancelled => (Code::OperationAborted, ErrorDomain::Qemu),
    };
    ErrorReply::new(code, domain, error.to_string())
}

/// An operation on a network failed.
pub fn network(error: NetworkError) -> ErrorReply {
    use ErrorCode as Code;
    let code = match &error {
        NetworkError::NoNetwork(_) => Code::NoNetwork,
        NetworkError::NoPort(_) => Code::NoNetworkPort,
        NetworkError::Failed(_) => Code::OperationFailed,
        NetworkError::Invalid(_) | NetworkError::Busy(_) => Code::OperationInvalid,
        NetworkError::Xml(_) => Code::XmlError,
        NetworkError::Unsupported(_) => Code::ConfigUnsupported,
        NetworkError::Denied(_) => Code::OperationUnsupported,
        NetworkError::Cancelled(_) => Code::OperationAborted,
        NetworkError::Link(_) | NetworkError::File { .. } => Code::SystemError,
        NetworkError::Program(_) | NetworkError::Internal(_) => Code::InternalError,
        NetworkError::Hook(error) => return hook(error),
        NetworkError::Document(error) => return document(error, "", Document::Network),
    };
    ErrorReply::new(code, ErrorDomain::Network, error.to_string())
}

/// An operation on a device of the host failed.
pub fn device(error: &HostError) -> ErrorReply {
    use ErrorCode as Code;
    use ErrorDomain as Domain;
    let (code, domain) = match error {
        HostError::NoDevice(_) | HostError::NoScsiHost { .. } => (Code::NoNodeDevice, Domain::NodeDevice),
        HostError::NotPci(_) => (Code::InvalidArg, Domain::NodeDevice),
        HostError::NoVfio | HostError::LegacyKvm => (Code::ArgumentUnsupported, Domain::Qemu),
        HostError::NoPassthrough | HostError::DriverKind(_) => (Code::ConfigUnsupported, Domain::Qemu),
        HostError::InUse { .. }
        | HostError::Unmanaged(_)
        | HostError::UsbInUse { .. }
        | HostError::Busy { .. } => (Code::OperationInvalid, Domain::None),
        HostError::ManyUsbDevices { .. } => (Code::OperationFailed, Domain::None),
        HostError::Hangs { .. } => (Code::OperationTimeout, Domain::None),
        // libvirt says these without anything before them.
        HostError::NoPciDevice { .. }
        | HostError::Directory { .. }
        | HostError::NoGroupNode { .. }
        | HostError::Register { .. }
        | HostError::Sysfs { .. } => (Code::SystemError, Domain::None),
        HostError::NotEndpoint
        | HostError::ResetActive(_)
        | HostError::ResetNotEndpoint(_)
        | HostError::Reset { .. }
        | HostError::Module { .. }
        | HostError::NoGroup(_)
        | HostError::NotBound { .. }
        | HostError::NoUsbDevice(_)
        | HostError::Internal(_) => (Code::InternalError, Domain::None),
    };
    ErrorReply::new(code, domain, error.to_string())
}

/// A hook said no (R13): str2 is what stands after the template.
pub fn hook(error: &HookError) -> ErrorReply {
    ErrorReply::new(ErrorCode::HookScriptFailed, ErrorDomain::Hook, error.detail())
}

/// A document is not what it should be. `text` is the document, so that the place can be shown.
pub fn document(error: &XmlError, text: &str, kind: Document) -> ErrorReply {
    let code = match error {
        XmlError::Malformed {
            line,
            col,
            text: what,
        } => {
            let place = shown(text, *line, *col);
            let message = format!("at line {line}, column {col}: {what}{place}");
            return ErrorReply::new(ErrorCode::XmlDetail, kind.domain(), message);
        }
        XmlError::Missing { path, .. } if is_the_name(path) => {
            return ErrorReply::bare(ErrorCode::NoName, kind.domain());
        }
        XmlError::Invalid { .. } | XmlError::Missing { .. } | XmlError::Inconsistent(_) => {
            ErrorCode::XmlError
        }
        XmlError::Unknown(_) | XmlError::Unsupported(_) => ErrorCode::ConfigUnsupported,
    };
    ErrorReply::new(code, kind.domain(), error.to_string())
}

fn is_the_name(path: &str) -> bool {
    matches!(
        path.trim_start_matches('/'),
        "domain/name" | "network/name" | "name"
    )
}

/// The line of a mistake and an arrow at its column, as libvirt shows it; nothing if the text has no such line.
fn shown(text: &str, line: u32, col: u32) -> String {
    /// What fits a terminal's line.
    const WIDTH: usize = 80;
    let at = (line as usize).saturating_sub(1);
    let col = (col as usize).saturating_sub(1);
    let Some(content) = text.lines().nth(at) else {
        return String::new();
    };
    let skipped = (col + 1).saturating_sub(WIDTH);
    let content: String = content.chars().skip(skipped).take(WIDTH).collect();
    format!("\n{content}\n{}^", "-".repeat(col - skipped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_hook::{Driver, GuestOperation, HookEvent};

    #[test]
    fn r13_a_hooks_failure_has_template_and_detail_apart() {
        let event = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Prepare).unwrap();
        let detail = "internal error: Child process (LC_ALL=C /h/qemu g1 prepare begin -) unexpected exit status 3: no";
        let error = HookError::Failed {
            event: Box::new(event),
            script: "/h/qemu".into(),
            detail: detail.to_owned(),
        };
        let whole = error.to_string();
        for reply in [hook(&error), guest(GuestError::Hook(error))] {
            assert_eq!((reply.code, reply.domain), (70, 34));
            assert_eq!(reply.text(), whole);
            assert_eq!(reply.str1.as_deref(), Some("Hook script execution failed: %1$s"));
            assert_eq!(reply.str2.as_deref(), Some(detail));
        }
    }

    #[test]
    fn guests_and_networks_say_what_libvirt_says() {
        let reply = guest(GuestError::Invalid("domain is not running".to_owned()));
        assert_eq!((reply.code, reply.domain), (55, 20));
        assert_eq!(
            reply.text(),
            "Requested operation is not valid: domain is not running"
        );
        let reply = guest(GuestError::Invalid("cannot rename active domain".to_owned()));
        assert_eq!((reply.code, reply.domain), (55, 10));
        let reply = guest(GuestError::Network(NetworkError::Invalid(
            "network 'net1' is not active".to_owned(),
        )));
        assert_eq!((reply.code, reply.domain), (55, 19));
        assert_eq!(
            reply.text(),
            "Requested operation is not valid: network 'net1' is not active"
        );
        let reply = network(NetworkError::NoNetwork(
            "no network with matching name 'x'".to_owned(),
        ));
        assert_eq!(
            reply.text(),
            "Network not found: no network with matching name 'x'"
        );
    }

    #[test]
    fn r91_a_refusal_that_names_the_hook_is_an_invalid_operation() {
        let reply = guest(GuestError::Busy(
            "guest g1 waits for hook /h/qemu (qemu g1 prepare begin -)".to_owned(),
        ));
        assert_eq!(reply.code, 55);
        assert!(reply.text().ends_with("(qemu g1 prepare begin -)"));
    }

    #[test]
    fn a_mistake_in_a_document_is_shown_with_line_and_column() {
        let error = XmlError::Malformed {
            line: 2,
            col: 12,
            text: "expected 'name' tag, not 'nam'".to_owned(),
        };
        let reply = document(&error, "<domain>\n  <name>x</nam>\n</domain>", Document::Domain);
        assert_eq!((reply.code, reply.domain), (35, 20));
        let expected = "at line 2, column 12: expected 'name' tag, not 'nam'\n  <name>x</nam>\n-----------^";
        assert_eq!(reply.text(), expected);
        // A place that is not there shows nothing.
        let error = XmlError::Malformed {
            line: 9,
            col: 1,
            text: "no".to_owned(),
        };
        assert_eq!(
            document(&error, "<a/>", Document::Network).text(),
            "at line 9, column 1: no"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_mistake() {
        let text = format!("<a>{}<", "ä".repeat(500));
        let shown = shown(&text, 1, 504);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].chars().count(), 80);
        assert!(lines[1].ends_with('<'));
        assert_eq!(lines[2].len(), 80);
    }

    #[test]
    fn what_is_unknown_is_unsupported_and_what_is_missing_is_named() {
        let unknown = ferrovirt_xml::Unknown {
            line: 3,
            col: 5,
            path: "domain/foo".to_owned(),
        };
        let reply = document(&XmlError::Unknown(vec![unknown]), "", Document::Domain);
        assert_eq!((reply.code, reply.domain), (67, 20));
        assert!(reply.text().contains("domain/foo"));
        let missing = XmlError::Missing {
            line: 1,
            col: 1,
            path: "network/name".to_owned(),
            text: "missing".to_owned(),
        };
        let reply = document(&missing, "", Document::Network);
        assert_eq!(
            (reply.code, reply.domain, reply.text()),
            (21, 19, "missing name information")
        );
    }
}
