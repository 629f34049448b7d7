//! The error structure that a refused call is answered with, and the numbers and texts in it.
//!
//! A client shows `message`; `str1` is the message with a hole, `str2` what fills the hole. Both are always sent: some
//! clients cannot read an error without a message.

use crate::object::{DomainRef, NetworkRef};
use crate::xdr::{Decoder, Encoder, STRING_LIMIT, Xdr, XdrError};

macro_rules! numbers {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[allow(missing_docs)] // the names are the protocol's own
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// Every number of this kind that we know.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The one with this number.
            pub fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// The number as it travels.
            pub const fn number(self) -> i32 {
                self as i32
            }
        }
    };
}

numbers! {
    /// What went wrong.
    ErrorCode {
        InternalError = 1,
        NoMemory = 2,
        NoSupport = 3,
        NoConnect = 5,
        InvalidArg = 8,
        OperationFailed = 9,
        NoName = 21,
        XmlError = 27,
        OperationDenied = 29,
        XmlDetail = 35,
        SystemError = 38,
        Rpc = 39,
        NoDomain = 42,
        NoNetwork = 43,
        InvalidMac = 44,
        AuthFailed = 45,
        NoStoragePool = 49,
        NoStorageVolume = 50,
        NoNodeDevice = 53,
        OperationInvalid = 55,
        ConfigUnsupported = 67,
        OperationTimeout = 68,
        HookScriptFailed = 70,
        ArgumentUnsupported = 74,
        OperationAborted = 78,
        NoDomainMetadata = 80,
        OperationUnsupported = 84,
        AgentUnresponsive = 86,
        ResourceBusy = 87,
        XmlInvalidSchema = 92,
        DeviceMissing = 99,
        NoNetworkPort = 107,
        NoNetworkMetadata = 111,
    }
}

numbers! {
    /// Who says so.
    ErrorDomain {
        None = 0,
        Xml = 5,
        Rpc = 7,
        Conf = 9,
        Qemu = 10,
        Lxc = 17,
        Storage = 18,
        Network = 19,
        Domain = 20,
        NodeDevice = 22,
        Security = 24,
        Cpu = 31,
        Hook = 34,
        DomainSnapshot = 35,
        Streams = 38,
        Libxl = 41,
        Capabilities = 44,
        Uri = 45,
        Cgroup = 54,
        Access = 55,
        Firewall = 59,
    }
}

impl ErrorCode {
    /// The text around the detail, with libvirt's mark for the hole.
    pub const fn template(self) -> &'static str {
        match self {
            Self::InternalError => "internal error: %1$s",
            Self::NoMemory => "out of memory: %1$s",
            Self::NoSupport => "this function is not supported by the connection driver: %1$s",
            Self::NoConnect => "no connection driver available for %1$s",
            Self::InvalidArg => "invalid argument: %1$s",
            Self::OperationFailed => "operation failed: %1$s",
            Self::NoName => "missing name information",
            Self::InvalidMac => "invalid MAC address: %1$s",
            Self::XmlError => "XML error: %1$s",
            Self::OperationDenied => "operation forbidden: %1$s",
            Self::XmlDetail | Self::SystemError | Self::Rpc => "%s",
            Self::NoDomain => "Domain not found: %1$s",
            Self::NoNetwork => "Network not found: %1$s",
            Self::AuthFailed => "authentication failed: %1$s",
            Self::NoNodeDevice => "Node device not found: %1$s",
            Self::NoStoragePool => "Storage pool not found: %1$s",
            Self::NoStorageVolume => "Storage volume not found: %1$s",
            Self::OperationInvalid => "Requested operation is not valid: %1$s",
            Self::ConfigUnsupported => "unsupported configuration: %1$s",
            Self::OperationTimeout => "Timed out during operation: %1$s",
            Self::HookScriptFailed => "Hook script execution failed: %1$s",
            Self::ArgumentUnsupported => "argument unsupported: %1$s",
            Self::OperationAborted => "operation aborted: %1$s",
            Self::NoDomainMetadata | Self::NoNetworkMetadata => "metadata not found: %1$s",
            Self::OperationUnsupported => "Operation not supported: %1$s",
            Self::AgentUnresponsive => "Guest agent is not responding: %1$s",
            Self::ResourceBusy => "resource busy: %1$s",
            Self::XmlInvalidSchema => "XML document failed to validate against schema: %1$s",
            Self::DeviceMissing => "device not found: %1$s",
            Self::NoNetworkPort => "network port not found: %1$s",
        }
    }
}

/// Severity "error"; nothing else is sent.
const LEVEL_ERROR: i32 = 2;

crate::xdr_struct! {
    /// The fields of an error, in their order.
    ErrorFields {
        code: i32,
        domain: i32,
        message: Option<String>,
        level: i32,
        dom: Option<DomainRef>,
        str1: Option<String>,
        str2: Option<String>,
        str3: Option<String>,
        int1: i32,
        int2: i32,
        net: Option<NetworkRef>,
    }
}

/// An error as it travels, in the payload of a reply with status error. Its fields are boxed: it is the rare half of
/// many results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReply(Box<ErrorFields>);

impl std::ops::Deref for ErrorReply {
    type Target = ErrorFields;
    fn deref(&self) -> &ErrorFields {
        &self.0
    }
}

