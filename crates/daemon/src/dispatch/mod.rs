//! From procedures to the crates below: one file per kind of object, one function per procedure.
//!
//! `read` functions are not async: they take a snapshot and cannot wait, not even by mistake (R90). `wait` functions ask a
//! hypervisor, a file or a network, or change something; a change carries the origin of the request (R91). `stream`
//! functions open something whose bytes then travel beside calls.

mod addresses;
mod affect;
mod change;
mod connect;
mod console;
mod device;
mod domain;
mod event;
mod metadata;
mod network;
mod node;
mod node_device;
mod own;
mod stats;
mod storage;
mod threads;
mod tune;
mod uri;

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use ferrovirt_guest::{GuestHandle, GuestSet};
use ferrovirt_hook::Origin;
use ferrovirt_hook::history::AskedBy;
use ferrovirt_model::Uuid;
use ferrovirt_network::NetworkHandle;
use ferrovirt_wire::lxc::{DomainOpenNamespaceArgs, LxcService};
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{DomainRef, ErrorCode, ErrorDomain, ErrorReply, NetworkRef, Procedure, RemoteService};
use ferrovirt_xml::UnknownPolicy;

use crate::access;
use crate::connection::Peer;
use crate::host::{Client, Host};
use crate::settings::own::UnknownXml;
use crate::stream::Endpoint;

pub use uri::Scheme;
use uri::Uri;

/// What is known about one connection: who is there, and what was opened.
pub struct Session {
    host: Arc<Host>,
    peer: Arc<Peer>,
    /// Whether the client's process belongs to a hook (R91).
    in_a_hook: bool,
    opened: OnceLock<Opened>,
    client: OnceLock<AskedBy>,
    _counted: Client,
}

/// What CONNECT_OPEN opened.
#[derive(Debug, Clone)]
struct Opened {
    uri: Uri,
    read_only: bool,
}

impl Session {
    /// A client has connected.
    pub fn new(host: Arc<Host>, peer: Arc<Peer>) -> Self {
        let in_a_hook = peer.pid.and_then(|pid| host.engine.origin_of(pid)).is_some();
        let counted = host.clients.enter();
        Self {
            host,
            peer,
            in_a_hook,
            opened: OnceLock::new(),
            client: OnceLock::new(),
            _counted: counted,
        }
    }

    /// Who asks: an ordinary client, or a process inside a hook that some object's operation waits for (R91). Asked for
    /// each request, since a process may outlive the hook that started it.
    fn origin(&self) -> Origin {
        let pid = self.peer.pid.filter(|_| self.in_a_hook);
        let origin = pid
            .and_then(|pid| self.host.engine.origin_of(pid))
            .unwrap_or_default();
        let asked_by = AskedBy {
            hook: origin.asked_by().hook,
            ..self.client().clone()
        };
        origin.by(asked_by)
    }

    /// The client's process, for the history.
    fn client(&self) -> &AskedBy {
        self.client.get_or_init(|| {
            let program = |pid: i32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
            AskedBy {
                pid: self.peer.pid.and_then(|pid| u32::try_from(pid).ok()),
                uid: Some(self.peer.uid),
                program: self
                    .peer
                    .pid
                    .and_then(program)
                    .map(|path| path.to_string_lossy().into_owned()),
                hook: None,
            }
        })
    }

    fn opened(&self) -> Result<&Opened, ErrorReply> {
        self.opened.get().ok_or_else(access::not_open)
    }

    fn read_only(&self) -> bool {
        self.peer.read_only || self.opened.get().is_none_or(|opened| opened.read_only)
    }

    /// What differs between QEMU's guests and containers: flags that are known, for example.
    fn by_driver<T>(&self, qemu: T, lxc: T) -> T {
        match self.opened.get().map(|opened| opened.uri.scheme) {
            Some(Scheme::Lxc) => lxc,
            _ => qemu,
        }
    }

    fn unknown_policy(&self) -> UnknownPolicy {
        match self.host.settings.own.unknown_xml {
            UnknownXml::Refuse => UnknownPolicy::Refuse,
            UnknownXml::Keep => UnknownPolicy::Keep,
        }
    }

    /// The guests of the driver that is open.
    fn guests(&self) -> Result<&dyn GuestSet, ErrorReply> {
        let set = self
            .opened()?
            .uri
            .scheme
            .driver()
            .and_then(|driver| self.host.guests.of(driver));
        set.ok_or_else(|| ErrorReply::new(ErrorCode::NoSupport, ErrorDomain::Domain, "virDomain"))
    }

