//! Who may do what on a connection: nothing before it is open, only looking when it is read-only, and only what its
//! driver has.

use ferrovirt_wire::procedures::number;
use ferrovirt_wire::program::{Access, Needs};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply, Procedure};

use crate::dispatch::Scheme;

/// Whether `procedure` may be called on a connection; `open` says what was opened, and whether for reading only.
///
/// # Errors
/// What the client is told instead.
pub fn admit(procedure: &Procedure, open: Option<(Scheme, bool)>) -> Result<(), ErrorReply> {
    if procedure.access == Access::Greeting {
        return Ok(());
    }
    let Some((scheme, read_only)) = open else {
        return Err(not_open());
    };
    if read_only && !procedure.readonly() {
        return Err(read_only_prevents(procedure.domain, procedure.function));
    }
    let served = match procedure.needs {
        Needs::Connection | Needs::Networks => true,
        Needs::Hypervisor => {
            scheme != Scheme::Network
                && !(scheme == Scheme::Lxc && NOT_OF_CONTAINERS.contains(&procedure.number))
        }
        Needs::Storage => scheme != Scheme::Network,
        Needs::Containers => scheme == Scheme::Lxc,
    };
    if served {
        Ok(())
    } else {
        Err(ErrorReply::new(
            ErrorCode::NoSupport,
            procedure.domain,
            procedure.function,
        ))
    }
}

/// What libvirt's driver for containers does not have.
const NOT_OF_CONTAINERS: &[i32] = &[
    number::DOMAIN_RESET,
    number::DOMAIN_RENAME,
    number::DOMAIN_HAS_MANAGED_SAVE_IMAGE,
    number::DOMAIN_SNAPSHOT_NUM,
    number::CONNECT_DOMAIN_XML_TO_NATIVE,
    number::CONNECT_GET_DOMAIN_CAPABILITIES,
    number::NODE_DEVICE_DETTACH,
    number::NODE_DEVICE_RE_ATTACH,
    number::NODE_DEVICE_RESET,
    number::NODE_DEVICE_DETACH_FLAGS,
];

/// Something was asked before CONNECT_OPEN.
pub fn not_open() -> ErrorReply {
    ErrorReply::internal(ErrorDomain::Rpc, "hypervisor connection not open")
}

/// A reader wants to change something.
pub fn read_only_prevents(domain: ErrorDomain, function: &str) -> ErrorReply {
    ErrorReply::new(
        ErrorCode::OperationDenied,
        domain,
        format!("read only access prevents {function}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrovirt_wire::procedures::{TABLE, find};

    fn refusal(number: i32, open: Option<(Scheme, bool)>) -> Option<(i32, i32, String)> {
        let error = admit(find(number).unwrap(), open).err()?;
        Some((error.code, error.domain, error.text().to_owned()))
    }

    #[test]
    fn before_the_connection_is_open_only_greetings_pass() {
        for row in TABLE {
            let passes = matches!(
                row.name,
                "CONNECT_OPEN" | "CONNECT_CLOSE" | "AUTH_LIST" | "CONNECT_SUPPORTS_FEATURE"
            );
            assert_eq!(admit(row, None).is_ok(), passes, "{}", row.name);
        }
        let expected = (1, 7, "internal error: hypervisor connection not open".to_owned());
        assert_eq!(refusal(number::CONNECT_LIST_ALL_DOMAINS, None), Some(expected));
    }

    #[test]
    fn readers_may_look_and_not_change() {
        let open = Some((Scheme::Qemu, true));
        let expected = (
            29,
            20,
            "operation forbidden: read only access prevents virDomainCreate".to_owned(),
        );
        assert_eq!(refusal(number::DOMAIN_CREATE, open), Some(expected));
        let expected = (
            29,
            19,
            "operation forbidden: read only access prevents virNetworkUndefine".to_owned(),
        );
        assert_eq!(refusal(number::NETWORK_UNDEFINE, open), Some(expected));
        assert_eq!(refusal(number::DOMAIN_GET_XML_DESC, open), None);
        assert_eq!(refusal(number::DOMAIN_CREATE, Some((Scheme::Qemu, false))), None);
    }

    #[test]
    fn the_network_driver_has_no_guests() {
        let open = Some((Scheme::Network, false));
        let text = "this function is not supported by the connection driver: virConnectListAllDomains";
        assert_eq!(
            refusal(number::CONNECT_LIST_ALL_DOMAINS, open),
            Some((3, 20, text.to_owned()))
        );
        let text = "this function is not supported by the connection driver: virConnectListAllStoragePools";
        assert_eq!(
            refusal(number::CONNECT_LIST_ALL_STORAGE_POOLS, open),
            Some((3, 18, text.to_owned()))
        );
        let [row] = ferrovirt_wire::lxc::TABLE else {
            panic!()
        };
        let error = admit(row, Some((Scheme::Qemu, false))).unwrap_err();
        let text = "this function is not supported by the connection driver: virDomainLxcOpenNamespace";
        assert_eq!((error.code, error.domain, error.text()), (3, 0, text));
        for number in [
            number::CONNECT_LIST_ALL_NETWORKS,
            number::CONNECT_GET_LIB_VERSION,
            number::CONNECT_GET_URI,
        ] {
            assert_eq!(refusal(number, open), None);
        }
    }
}