impl Xdr for ErrorReply {
    fn encode(&self, out: &mut Encoder) {
        self.0.encode(out);
    }
    fn decode(input: &mut Decoder<'_>) -> Result<Self, XdrError> {
        ErrorFields::decode(input).map(|fields| Self(Box::new(fields)))
    }
}

impl ErrorReply {
    /// The same error as another part of libvirt says it: what `from` would say, `to` says, in its own
    /// words.
    #[must_use]
    pub fn said_by(mut self, from: ErrorDomain, to: ErrorDomain, words: &[(&str, &str)]) -> Self {
        let fields = &mut self.0;
        if fields.domain == from.number() {
            fields.domain = to.number();
            let texts = [
                &mut fields.message,
                &mut fields.str1,
                &mut fields.str2,
                &mut fields.str3,
            ];
            for text in texts.into_iter().flatten() {
                for (theirs, own) in words {
                    *text = text.replace(theirs, own);
                }
            }
        }
        self
    }

    /// An error with its code's template around `detail`.
    pub fn new(code: ErrorCode, domain: ErrorDomain, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let template = code.template();
        let message = template
            .strip_suffix("%1$s")
            .map_or_else(|| detail.clone(), |head| format!("{head}{detail}"));
        Self(Box::new(ErrorFields {
            code: code.number(),
            domain: domain.number(),
            message: Some(message),
            level: LEVEL_ERROR,
            dom: None,
            str1: Some(template.to_owned()),
            str2: Some(detail),
            str3: None,
            int1: -1,
            int2: -1,
            net: None,
        }))
    }

    /// A failure of the protocol itself.
    pub fn rpc(text: impl Into<String>) -> Self {
        Self::new(ErrorCode::Rpc, ErrorDomain::Rpc, text)
    }

    /// Something that should not have happened.
    pub fn internal(domain: ErrorDomain, text: impl Into<String>) -> Self {
        Self::new(ErrorCode::InternalError, domain, text)
    }

    /// A procedure that nobody serves; client libraries turn exactly this into "not supported".
    pub fn unknown_procedure(number: i32) -> Self {
        Self::rpc(format!("unknown procedure: {number}"))
    }

    /// Arguments that are cut short or over a limit.
    pub fn undecodable() -> Self {
        Self::rpc("Unable to decode message payload")
    }

    /// Flag bits that `function` (of the driver, not of the API) does not know.
    pub fn unsupported_flags(domain: ErrorDomain, unknown: u32, function: &str) -> Self {
        let text = format!("unsupported flags (0x{unknown:x}) in function {function}");
        Self::bad_argument(domain, text, function, "flags")
    }

    /// An argument that `function` does not take; the text is the whole message.
    pub fn bad_argument(
        domain: ErrorDomain,
        text: impl Into<String>,
        function: &str,
        argument: &str,
    ) -> Self {
        let mut error = Self::new(ErrorCode::InvalidArg, domain, "");
        error.0.message = Some(text.into());
        error.0.str1 = Some(function.to_owned());
        error.0.str2 = Some(argument.to_owned());
        error.0.int1 = 0;
        error.0.int2 = 0;
        error
    }

    /// An error whose code says it all.
    pub fn bare(code: ErrorCode, domain: ErrorDomain) -> Self {
        let mut error = Self::new(code, domain, "");
        error.0.message = Some(code.template().to_owned());
        error.0.str2 = None;
        error
    }

    /// The text that a client shows.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }

    /// The same error with its message cut so that it can be sent, and without the detail.
    pub(crate) fn clipped(&self) -> Self {
        let text = self.text();
        let mut end = text.len().min(STRING_LIMIT / 4);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut error = self.clone();
        error.0.message = Some(format!("{} (cut: {} bytes more)", &text[..end], text.len() - end));
        error.0.str2 = None;
        error
    }
}

impl std::fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ErrorReply {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_carries_template_detail_and_both_joined() {
        let error = ErrorReply::new(
            ErrorCode::NoDomain,
            ErrorDomain::Qemu,
            "no domain with matching name 'x'",
        );
        assert_eq!((error.code, error.domain, error.level), (42, 10, 2));
        assert_eq!(error.text(), "Domain not found: no domain with matching name 'x'");
        assert_eq!(error.str1.as_deref(), Some("Domain not found: %1$s"));
        assert_eq!(error.str2.as_deref(), Some("no domain with matching name 'x'"));
        assert_eq!((error.int1, error.int2), (-1, -1));
    }

    #[test]
    fn unknown_flags_name_the_function() {
        let error =
            ErrorReply::unsupported_flags(ErrorDomain::Qemu, 0x8000_0000, "qemuConnectListAllDomains");
        assert_eq!(
            error.text(),
            "unsupported flags (0x80000000) in function qemuConnectListAllDomains"
        );
        assert_eq!(error.str1.as_deref(), Some("qemuConnectListAllDomains"));
        assert_eq!((error.code, error.int1, error.int2), (8, 0, 0));
    }

    #[test]
    fn numbers_and_names_agree() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
            assert!(
                matches!(code.template(), "%s" | "missing name information")
                    || code.template().ends_with("%1$s")
            );
        }
        for domain in ErrorDomain::ALL {
            assert_eq!(ErrorDomain::from_number(domain.number()), Some(*domain));
        }
        assert_eq!(ErrorCode::from_number(0), None);
    }
}