    /// The guest that a client means: only the uuid counts.
    fn guest(&self, dom: &DomainRef) -> Result<GuestHandle, ErrorReply> {
        let uuid = Uuid(dom.uuid);
        self.guests()?.by_uuid(&uuid).ok_or_else(|| {
            let text = format!("no domain with matching uuid '{uuid}' ({})", dom.name);
            ErrorReply::new(ErrorCode::NoDomain, ErrorDomain::Qemu, text)
        })
    }

    /// The network that a client means: only the uuid counts.
    fn network(&self, net: &NetworkRef) -> Result<NetworkHandle, ErrorReply> {
        let uuid = Uuid(net.uuid);
        self.host.networks.by_uuid(&uuid).ok_or_else(|| {
            let text = format!("no network with matching uuid '{uuid}' ({})", net.name);
            ErrorReply::new(ErrorCode::NoNetwork, ErrorDomain::Network, text)
        })
    }
}

impl Session {
    /// What is said for QEMU is said by the driver that is open.
    fn in_the_words_of_the_driver(&self, error: ErrorReply) -> ErrorReply {
        match self.opened.get().map(|opened| opened.uri.scheme) {
            Some(Scheme::Lxc) => {
                let words = [("qemuDomain", "lxcDomain"), ("qemuConnect", "lxcConnect")];
                error.said_by(ErrorDomain::Qemu, ErrorDomain::Lxc, &words)
            }
            _ => error,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.host.bulletin.leave(&self.peer);
    }
}

/// Refuses flag bits that are not in `known`; `function` is what libvirt calls the driver's function.
fn only_flags(flags: u32, known: u32, domain: ErrorDomain, function: &str) -> Result<(), ErrorReply> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(ErrorReply::unsupported_flags(domain, unknown, function)),
    }
}

/// Two bits of a filter: neither or both let everything through.
fn passes(flags: u32, yes: u32, no: u32, value: bool) -> bool {
    flags & (yes | no) == 0 || flags & if value { yes } else { no } != 0
}

/// More objects than a reply can hold.
fn too_many(domain: ErrorDomain, what: &str, limit: usize) -> ErrorReply {
    ErrorReply::internal(domain, format!("too many {what}: a reply holds {limit}"))
}

macro_rules! serve {
    ($($how:ident $method:ident($args:ty) = $handler:path;)*) => {
        impl RemoteService for Session {
            type Stream = Endpoint;

            fn admit(&self, procedure: &Procedure) -> Result<(), ErrorReply> {
                let open = self.opened.get().map(|opened| (opened.uri.scheme, self.read_only()));
                access::admit(procedure, open)
            }
            $(serve!{@$how $method($args) = $handler})*
        }
    };
    (@read $method:ident($args:ty) = $handler:path) => {
        async fn $method(&self, args: $args) -> Result<<$args as Call>::Results, ErrorReply> {
            $handler(self, args).map_err(|error| self.in_the_words_of_the_driver(error))
        }
    };
    (@wait $method:ident($args:ty) = $handler:path) => {
        async fn $method(&self, args: $args) -> Result<<$args as Call>::Results, ErrorReply> {
            let answer = $handler(self, args).await;
            answer.map_err(|error| self.in_the_words_of_the_driver(error))
        }
    };
    (@stream $method:ident($args:ty) = $handler:path) => {
        async fn $method(&self, args: $args) -> Result<(<$args as Call>::Results, Endpoint), ErrorReply> {
            let answer = $handler(self, args).await;
            answer.map_err(|error| self.in_the_words_of_the_driver(error))
        }
    };
}

serve! {
    wait connect_open(ConnectOpenArgs) = connect::open;
    read connect_close(ConnectCloseArgs) = connect::close;
    read connect_get_type(ConnectGetTypeArgs) = connect::kind;
    wait connect_get_version(ConnectGetVersionArgs) = node::version;
    read node_get_info(NodeGetInfoArgs) = node::info;
    wait connect_get_capabilities(ConnectGetCapabilitiesArgs) = node::capabilities;
    wait domain_attach_device(DomainAttachDeviceArgs) = device::attach;
    wait domain_create(DomainCreateArgs) = change::create;
    wait domain_create_xml(DomainCreateXmlArgs) = change::create_xml;
    wait domain_define_xml(DomainDefineXmlArgs) = change::define_xml;
    wait domain_destroy(DomainDestroyArgs) = change::destroy;
    wait domain_detach_device(DomainDetachDeviceArgs) = device::detach;
    read domain_get_xml_desc(DomainGetXmlDescArgs) = domain::xml_desc;
    read domain_get_autostart(DomainGetAutostartArgs) = domain::autostart;
    wait domain_get_info(DomainGetInfoArgs) = domain::info;
    read domain_get_max_memory(DomainGetMaxMemoryArgs) = tune::max_memory;
    read domain_get_max_vcpus(DomainGetMaxVcpusArgs) = tune::max_vcpus;
    read domain_get_os_type(DomainGetOsTypeArgs) = domain::os_type;
    read domain_lookup_by_id(DomainLookupByIdArgs) = domain::lookup_by_id;
    read domain_lookup_by_name(DomainLookupByNameArgs) = domain::lookup_by_name;
    read domain_lookup_by_uuid(DomainLookupByUuidArgs) = domain::lookup_by_uuid;
    wait domain_reboot(DomainRebootArgs) = change::reboot;
    wait domain_resume(DomainResumeArgs) = change::resume;
    wait domain_set_autostart(DomainSetAutostartArgs) = change::set_autostart;
    wait domain_set_max_memory(DomainSetMaxMemoryArgs) = tune::set_max_memory;
    wait domain_set_memory(DomainSetMemoryArgs) = tune::set_memory;
    wait domain_set_vcpus(DomainSetVcpusArgs) = tune::set_vcpus;
    wait domain_shutdown(DomainShutdownArgs) = change::shutdown;
    wait domain_suspend(DomainSuspendArgs) = change::suspend;
    wait domain_undefine(DomainUndefineArgs) = change::undefine;
    wait network_create(NetworkCreateArgs) = network::create;
    wait network_create_xml(NetworkCreateXmlArgs) = network::create_xml;
    wait network_define_xml(NetworkDefineXmlArgs) = network::define_xml;
    wait network_destroy(NetworkDestroyArgs) = network::destroy;
    read network_get_xml_desc(NetworkGetXmlDescArgs) = network::xml_desc;
    read network_get_autostart(NetworkGetAutostartArgs) = network::autostart;
    read network_get_bridge_name(NetworkGetBridgeNameArgs) = network::bridge_name;
    read network_lookup_by_name(NetworkLookupByNameArgs) = network::lookup_by_name;
    read network_lookup_by_uuid(NetworkLookupByUuidArgs) = network::lookup_by_uuid;
    wait network_set_autostart(NetworkSetAutostartArgs) = network::set_autostart;
    wait network_undefine(NetworkUndefineArgs) = network::undefine;
    read domain_get_scheduler_type(DomainGetSchedulerTypeArgs) = tune::scheduler_type;
    wait domain_get_scheduler_parameters(DomainGetSchedulerParametersArgs) = tune::scheduler;
    wait domain_set_scheduler_parameters(DomainSetSchedulerParametersArgs) = tune::set_scheduler;
    read connect_get_hostname(ConnectGetHostnameArgs) = node::hostname;
    read connect_supports_feature(ConnectSupportsFeatureArgs) = connect::supports_feature;
    read auth_list(AuthListArgs) = connect::auth_list;
    read connect_get_uri(ConnectGetUriArgs) = connect::uri;
    read node_num_of_devices(NodeNumOfDevicesArgs) = node_device::number;
    read node_list_devices(NodeListDevicesArgs) = node_device::names;
    read node_device_lookup_by_name(NodeDeviceLookupByNameArgs) = node_device::lookup_by_name;
    wait node_device_get_xml_desc(NodeDeviceGetXmlDescArgs) = node_device::xml_desc;
    read node_device_get_parent(NodeDeviceGetParentArgs) = node_device::parent;
    read node_device_num_of_caps(NodeDeviceNumOfCapsArgs) = node_device::number_of_words;
    read node_device_list_caps(NodeDeviceListCapsArgs) = node_device::words;
    wait node_device_dettach(NodeDeviceDettachArgs) = node_device::detach;
    wait node_device_re_attach(NodeDeviceReAttachArgs) = node_device::reattach;
    wait node_device_reset(NodeDeviceResetArgs) = node_device::reset;
    read node_device_create_xml(NodeDeviceCreateXmlArgs) = node_device::create_xml;
    read node_device_destroy(NodeDeviceDestroyArgs) = node_device::destroy;
    read domain_get_security_label(DomainGetSecurityLabelArgs) = domain::security_label;
    read node_get_security_model(NodeGetSecurityModelArgs) = node::security_model;
    wait connect_domain_xml_to_native(ConnectDomainXmlToNativeArgs) = change::to_native;
    read domain_is_active(DomainIsActiveArgs) = domain::is_active;
    read domain_is_persistent(DomainIsPersistentArgs) = domain::is_persistent;
    read network_is_active(NetworkIsActiveArgs) = network::is_active;
    read network_is_persistent(NetworkIsPersistentArgs) = network::is_persistent;
    read connect_get_lib_version(ConnectGetLibVersionArgs) = connect::lib_version;
    wait domain_attach_device_flags(DomainAttachDeviceFlagsArgs) = device::attach_flags;
    wait domain_detach_device_flags(DomainDetachDeviceFlagsArgs) = device::detach_flags;
    wait domain_update_device_flags(DomainUpdateDeviceFlagsArgs) = device::update_flags;
    read domain_has_managed_save_image(DomainHasManagedSaveImageArgs) = domain::has_managed_save_image;
    read domain_snapshot_num(DomainSnapshotNumArgs) = domain::snapshot_num;
    wait domain_create_with_flags(DomainCreateWithFlagsArgs) = change::create_with_flags;
    stream domain_open_console(DomainOpenConsoleArgs) = console::open_console;
    wait domain_set_memory_parameters(DomainSetMemoryParametersArgs) = tune::set_memory_parameters;
    wait domain_get_memory_parameters(DomainGetMemoryParametersArgs) = tune::memory_parameters;
    wait domain_set_vcpus_flags(DomainSetVcpusFlagsArgs) = tune::set_vcpus_flags;
    read node_get_cpu_map(NodeGetCpuMapArgs) = threads::cpu_map;
    wait domain_get_vcpus(DomainGetVcpusArgs) = threads::vcpus;
    wait domain_pin_vcpu(DomainPinVcpuArgs) = threads::pin_vcpu;
    wait domain_pin_vcpu_flags(DomainPinVcpuFlagsArgs) = threads::pin_vcpu_flags;
    read domain_get_vcpu_pin_info(DomainGetVcpuPinInfoArgs) = threads::vcpu_pins;
    wait domain_pin_emulator(DomainPinEmulatorArgs) = threads::pin_emulator;
    read domain_get_emulator_pin_info(DomainGetEmulatorPinInfoArgs) = threads::emulator_pin;
    read domain_get_iothread_info(DomainGetIothreadInfoArgs) = threads::io_threads;
    wait domain_pin_iothread(DomainPinIothreadArgs) = threads::pin_io_thread;
    wait domain_add_iothread(DomainAddIothreadArgs) = threads::add_io_thread;
    wait domain_del_iothread(DomainDelIothreadArgs) = threads::remove_io_thread;
    wait domain_set_iothread_params(DomainSetIothreadParamsArgs) = threads::set_io_thread;
    read domain_get_vcpus_flags(DomainGetVcpusFlagsArgs) = tune::vcpus_flags;
    wait domain_set_memory_flags(DomainSetMemoryFlagsArgs) = tune::set_memory_flags;
    wait domain_set_blkio_parameters(DomainSetBlkioParametersArgs) = tune::set_blkio_parameters;
    wait domain_get_blkio_parameters(DomainGetBlkioParametersArgs) = tune::blkio_parameters;
    read domain_get_state(DomainGetStateArgs) = domain::state;
    wait domain_set_scheduler_parameters_flags(DomainSetSchedulerParametersFlagsArgs) = tune::set_scheduler_flags;
    wait domain_get_scheduler_parameters_flags(DomainGetSchedulerParametersFlagsArgs) = tune::scheduler_flags;
    wait domain_undefine_flags(DomainUndefineFlagsArgs) = change::undefine_flags;
    wait domain_destroy_flags(DomainDestroyFlagsArgs) = change::destroy_flags;
    wait domain_reset(DomainResetArgs) = change::reset;
    wait domain_shutdown_flags(DomainShutdownFlagsArgs) = change::shutdown_flags;
    wait domain_set_metadata(DomainSetMetadataArgs) = metadata::set;
    read domain_get_metadata(DomainGetMetadataArgs) = metadata::get;
    read connect_list_all_domains(ConnectListAllDomainsArgs) = domain::list_all;
    read storage_pool_lookup_by_name(StoragePoolLookupByNameArgs) = storage::lookup_pool;
    read storage_vol_lookup_by_key(StorageVolLookupByKeyArgs) = storage::lookup_by_key;
    read storage_vol_lookup_by_path(StorageVolLookupByPathArgs) = storage::lookup_by_path;
    wait connect_get_domain_capabilities(ConnectGetDomainCapabilitiesArgs) = node::domain_capabilities;
    read connect_list_all_storage_pools(ConnectListAllStoragePoolsArgs) = storage::list_all;
    read connect_list_all_networks(ConnectListAllNetworksArgs) = network::list_all;
    read connect_list_all_node_devices(ConnectListAllNodeDevicesArgs) = node_device::list_all;
    read node_device_lookup_scsi_host_by_wwn(NodeDeviceLookupScsiHostByWwnArgs) = node_device::lookup_scsi_host;
    wait node_device_detach_flags(NodeDeviceDetachFlagsArgs) = node_device::detach_flags;
    read connect_node_device_event_register_any(ConnectNodeDeviceEventRegisterAnyArgs) = event::register_device;
    read connect_node_device_event_deregister_any(ConnectNodeDeviceEventDeregisterAnyArgs) = event::deregister_device;
    read node_device_define_xml(NodeDeviceDefineXmlArgs) = node_device::define_xml;
    read node_device_undefine(NodeDeviceUndefineArgs) = node_device::undefine;
    read node_device_create(NodeDeviceCreateArgs) = node_device::create;
    read node_device_get_autostart(NodeDeviceGetAutostartArgs) = node_device::autostart;
    read node_device_set_autostart(NodeDeviceSetAutostartArgs) = node_device::set_autostart;
    read node_device_is_persistent(NodeDeviceIsPersistentArgs) = node_device::is_persistent;
    read node_device_is_active(NodeDeviceIsActiveArgs) = node_device::is_active;
    read node_device_update(NodeDeviceUpdateArgs) = node_device::update;
    stream domain_open_channel(DomainOpenChannelArgs) = console::open_channel;
    read connect_network_event_register_any(ConnectNetworkEventRegisterAnyArgs) = event::register_network;
    read connect_network_event_deregister_any(ConnectNetworkEventDeregisterAnyArgs) = event::deregister_network;
    read connect_domain_event_callback_register_any(ConnectDomainEventCallbackRegisterAnyArgs) = event::register_domain;
    read connect_domain_event_callback_deregister_any(ConnectDomainEventCallbackDeregisterAnyArgs) = event::deregister_domain;
    wait network_get_dhcp_leases(NetworkGetDhcpLeasesArgs) = network::dhcp_leases;
    wait connect_get_all_domain_stats(ConnectGetAllDomainStatsArgs) = stats::all;
    wait domain_define_xml_flags(DomainDefineXmlFlagsArgs) = change::define_xml_flags;
    wait domain_interface_addresses(DomainInterfaceAddressesArgs) = addresses::interface_addresses;
    wait domain_rename(DomainRenameArgs) = change::rename;
    read connect_register_close_callback(ConnectRegisterCloseCallbackArgs) = connect::register_close_callback;
    read connect_unregister_close_callback(ConnectUnregisterCloseCallbackArgs) = connect::unregister_close_callback;
    wait domain_detach_device_alias(DomainDetachDeviceAliasArgs) = device::detach_alias;
    read network_list_all_ports(NetworkListAllPortsArgs) = network::list_all_ports;
    read domain_get_messages(DomainGetMessagesArgs) = domain::messages;
    read domain_get_autostart_once(DomainGetAutostartOnceArgs) = domain::autostart_once;
}

impl LxcService for Session {
    fn admit_lxc(&self, procedure: &Procedure) -> Result<(), ErrorReply> {
        self.admit(procedure)
    }

    async fn domain_open_namespace(&self, args: DomainOpenNamespaceArgs) -> Result<Vec<OwnedFd>, ErrorReply> {
        console::open_namespace(self, args)
    }
}

#[cfg(test)]
mod tests;
