//! The table of procedures: a row says number, name, public function and its part of the API, which driver answers, who
//! may call, priority, what else travels, then the handler with its arguments and its results.
//!
//! Argument and result types, the [`RemoteService`] trait, [`dispatch`], [`find`] and the client's [`Call`] come from the
//! rows. Serving one more procedure is one more row and one more method. What has no row is refused as unknown, which
//! clients take for "not supported".

use std::os::fd::OwnedFd;

use crate::answer::Answer;
use crate::error::{ErrorDomain, ErrorReply};
use crate::frame::{Header, reply};
use crate::object::{
    CPUMAP_LIMIT, CPUMAPS_LIMIT, DhcpLease, DomainRef, DomainStatsRecord, InterfaceAddresses, IoThreadInfo,
    NetworkRef, NodeDeviceRef, PoolRef, PortRef, UuidBytes, VcpuInfo, VolumeRef,
};
use crate::program::{Access, Extra, Needs, Priority, Procedure};
use crate::typed::TypedParam;
use crate::xdr::{Char, FixedText, List, Opaque, Xdr};

/// Most objects of one kind in a list.
pub const LIST_LIMIT: usize = 16_384;
/// Most leases in a list.
pub const LEASE_LIMIT: usize = 65_536;

/// Most devices of the host in a list.
pub const DEVICE_LIMIT: usize = 65_536;

/// Arguments of a procedure, for the calling side.
pub trait Call: Xdr {
    /// Number of the procedure.
    const NUMBER: i32;
    /// What it answers.
    type Results: Xdr;
}

/// The method of one row: what else travels with the call is part of its arguments and its results.
macro_rules! handler {
    ($(#[$meta:meta])* Plain $number:literal $handler:ident $args:ident $results:ident) => {
        $(#[$meta])*
        fn $handler(&self, args: $args) -> impl Future<Output = Result<$results, ErrorReply>> + Send {
            let _ = args;
            async { Err(ErrorReply::unknown_procedure($number)) }
        }
    };
    ($(#[$meta:meta])* Stream $number:literal $handler:ident $args:ident $results:ident) => {
        $(#[$meta])*
        fn $handler(&self, args: $args) -> impl Future<Output = Result<($results, Self::Stream), ErrorReply>> + Send {
            let _ = args;
            async { Err(ErrorReply::unknown_procedure($number)) }
        }
    };
    ($(#[$meta:meta])* Descriptors $number:literal $handler:ident $args:ident $results:ident) => {
        $(#[$meta])*
        fn $handler(
            &self,
            args: $args,
            descriptors: Vec<OwnedFd>,
        ) -> impl Future<Output = Result<($results, Vec<OwnedFd>), ErrorReply>> + Send {
            let _ = (args, descriptors);
            async { Err(ErrorReply::unknown_procedure($number)) }
        }
    };
}

/// The answer that a row's method gives.
macro_rules! answered {
    (Plain $call:ident $service:ident.$handler:ident($args:ident, $descriptors:ident)) => {
        reply($call, $service.$handler($args).await).into()
    };
    (Stream $call:ident $service:ident.$handler:ident($args:ident, $descriptors:ident)) => {
        Answer::stream($call, $service.$handler($args).await)
    };
    (Descriptors $call:ident $service:ident.$handler:ident($args:ident, $descriptors:ident)) => {
        Answer::descriptors($call, $service.$handler($args, $descriptors).await)
    };
}

macro_rules! procedures {
    ($(
        $(#[$meta:meta])*
        $number:literal $name:ident $function:literal $domain:ident $needs:ident $access:ident $priority:ident $extra:ident
        $handler:ident $args:ident { $($arg:ident: $arg_type:ty),* } -> $results:ident { $($result:ident: $result_type:ty),* };
    )*) => {
        $(
            crate::xdr_struct! {
                #[doc = concat!("Arguments of ", stringify!($name), ".")]
                $args { $($arg: $arg_type),* }
            }
            crate::xdr_struct! {
                #[doc = concat!("Results of ", stringify!($name), ".")]
                $results { $($result: $result_type),* }
            }
            impl Call for $args {
                const NUMBER: i32 = $number;
                type Results = $results;
            }
        )*

        /// The numbers by their names.
        #[allow(missing_docs)]
        pub mod number {
            $(pub const $name: i32 = $number;)*
        }

        /// Every row, in the order of the numbers.
        pub static TABLE: &[Procedure] = &[$(Procedure {
            number: $number,
            name: stringify!($name),
            function: $function,
            domain: ErrorDomain::$domain,
            needs: Needs::$needs,
            access: Access::$access,
            priority: Priority::$priority,
            extra: Extra::$extra,
        },)*];

        /// What a server does for each procedure. A method that is left out answers "unknown procedure".
        pub trait RemoteService: Sync {
            /// What is at the server's end of a stream.
            type Stream: Send;

            /// Whether this procedure may be called now, asked before its handler.
            fn admit(&self, procedure: &Procedure) -> Result<(), ErrorReply> {
                let _ = procedure;
                Ok(())
            }

            $(handler! { $(#[$meta])* $extra $number $handler $args $results })*
        }

        /// Decodes a call's arguments, lets the service do it and encodes the whole answer. Descriptors that came with a
        /// call of a procedure that takes none are closed.
        pub async fn dispatch<S: RemoteService>(
            service: &S,
            call: &Header,
            payload: &[u8],
            descriptors: Vec<OwnedFd>,
        ) -> Answer<S::Stream> {
            // Only rows that take descriptors look at them.
            let _ = &descriptors;
            let Some(procedure) = find(call.procedure) else {
                return Answer::error(call, &ErrorReply::unknown_procedure(call.procedure));
            };
            match procedure.number {
                $(
                    $number => match $args::from_payload(payload) {
                        Ok(args) => match service.admit(procedure) {
                            Ok(()) => answered! { $extra call service.$handler(args, descriptors) },
                            Err(error) => Answer::error(call, &error),
                        },
                        Err(_) => Answer::error(call, &ErrorReply::undecodable()),
                    },
                )*
                unknown => Answer::error(call, &ErrorReply::unknown_procedure(unknown)),
            }
        }

        #[cfg(test)]
        mod generated {
            use super::*;

            /// Decodes and encodes the arguments or the results of a procedure.
            pub(super) fn again(procedure: i32, results: bool, payload: &[u8]) -> Option<Result<Vec<u8>, crate::XdrError>> {
                fn through<T: Xdr>(payload: &[u8]) -> Result<Vec<u8>, crate::XdrError> {
                    let mut out = crate::Encoder::default();
                    T::from_payload(payload)?.encode(&mut out);
                    out.finish()
                }
                match (procedure, results) {
                    $(
                        ($number, false) => Some(through::<$args>(payload)),
                        ($number, true) => Some(through::<$results>(payload)),
                    )*
                    _ => None,
                }
            }
        }
    };
}

procedures! {
    /// Opens the connection to a driver by its URI.
    1 CONNECT_OPEN "virConnectOpen" Rpc Connection Greeting High Plain
        connect_open ConnectOpenArgs { name: Option<String>, flags: u32 } -> ConnectOpenResults {};
    /// Ends the connection: the answer first, then the socket is closed.
    2 CONNECT_CLOSE "virConnectClose" Domain Connection Greeting High Plain
        connect_close ConnectCloseArgs {} -> ConnectCloseResults {};
    /// The driver's name.
    3 CONNECT_GET_TYPE "virConnectGetType" Domain Connection Read High Plain
        connect_get_type ConnectGetTypeArgs {} -> ConnectGetTypeResults { kind: String };
    /// The hypervisor's version as one number.
    4 CONNECT_GET_VERSION "virConnectGetVersion" Domain Hypervisor Read High Plain
        connect_get_version ConnectGetVersionArgs {} -> ConnectGetVersionResults { hv_ver: u64 };
    /// Processors and memory of the host.
    6 NODE_GET_INFO "virNodeGetInfo" Domain Hypervisor Read High Plain
        node_get_info NodeGetInfoArgs {} -> NodeGetInfoResults {
            model: FixedText<32>, memory: u64, cpus: i32, mhz: i32, nodes: i32, sockets: i32, cores: i32, threads: i32
        };
    /// The capabilities document.
    7 CONNECT_GET_CAPABILITIES "virConnectGetCapabilities" Domain Hypervisor Read Low Plain
        connect_get_capabilities ConnectGetCapabilitiesArgs {} -> ConnectGetCapabilitiesResults { capabilities: String };
    /// Adds a device to a running guest.
    8 DOMAIN_ATTACH_DEVICE "virDomainAttachDevice" Domain Hypervisor Write Low Plain
        domain_attach_device DomainAttachDeviceArgs { dom: DomainRef, xml: String }
            -> DomainAttachDeviceResults {};
    /// Starts a defined guest.
    9 DOMAIN_CREATE "virDomainCreate" Domain Hypervisor Write Low Plain
        domain_create DomainCreateArgs { dom: DomainRef } -> DomainCreateResults {};
    /// Starts a guest that is not kept.
    10 DOMAIN_CREATE_XML "virDomainCreateXML" Domain Hypervisor Write Low Plain
        domain_create_xml DomainCreateXmlArgs { xml_desc: String, flags: u32 } -> DomainCreateXmlResults { dom: DomainRef };
    /// Defines a guest.
    11 DOMAIN_DEFINE_XML "virDomainDefineXML" Domain Hypervisor Write High Plain
        domain_define_xml DomainDefineXmlArgs { xml: String } -> DomainDefineXmlResults { dom: DomainRef };
    /// Ends a guest at once.
    12 DOMAIN_DESTROY "virDomainDestroy" Domain Hypervisor Write High Plain
        domain_destroy DomainDestroyArgs { dom: DomainRef } -> DomainDestroyResults {};
    /// Takes a device away from a running guest.
    13 DOMAIN_DETACH_DEVICE "virDomainDetachDevice" Domain Hypervisor Write Low Plain
        domain_detach_device DomainDetachDeviceArgs { dom: DomainRef, xml: String }
            -> DomainDetachDeviceResults {};
    /// A guest's document.
    14 DOMAIN_GET_XML_DESC "virDomainGetXMLDesc" Domain Hypervisor Read Low Plain
        domain_get_xml_desc DomainGetXmlDescArgs { dom: DomainRef, flags: u32 } -> DomainGetXmlDescResults { xml: String };
    /// Whether a guest starts with the host.
    15 DOMAIN_GET_AUTOSTART "virDomainGetAutostart" Domain Hypervisor Read High Plain
        domain_get_autostart DomainGetAutostartArgs { dom: DomainRef } -> DomainGetAutostartResults { autostart: i32 };
    /// State, memory (KiB), processors and processor time (ns) of a guest.
    16 DOMAIN_GET_INFO "virDomainGetInfo" Domain Hypervisor Read Low Plain
        domain_get_info DomainGetInfoArgs { dom: DomainRef } -> DomainGetInfoResults {
            state: u32, max_mem: u64, memory: u64, nr_virt_cpu: u32, cpu_time: u64
        };
    /// Memory that a guest boots with, in KiB.
    17 DOMAIN_GET_MAX_MEMORY "virDomainGetMaxMemory" Domain Hypervisor Read High Plain
        domain_get_max_memory DomainGetMaxMemoryArgs { dom: DomainRef }
            -> DomainGetMaxMemoryResults { memory: u64 };
    /// Processors that a guest can have.
    18 DOMAIN_GET_MAX_VCPUS "virDomainGetMaxVcpus" Domain Hypervisor Read High Plain
        domain_get_max_vcpus DomainGetMaxVcpusArgs { dom: DomainRef }
            -> DomainGetMaxVcpusResults { num: i32 };
    /// What kind of operating system a guest boots.
    19 DOMAIN_GET_OS_TYPE "virDomainGetOSType" Domain Hypervisor Read High Plain
        domain_get_os_type DomainGetOsTypeArgs { dom: DomainRef } -> DomainGetOsTypeResults { kind: String };
    /// The virtual CPUs of a running guest, and where they run.
    20 DOMAIN_GET_VCPUS "virDomainGetVcpus" Domain Hypervisor Read High Plain
        domain_get_vcpus DomainGetVcpusArgs { dom: DomainRef, maxinfo: i32, maplen: i32 }
            -> DomainGetVcpusResults { info: List<VcpuInfo, LIST_LIMIT>, cpumaps: Opaque<CPUMAPS_LIMIT> };
    /// Finds a running guest by its number.
    22 DOMAIN_LOOKUP_BY_ID "virDomainLookupByID" Domain Hypervisor Read High Plain
        domain_lookup_by_id DomainLookupByIdArgs { id: i32 } -> DomainLookupByIdResults { dom: DomainRef };
    /// Finds a guest by its name.
    23 DOMAIN_LOOKUP_BY_NAME "virDomainLookupByName" Domain Hypervisor Read High Plain
        domain_lookup_by_name DomainLookupByNameArgs { name: String } -> DomainLookupByNameResults { dom: DomainRef };
    /// Finds a guest by its uuid.
    24 DOMAIN_LOOKUP_BY_UUID "virDomainLookupByUUID" Domain Hypervisor Read High Plain
        domain_lookup_by_uuid DomainLookupByUuidArgs { uuid: UuidBytes } -> DomainLookupByUuidResults { dom: DomainRef };
    /// Says where a virtual CPU of a running guest runs.
    26 DOMAIN_PIN_VCPU "virDomainPinVcpu" Domain Hypervisor Write Low Plain
        domain_pin_vcpu DomainPinVcpuArgs { dom: DomainRef, vcpu: u32, cpumap: Opaque<CPUMAP_LIMIT> }
            -> DomainPinVcpuResults {};
    /// Asks a guest to reboot.
    27 DOMAIN_REBOOT "virDomainReboot" Domain Hypervisor Write Low Plain
        domain_reboot DomainRebootArgs { dom: DomainRef, flags: u32 } -> DomainRebootResults {};
    /// Lets a paused guest run.
    28 DOMAIN_RESUME "virDomainResume" Domain Hypervisor Write Low Plain
        domain_resume DomainResumeArgs { dom: DomainRef } -> DomainResumeResults {};
    /// Says whether a guest starts with the host.
    29 DOMAIN_SET_AUTOSTART "virDomainSetAutostart" Domain Hypervisor Write High Plain
        domain_set_autostart DomainSetAutostartArgs { dom: DomainRef, autostart: i32 } -> DomainSetAutostartResults {};
    /// Sets the memory that a guest boots with, in KiB.
    30 DOMAIN_SET_MAX_MEMORY "virDomainSetMaxMemory" Domain Hypervisor Write High Plain
        domain_set_max_memory DomainSetMaxMemoryArgs { dom: DomainRef, memory: u64 }
            -> DomainSetMaxMemoryResults {};
    /// Sets the memory that a running guest has, in KiB.
    31 DOMAIN_SET_MEMORY "virDomainSetMemory" Domain Hypervisor Write Low Plain
        domain_set_memory DomainSetMemoryArgs { dom: DomainRef, memory: u64 }
            -> DomainSetMemoryResults {};
    /// Sets the number of processors of a running guest.
    32 DOMAIN_SET_VCPUS "virDomainSetVcpus" Domain Hypervisor Write Low Plain
        domain_set_vcpus DomainSetVcpusArgs { dom: DomainRef, nvcpus: u32 }
            -> DomainSetVcpusResults {};
    /// Asks a guest to shut down.
    33 DOMAIN_SHUTDOWN "virDomainShutdown" Domain Hypervisor Write Low Plain
        domain_shutdown DomainShutdownArgs { dom: DomainRef } -> DomainShutdownResults {};
    /// Pauses a guest.
    34 DOMAIN_SUSPEND "virDomainSuspend" Domain Hypervisor Write Low Plain
        domain_suspend DomainSuspendArgs { dom: DomainRef } -> DomainSuspendResults {};
    /// Forgets a guest's definition.
    35 DOMAIN_UNDEFINE "virDomainUndefine" Domain Hypervisor Write High Plain
        domain_undefine DomainUndefineArgs { dom: DomainRef } -> DomainUndefineResults {};
    /// Starts a defined network.
    39 NETWORK_CREATE "virNetworkCreate" Network Networks Write Low Plain
        network_create NetworkCreateArgs { net: NetworkRef } -> NetworkCreateResults {};
    /// Starts a network that is not kept.
    40 NETWORK_CREATE_XML "virNetworkCreateXML" Network Networks Write Low Plain
        network_create_xml NetworkCreateXmlArgs { xml: String } -> NetworkCreateXmlResults { net: NetworkRef };
    /// Defines a network.
    41 NETWORK_DEFINE_XML "virNetworkDefineXML" Network Networks Write High Plain
        network_define_xml NetworkDefineXmlArgs { xml: String } -> NetworkDefineXmlResults { net: NetworkRef };
    /// Ends a network.
    42 NETWORK_DESTROY "virNetworkDestroy" Network Networks Write High Plain
        network_destroy NetworkDestroyArgs { net: NetworkRef } -> NetworkDestroyResults {};
    /// A network's document.
    43 NETWORK_GET_XML_DESC "virNetworkGetXMLDesc" Network Networks Read High Plain
        network_get_xml_desc NetworkGetXmlDescArgs { net: NetworkRef, flags: u32 } -> NetworkGetXmlDescResults { xml: String };
    /// Whether a network starts with the host.
    44 NETWORK_GET_AUTOSTART "virNetworkGetAutostart" Network Networks Read High Plain
        network_get_autostart NetworkGetAutostartArgs { net: NetworkRef } -> NetworkGetAutostartResults { autostart: i32 };
    /// A network's bridge.
    45 NETWORK_GET_BRIDGE_NAME "virNetworkGetBridgeName" Network Networks Read High Plain
        network_get_bridge_name NetworkGetBridgeNameArgs { net: NetworkRef } -> NetworkGetBridgeNameResults { name: String };
    /// Finds a network by its name.
    46 NETWORK_LOOKUP_BY_NAME "virNetworkLookupByName" Network Networks Read High Plain
        network_lookup_by_name NetworkLookupByNameArgs { name: String } -> NetworkLookupByNameResults { net: NetworkRef };
    /// Finds a network by its uuid.
    47 NETWORK_LOOKUP_BY_UUID "virNetworkLookupByUUID" Network Networks Read High Plain
        network_lookup_by_uuid NetworkLookupByUuidArgs { uuid: UuidBytes } -> NetworkLookupByUuidResults { net: NetworkRef };
    /// Says whether a network starts with the host.
    48 NETWORK_SET_AUTOSTART "virNetworkSetAutostart" Network Networks Write High Plain
        network_set_autostart NetworkSetAutostartArgs { net: NetworkRef, autostart: i32 } -> NetworkSetAutostartResults {};
    /// Forgets a network's definition.
    49 NETWORK_UNDEFINE "virNetworkUndefine" Network Networks Write High Plain
        network_undefine NetworkUndefineArgs { net: NetworkRef } -> NetworkUndefineResults {};
    /// How processors are given out, and how many parameters that has.
    56 DOMAIN_GET_SCHEDULER_TYPE "virDomainGetSchedulerType" Domain Hypervisor Read Low Plain
        domain_get_scheduler_type DomainGetSchedulerTypeArgs { dom: DomainRef }
            -> DomainGetSchedulerTypeResults { kind: String, nparams: i32 };
    /// Shares and limits of processor time.
    57 DOMAIN_GET_SCHEDULER_PARAMETERS "virDomainGetSchedulerParameters" Domain Hypervisor Read Low Plain
        domain_get_scheduler_parameters DomainGetSchedulerParametersArgs { dom: DomainRef, nparams: i32 }
            -> DomainGetSchedulerParametersResults { params: List<TypedParam, 16> };
    /// Sets shares and limits of processor time of a running guest.
    58 DOMAIN_SET_SCHEDULER_PARAMETERS "virDomainSetSchedulerParameters" Domain Hypervisor Write Low Plain
        domain_set_scheduler_parameters DomainSetSchedulerParametersArgs { dom: DomainRef, params: List<TypedParam, 16> }
            -> DomainSetSchedulerParametersResults {};
    /// The host's name.
    59 CONNECT_GET_HOSTNAME "virConnectGetHostname" Domain Hypervisor Read High Plain
        connect_get_hostname ConnectGetHostnameArgs {} -> ConnectGetHostnameResults { hostname: String };
    /// Whether the server can do something; asked before the connection is open, too.
    60 CONNECT_SUPPORTS_FEATURE "virConnectSupportsFeature" Rpc Connection Greeting High Plain
        connect_supports_feature ConnectSupportsFeatureArgs { feature: i32 } -> ConnectSupportsFeatureResults { supported: i32 };
    /// How a client may authenticate.
    66 AUTH_LIST "virAuthList" Rpc Connection Greeting High Plain
        auth_list AuthListArgs {} -> AuthListResults { types: List<i32, 20> };
    /// Finds a storage pool by its name.
    84 STORAGE_POOL_LOOKUP_BY_NAME "virStoragePoolLookupByName" Storage Storage Read High Plain
        storage_pool_lookup_by_name StoragePoolLookupByNameArgs { name: String }
            -> StoragePoolLookupByNameResults { pool: PoolRef };
    /// Finds a volume by its key.
    96 STORAGE_VOL_LOOKUP_BY_KEY "virStorageVolLookupByKey" Storage Storage Read High Plain
        storage_vol_lookup_by_key StorageVolLookupByKeyArgs { key: String }
            -> StorageVolLookupByKeyResults { vol: VolumeRef };
    /// Finds a volume by its path.
    97 STORAGE_VOL_LOOKUP_BY_PATH "virStorageVolLookupByPath" Storage Storage Read High Plain
        storage_vol_lookup_by_path StorageVolLookupByPathArgs { path: String }
            -> StorageVolLookupByPathResults { vol: VolumeRef };
    /// The connection's URI.
    110 CONNECT_GET_URI "virConnectGetURI" Domain Connection Read High Plain
        connect_get_uri ConnectGetUriArgs {} -> ConnectGetUriResults { uri: String };
    /// How many devices of the host there are, of one kind or of all.
    111 NODE_NUM_OF_DEVICES "virNodeNumOfDevices" NodeDevice Connection Read High Plain
        node_num_of_devices NodeNumOfDevicesArgs { cap: Option<String>, flags: u32 } -> NodeNumOfDevicesResults { num: i32 };
    /// Their names.
    112 NODE_LIST_DEVICES "virNodeListDevices" NodeDevice Connection Read High Plain
        node_list_devices NodeListDevicesArgs { cap: Option<String>, maxnames: i32, flags: u32 }
            -> NodeListDevicesResults { names: List<String, DEVICE_LIMIT> };
    /// Finds a device of the host by its name.
    113 NODE_DEVICE_LOOKUP_BY_NAME "virNodeDeviceLookupByName" NodeDevice Connection Read High Plain
        node_device_lookup_by_name NodeDeviceLookupByNameArgs { name: String }
            -> NodeDeviceLookupByNameResults { dev: NodeDeviceRef };
    /// A device's document.
    114 NODE_DEVICE_GET_XML_DESC "virNodeDeviceGetXMLDesc" NodeDevice Connection Read Low Plain
        node_device_get_xml_desc NodeDeviceGetXmlDescArgs { name: String, flags: u32 }
            -> NodeDeviceGetXmlDescResults { xml: String };
    /// The name of the device above it.
    115 NODE_DEVICE_GET_PARENT "virNodeDeviceGetParent" NodeDevice Connection Read High Plain
        node_device_get_parent NodeDeviceGetParentArgs { name: String }
            -> NodeDeviceGetParentResults { parent_name: Option<String> };
    /// How many words there are for what a device is.
    116 NODE_DEVICE_NUM_OF_CAPS "virNodeDeviceNumOfCaps" NodeDevice Connection Read High Plain
        node_device_num_of_caps NodeDeviceNumOfCapsArgs { name: String } -> NodeDeviceNumOfCapsResults { num: i32 };
    /// These words.
    117 NODE_DEVICE_LIST_CAPS "virNodeDeviceListCaps" NodeDevice Connection Read High Plain
        node_device_list_caps NodeDeviceListCapsArgs { name: String, maxnames: i32 }
            -> NodeDeviceListCapsResults { names: List<String, DEVICE_LIMIT> };
    /// Takes a PCI device from the host's driver.
    118 NODE_DEVICE_DETTACH "virNodeDeviceDettach" NodeDevice Hypervisor Write Low Plain
        node_device_dettach NodeDeviceDettachArgs { name: String } -> NodeDeviceDettachResults {};
    /// Gives it back to the host's driver.
    119 NODE_DEVICE_RE_ATTACH "virNodeDeviceReAttach" NodeDevice Hypervisor Write Low Plain
        node_device_re_attach NodeDeviceReAttachArgs { name: String } -> NodeDeviceReAttachResults {};
    /// Resets it.
    120 NODE_DEVICE_RESET "virNodeDeviceReset" NodeDevice Hypervisor Write Low Plain
        node_device_reset NodeDeviceResetArgs { name: String } -> NodeDeviceResetResults {};
    /// A guest's security label.
    121 DOMAIN_GET_SECURITY_LABEL "virDomainGetSecurityLabel" Domain Hypervisor Read High Plain
        domain_get_security_label DomainGetSecurityLabelArgs { dom: DomainRef } -> DomainGetSecurityLabelResults {
            label: List<Char, 4097>, enforcing: i32
        };
    /// The host's security model.
    122 NODE_GET_SECURITY_MODEL "virNodeGetSecurityModel" Domain Hypervisor Read High Plain
        node_get_security_model NodeGetSecurityModelArgs {} -> NodeGetSecurityModelResults {
            model: List<Char, 257>, doi: List<Char, 257>
        };
    /// Makes a device.
    123 NODE_DEVICE_CREATE_XML "virNodeDeviceCreateXML" NodeDevice Connection Write Low Plain
        node_device_create_xml NodeDeviceCreateXmlArgs { xml_desc: String, flags: u32 }
            -> NodeDeviceCreateXmlResults { dev: NodeDeviceRef };
    /// Ends a device that was made.
    124 NODE_DEVICE_DESTROY "virNodeDeviceDestroy" NodeDevice Connection Write High Plain
        node_device_destroy NodeDeviceDestroyArgs { name: String } -> NodeDeviceDestroyResults {};
    /// The command line that a guest would have.
    136 CONNECT_DOMAIN_XML_TO_NATIVE "virConnectDomainXMLToNative" Domain Hypervisor Write Low Plain
        connect_domain_xml_to_native ConnectDomainXmlToNativeArgs {
            native_format: String, domain_xml: String, flags: u32
        } -> ConnectDomainXmlToNativeResults { native_config: String };
    /// Whether a guest runs.
    150 DOMAIN_IS_ACTIVE "virDomainIsActive" Domain Hypervisor Read High Plain
        domain_is_active DomainIsActiveArgs { dom: DomainRef } -> DomainIsActiveResults { active: i32 };
    /// Whether a guest is defined.
    151 DOMAIN_IS_PERSISTENT "virDomainIsPersistent" Domain Hypervisor Read High Plain
        domain_is_persistent DomainIsPersistentArgs { dom: DomainRef } -> DomainIsPersistentResults { persistent: i32 };
    /// Whether a network runs.
    152 NETWORK_IS_ACTIVE "virNetworkIsActive" Network Networks Read High Plain
        network_is_active NetworkIsActiveArgs { net: NetworkRef } -> NetworkIsActiveResults { active: i32 };
    /// Whether a network is defined.
    153 NETWORK_IS_PERSISTENT "virNetworkIsPersistent" Network Networks Read High Plain
        network_is_persistent NetworkIsPersistentArgs { net: NetworkRef } -> NetworkIsPersistentResults { persistent: i32 };
    /// The version of libvirt that the daemon behaves like.
    157 CONNECT_GET_LIB_VERSION "virConnectGetLibVersion" Domain Connection Read High Plain
        connect_get_lib_version ConnectGetLibVersionArgs {} -> ConnectGetLibVersionResults { lib_ver: u64 };
    /// Adds a device to a running guest, to its definition, or to both.
    160 DOMAIN_ATTACH_DEVICE_FLAGS "virDomainAttachDeviceFlags" Domain Hypervisor Write Low Plain
        domain_attach_device_flags DomainAttachDeviceFlagsArgs { dom: DomainRef, xml: String, flags: u32 }
            -> DomainAttachDeviceFlagsResults {};
    /// Takes a device away from a running guest, from its definition, or from both.
    161 DOMAIN_DETACH_DEVICE_FLAGS "virDomainDetachDeviceFlags" Domain Hypervisor Write Low Plain
        domain_detach_device_flags DomainDetachDeviceFlagsArgs { dom: DomainRef, xml: String, flags: u32 }
            -> DomainDetachDeviceFlagsResults {};
    /// Changes a device of a running guest, of its definition, or of both.
    174 DOMAIN_UPDATE_DEVICE_FLAGS "virDomainUpdateDeviceFlags" Domain Hypervisor Write Low Plain
        domain_update_device_flags DomainUpdateDeviceFlagsArgs { dom: DomainRef, xml: String, flags: u32 }
            -> DomainUpdateDeviceFlagsResults {};
    /// Whether a guest has a saved image that its next start would restore.
    183 DOMAIN_HAS_MANAGED_SAVE_IMAGE "virDomainHasManagedSaveImage" Domain Hypervisor Read Low Plain
        domain_has_managed_save_image DomainHasManagedSaveImageArgs { dom: DomainRef, flags: u32 }
            -> DomainHasManagedSaveImageResults { result: i32 };
    /// How many snapshots a guest has.
    187 DOMAIN_SNAPSHOT_NUM "virDomainSnapshotNum" DomainSnapshot Hypervisor Read High Plain
        domain_snapshot_num DomainSnapshotNumArgs { dom: DomainRef, flags: u32 } -> DomainSnapshotNumResults { num: i32 };
    /// Starts a defined guest, with flags.
    196 DOMAIN_CREATE_WITH_FLAGS "virDomainCreateWithFlags" Domain Hypervisor Write Low Plain
        domain_create_with_flags DomainCreateWithFlagsArgs { dom: DomainRef, flags: u32 }
            -> DomainCreateWithFlagsResults { dom: DomainRef };
    /// Sets limits of memory.
    197 DOMAIN_SET_MEMORY_PARAMETERS "virDomainSetMemoryParameters" Domain Hypervisor Write Low Plain
        domain_set_memory_parameters DomainSetMemoryParametersArgs { dom: DomainRef, params: List<TypedParam, 16>, flags: u32 }
            -> DomainSetMemoryParametersResults {};
    /// Limits of memory; asked for none of them, how many there are.
    198 DOMAIN_GET_MEMORY_PARAMETERS "virDomainGetMemoryParameters" Domain Hypervisor Read Low Plain
        domain_get_memory_parameters DomainGetMemoryParametersArgs { dom: DomainRef, nparams: i32, flags: u32 }
            -> DomainGetMemoryParametersResults { params: List<TypedParam, 16>, nparams: i32 };
    /// Sets the number of processors.
    199 DOMAIN_SET_VCPUS_FLAGS "virDomainSetVcpusFlags" Domain Hypervisor Write Low Plain
        domain_set_vcpus_flags DomainSetVcpusFlagsArgs { dom: DomainRef, nvcpus: u32, flags: u32 }
            -> DomainSetVcpusFlagsResults {};
    /// The number of processors.
    200 DOMAIN_GET_VCPUS_FLAGS "virDomainGetVcpusFlags" Domain Hypervisor Read Low Plain
        domain_get_vcpus_flags DomainGetVcpusFlagsArgs { dom: DomainRef, flags: u32 }
            -> DomainGetVcpusFlagsResults { num: i32 };
    /// Opens a guest's console as a stream.
    201 DOMAIN_OPEN_CONSOLE "virDomainOpenConsole" Domain Hypervisor Write Low Stream
        domain_open_console DomainOpenConsoleArgs { dom: DomainRef, dev_name: Option<String>, flags: u32 }
            -> DomainOpenConsoleResults {};
    /// Sets the memory that a guest has or boots with, in KiB.
    204 DOMAIN_SET_MEMORY_FLAGS "virDomainSetMemoryFlags" Domain Hypervisor Write Low Plain
        domain_set_memory_flags DomainSetMemoryFlagsArgs { dom: DomainRef, memory: u64, flags: u32 }
            -> DomainSetMemoryFlagsResults {};
    /// Sets shares and limits of block I/O.
    205 DOMAIN_SET_BLKIO_PARAMETERS "virDomainSetBlkioParameters" Domain Hypervisor Write Low Plain
        domain_set_blkio_parameters DomainSetBlkioParametersArgs { dom: DomainRef, params: List<TypedParam, 16>, flags: u32 }
            -> DomainSetBlkioParametersResults {};
    /// Shares and limits of block I/O; asked for none of them, how many there are.
    206 DOMAIN_GET_BLKIO_PARAMETERS "virDomainGetBlkioParameters" Domain Hypervisor Read Low Plain
        domain_get_blkio_parameters DomainGetBlkioParametersArgs { dom: DomainRef, nparams: i32, flags: u32 }
            -> DomainGetBlkioParametersResults { params: List<TypedParam, 16>, nparams: i32 };
    /// A guest's state and why it is in it.
    212 DOMAIN_GET_STATE "virDomainGetState" Domain Hypervisor Read High Plain
        domain_get_state DomainGetStateArgs { dom: DomainRef, flags: u32 } -> DomainGetStateResults { state: i32, reason: i32 };
    /// Sets shares and limits of processor time.
    219 DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS "virDomainSetSchedulerParametersFlags" Domain Hypervisor Write Low Plain
        domain_set_scheduler_parameters_flags DomainSetSchedulerParametersFlagsArgs { dom: DomainRef, params: List<TypedParam, 16>, flags: u32 }
            -> DomainSetSchedulerParametersFlagsResults {};
    /// Shares and limits of processor time.
    223 DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS "virDomainGetSchedulerParametersFlags" Domain Hypervisor Read Low Plain
        domain_get_scheduler_parameters_flags DomainGetSchedulerParametersFlagsArgs { dom: DomainRef, nparams: i32, flags: u32 }
            -> DomainGetSchedulerParametersFlagsResults { params: List<TypedParam, 16> };
    /// Says where a virtual CPU runs.
    225 DOMAIN_PIN_VCPU_FLAGS "virDomainPinVcpuFlags" Domain Hypervisor Write Low Plain
        domain_pin_vcpu_flags DomainPinVcpuFlagsArgs { dom: DomainRef, vcpu: u32, cpumap: Opaque<CPUMAP_LIMIT>, flags: u32 }
            -> DomainPinVcpuFlagsResults {};
    /// Where virtual CPUs are to run.
    230 DOMAIN_GET_VCPU_PIN_INFO "virDomainGetVcpuPinInfo" Domain Hypervisor Read Low Plain
        domain_get_vcpu_pin_info DomainGetVcpuPinInfoArgs { dom: DomainRef, ncpumaps: i32, maplen: i32, flags: u32 }
            -> DomainGetVcpuPinInfoResults { cpumaps: Opaque<CPUMAPS_LIMIT>, num: i32 };
    /// Forgets a guest's definition and, by its flags, more.
    231 DOMAIN_UNDEFINE_FLAGS "virDomainUndefineFlags" Domain Hypervisor Write High Plain
        domain_undefine_flags DomainUndefineFlagsArgs { dom: DomainRef, flags: u32 } -> DomainUndefineFlagsResults {};
    /// Ends a guest, by its flags only if it lets itself be ended.
    234 DOMAIN_DESTROY_FLAGS "virDomainDestroyFlags" Domain Hypervisor Write High Plain
        domain_destroy_flags DomainDestroyFlagsArgs { dom: DomainRef, flags: u32 } -> DomainDestroyFlagsResults {};
    /// Presses a guest's reset button.
    245 DOMAIN_RESET "virDomainReset" Domain Hypervisor Write Low Plain
        domain_reset DomainResetArgs { dom: DomainRef, flags: u32 } -> DomainResetResults {};
    /// Asks a guest to shut down in a given way.
    258 DOMAIN_SHUTDOWN_FLAGS "virDomainShutdownFlags" Domain Hypervisor Write Low Plain
        domain_shutdown_flags DomainShutdownFlagsArgs { dom: DomainRef, flags: u32 } -> DomainShutdownFlagsResults {};
    /// Changes a guest's title, description or an application's part of its document.
    264 DOMAIN_SET_METADATA "virDomainSetMetadata" Domain Hypervisor Write Low Plain
        domain_set_metadata DomainSetMetadataArgs {
            dom: DomainRef, kind: i32, metadata: Option<String>, key: Option<String>, uri: Option<String>, flags: u32
        } -> DomainSetMetadataResults {};
    /// A guest's title, description or an application's part of its document.
    265 DOMAIN_GET_METADATA "virDomainGetMetadata" Domain Hypervisor Read Low Plain
        domain_get_metadata DomainGetMetadataArgs { dom: DomainRef, kind: i32, uri: Option<String>, flags: u32 }
            -> DomainGetMetadataResults { metadata: String };
    /// The guests, filtered.
    273 CONNECT_LIST_ALL_DOMAINS "virConnectListAllDomains" Domain Hypervisor Read High Plain
        connect_list_all_domains ConnectListAllDomainsArgs { need_results: i32, flags: u32 }
            -> ConnectListAllDomainsResults { domains: List<DomainRef, LIST_LIMIT>, ret: u32 };
    /// Says where the hypervisor's own threads run.
    279 DOMAIN_PIN_EMULATOR "virDomainPinEmulator" Domain Hypervisor Write Low Plain
        domain_pin_emulator DomainPinEmulatorArgs { dom: DomainRef, cpumap: Opaque<CPUMAP_LIMIT>, flags: u32 }
            -> DomainPinEmulatorResults {};
    /// Where the hypervisor's own threads are to run.
    280 DOMAIN_GET_EMULATOR_PIN_INFO "virDomainGetEmulatorPinInfo" Domain Hypervisor Read Low Plain
        domain_get_emulator_pin_info DomainGetEmulatorPinInfoArgs { dom: DomainRef, maplen: i32, flags: u32 }
            -> DomainGetEmulatorPinInfoResults { cpumaps: Opaque<CPUMAPS_LIMIT>, ret: i32 };
    /// The storage pools, filtered.
    281 CONNECT_LIST_ALL_STORAGE_POOLS "virConnectListAllStoragePools" Storage Storage Read High Plain
        connect_list_all_storage_pools ConnectListAllStoragePoolsArgs { need_results: i32, flags: u32 }
            -> ConnectListAllStoragePoolsResults { pools: List<PoolRef, LIST_LIMIT>, ret: u32 };
    /// The networks, filtered.
    283 CONNECT_LIST_ALL_NETWORKS "virConnectListAllNetworks" Network Networks Read High Plain
        connect_list_all_networks ConnectListAllNetworksArgs { need_results: i32, flags: u32 }
            -> ConnectListAllNetworksResults { nets: List<NetworkRef, LIST_LIMIT>, ret: u32 };
    /// The devices of the host that a filter lets through.
    285 CONNECT_LIST_ALL_NODE_DEVICES "virConnectListAllNodeDevices" NodeDevice Connection Read High Plain
        connect_list_all_node_devices ConnectListAllNodeDevicesArgs { need_results: i32, flags: u32 }
            -> ConnectListAllNodeDevicesResults { devices: List<NodeDeviceRef, DEVICE_LIMIT>, ret: u32 };
    /// The host's processors.
    293 NODE_GET_CPU_MAP "virNodeGetCPUMap" Domain Hypervisor Read Low Plain
        node_get_cpu_map NodeGetCpuMapArgs { need_map: i32, need_online: i32, flags: u32 }
            -> NodeGetCpuMapResults { cpumap: Opaque<CPUMAP_LIMIT>, online: u32, ret: i32 };
    /// Opens a channel of a guest as a stream.
    296 DOMAIN_OPEN_CHANNEL "virDomainOpenChannel" Domain Hypervisor Write Low Stream
        domain_open_channel DomainOpenChannelArgs { dom: DomainRef, name: Option<String>, flags: u32 }
            -> DomainOpenChannelResults {};
    /// The SCSI controller with these world wide names.
    297 NODE_DEVICE_LOOKUP_SCSI_HOST_BY_WWN "virNodeDeviceLookupSCSIHostByWWN" NodeDevice Connection Read High Plain
        node_device_lookup_scsi_host_by_wwn NodeDeviceLookupScsiHostByWwnArgs { wwnn: String, wwpn: String, flags: u32 }
            -> NodeDeviceLookupScsiHostByWwnResults { dev: NodeDeviceRef };
    /// Takes a PCI device from the host's driver for another one.
    301 NODE_DEVICE_DETACH_FLAGS "virNodeDeviceDetachFlags" NodeDevice Hypervisor Write Low Plain
        node_device_detach_flags NodeDeviceDetachFlagsArgs { name: String, driver_name: Option<String>, flags: u32 }
            -> NodeDeviceDetachFlagsResults {};
    /// Asks to be told of an event of one network, or of all.
    313 CONNECT_NETWORK_EVENT_REGISTER_ANY "virConnectNetworkEventRegisterAny" Network Networks Read High Plain
        connect_network_event_register_any ConnectNetworkEventRegisterAnyArgs { event_id: i32, net: Option<NetworkRef> }
            -> ConnectNetworkEventRegisterAnyResults { callback_id: i32 };
    /// Takes that back.
    314 CONNECT_NETWORK_EVENT_DEREGISTER_ANY "virConnectNetworkEventDeregisterAny" Network Networks Read High Plain
        connect_network_event_deregister_any ConnectNetworkEventDeregisterAnyArgs { callback_id: i32 }
            -> ConnectNetworkEventDeregisterAnyResults {};
    /// Asks to be told of an event of one guest, or of all.
    316 CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY "virConnectDomainEventRegisterAny" Domain Hypervisor Read High Plain
        connect_domain_event_callback_register_any ConnectDomainEventCallbackRegisterAnyArgs { event_id: i32, dom: Option<DomainRef> }
            -> ConnectDomainEventCallbackRegisterAnyResults { callback_id: i32 };
    /// Takes that back.
    317 CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY "virConnectDomainEventDeregisterAny" Domain Hypervisor Read High Plain
        connect_domain_event_callback_deregister_any ConnectDomainEventCallbackDeregisterAnyArgs { callback_id: i32 }
            -> ConnectDomainEventCallbackDeregisterAnyResults {};
    /// The leases that a network's DHCP server gave.
    341 NETWORK_GET_DHCP_LEASES "virNetworkGetDHCPLeases" Network Networks Read Low Plain
        network_get_dhcp_leases NetworkGetDhcpLeasesArgs { net: NetworkRef, mac: Option<String>, need_results: i32, flags: u32 }
            -> NetworkGetDhcpLeasesResults { leases: List<DhcpLease, LEASE_LIMIT>, ret: u32 };
    /// What guests of a machine type can have.
    342 CONNECT_GET_DOMAIN_CAPABILITIES "virConnectGetDomainCapabilities" Domain Hypervisor Read Low Plain
        connect_get_domain_capabilities ConnectGetDomainCapabilitiesArgs {
            emulatorbin: Option<String>, arch: Option<String>, machine: Option<String>, virttype: Option<String>, flags: u32
        } -> ConnectGetDomainCapabilitiesResults { capabilities: String };
    /// Groups of figures (by the bits of `stats`) of the named guests, or of those that the flags let through.
    344 CONNECT_GET_ALL_DOMAIN_STATS "virConnectGetAllDomainStats" Domain Hypervisor Read Low Plain
        connect_get_all_domain_stats ConnectGetAllDomainStatsArgs { doms: List<DomainRef, LIST_LIMIT>, stats: u32, flags: u32 }
            -> ConnectGetAllDomainStatsResults { ret_stats: List<DomainStatsRecord, LIST_LIMIT> };
    /// Defines a guest, with flags.
    350 DOMAIN_DEFINE_XML_FLAGS "virDomainDefineXMLFlags" Domain Hypervisor Write High Plain
        domain_define_xml_flags DomainDefineXmlFlagsArgs { xml: String, flags: u32 }
            -> DomainDefineXmlFlagsResults { dom: DomainRef };
    /// The I/O threads, and where they run.
    351 DOMAIN_GET_IOTHREAD_INFO "virDomainGetIOThreadInfo" Domain Hypervisor Read Low Plain
        domain_get_iothread_info DomainGetIothreadInfoArgs { dom: DomainRef, flags: u32 }
            -> DomainGetIothreadInfoResults { info: List<IoThreadInfo, LIST_LIMIT>, ret: u32 };
    /// Says where an I/O thread runs.
    352 DOMAIN_PIN_IOTHREAD "virDomainPinIOThread" Domain Hypervisor Write Low Plain
        domain_pin_iothread DomainPinIothreadArgs { dom: DomainRef, iothreads_id: u32, cpumap: Opaque<CPUMAP_LIMIT>, flags: u32 }
            -> DomainPinIothreadResults {};
    /// The addresses of a guest's interfaces; source 0 leases, 1 guest agent, 2 ARP.
    353 DOMAIN_INTERFACE_ADDRESSES "virDomainInterfaceAddresses" Domain Hypervisor Read Low Plain
        domain_interface_addresses DomainInterfaceAddressesArgs { dom: DomainRef, source: u32, flags: u32 }
            -> DomainInterfaceAddressesResults { ifaces: List<InterfaceAddresses, 2048> };
    /// One more I/O thread.
    355 DOMAIN_ADD_IOTHREAD "virDomainAddIOThread" Domain Hypervisor Write Low Plain
        domain_add_iothread DomainAddIothreadArgs { dom: DomainRef, iothread_id: u32, flags: u32 }
            -> DomainAddIothreadResults {};
    /// One less.
    356 DOMAIN_DEL_IOTHREAD "virDomainDelIOThread" Domain Hypervisor Write Low Plain
        domain_del_iothread DomainDelIothreadArgs { dom: DomainRef, iothread_id: u32, flags: u32 }
            -> DomainDelIothreadResults {};
    /// Gives a guest that is off another name.
    358 DOMAIN_RENAME "virDomainRename" Domain Hypervisor Write Low Plain
        domain_rename DomainRenameArgs { dom: DomainRef, new_name: Option<String>, flags: u32 }
            -> DomainRenameResults { retcode: i32 };
    /// Asks to be told when the daemon loses its driver. It never does.
    360 CONNECT_REGISTER_CLOSE_CALLBACK "virConnectRegisterCloseCallback" Domain Connection Read High Plain
        connect_register_close_callback ConnectRegisterCloseCallbackArgs {} -> ConnectRegisterCloseCallbackResults {};
    /// Takes that back.
    361 CONNECT_UNREGISTER_CLOSE_CALLBACK "virConnectUnregisterCloseCallback" Domain Connection Read High Plain
        connect_unregister_close_callback ConnectUnregisterCloseCallbackArgs {} -> ConnectUnregisterCloseCallbackResults {};
    /// Asks to be told of devices that come and go.
    374 CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY "virConnectNodeDeviceEventRegisterAny" NodeDevice Connection Read High Plain
        connect_node_device_event_register_any ConnectNodeDeviceEventRegisterAnyArgs { event_id: i32, dev: Option<NodeDeviceRef> }
            -> ConnectNodeDeviceEventRegisterAnyResults { callback_id: i32 };
    /// Takes that back.
    375 CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY "virConnectNodeDeviceEventDeregisterAny" NodeDevice Connection Read High Plain
        connect_node_device_event_deregister_any ConnectNodeDeviceEventDeregisterAnyArgs { callback_id: i32 }
            -> ConnectNodeDeviceEventDeregisterAnyResults {};
    /// Takes the device of this name away.
    392 DOMAIN_DETACH_DEVICE_ALIAS "virDomainDetachDeviceAlias" Domain Hypervisor Write Low Plain
        domain_detach_device_alias DomainDetachDeviceAliasArgs { dom: DomainRef, alias: String, flags: u32 }
            -> DomainDetachDeviceAliasResults {};
    /// How an I/O thread works.
    402 DOMAIN_SET_IOTHREAD_PARAMS "virDomainSetIOThreadParams" Domain Hypervisor Write Low Plain
        domain_set_iothread_params DomainSetIothreadParamsArgs { dom: DomainRef, iothread_id: u32, params: List<TypedParam, 64>, flags: u32 }
            -> DomainSetIothreadParamsResults {};
    /// The ports of a network.
    404 NETWORK_LIST_ALL_PORTS "virNetworkListAllPorts" Network Networks Read High Plain
        network_list_all_ports NetworkListAllPortsArgs { network: NetworkRef, need_results: i32, flags: u32 }
            -> NetworkListAllPortsResults { ports: List<PortRef, LIST_LIMIT>, ret: u32 };
    /// What there is to say about a guest: deprecations, taints.
    426 DOMAIN_GET_MESSAGES "virDomainGetMessages" Domain Hypervisor Read Low Plain
        domain_get_messages DomainGetMessagesArgs { dom: DomainRef, flags: u32 }
            -> DomainGetMessagesResults { msgs: List<String, 2048> };
    /// Defines a device that can be made.
    428 NODE_DEVICE_DEFINE_XML "virNodeDeviceDefineXML" NodeDevice Connection Write Low Plain
        node_device_define_xml NodeDeviceDefineXmlArgs { xml_desc: String, flags: u32 }
            -> NodeDeviceDefineXmlResults { dev: NodeDeviceRef };
    /// Forgets that.
    429 NODE_DEVICE_UNDEFINE "virNodeDeviceUndefine" NodeDevice Connection Write Low Plain
        node_device_undefine NodeDeviceUndefineArgs { name: String, flags: u32 } -> NodeDeviceUndefineResults {};
    /// Makes a device that is defined.
    430 NODE_DEVICE_CREATE "virNodeDeviceCreate" NodeDevice Connection Write Low Plain
        node_device_create NodeDeviceCreateArgs { name: String, flags: u32 } -> NodeDeviceCreateResults {};
    /// Whether a device is made when the host starts.
    433 NODE_DEVICE_GET_AUTOSTART "virNodeDeviceGetAutostart" NodeDevice Connection Read High Plain
        node_device_get_autostart NodeDeviceGetAutostartArgs { name: String } -> NodeDeviceGetAutostartResults { autostart: i32 };
    /// Says whether it is.
    434 NODE_DEVICE_SET_AUTOSTART "virNodeDeviceSetAutostart" NodeDevice Connection Write Low Plain
        node_device_set_autostart NodeDeviceSetAutostartArgs { name: String, autostart: i32 } -> NodeDeviceSetAutostartResults {};
    /// Whether a device is defined.
    435 NODE_DEVICE_IS_PERSISTENT "virNodeDeviceIsPersistent" NodeDevice Connection Read High Plain
        node_device_is_persistent NodeDeviceIsPersistentArgs { name: String } -> NodeDeviceIsPersistentResults { persistent: i32 };
    /// Whether a device is there.
    436 NODE_DEVICE_IS_ACTIVE "virNodeDeviceIsActive" NodeDevice Connection Read High Plain
        node_device_is_active NodeDeviceIsActiveArgs { name: String } -> NodeDeviceIsActiveResults { active: i32 };
    /// Changes a device that was made.
    447 NODE_DEVICE_UPDATE "virNodeDeviceUpdate" NodeDevice Connection Write Low Plain
        node_device_update NodeDeviceUpdateArgs { name: String, xml_desc: String, flags: u32 } -> NodeDeviceUpdateResults {};
    /// Whether a guest starts at the next start of the host, once.
    449 DOMAIN_GET_AUTOSTART_ONCE "virDomainGetAutostartOnce" Domain Hypervisor Read High Plain
        domain_get_autostart_once DomainGetAutostartOnceArgs { dom: DomainRef } -> DomainGetAutostartOnceResults { autostart: i32 };
}

/// The row of a procedure of the remote program.
pub fn find(number: i32) -> Option<&'static Procedure> {
    TABLE
        .binary_search_by_key(&number, |row| row.number)
        .ok()
        .map(|index| &TABLE[index])
}

#[cfg(test)]
#[path = "procedures_tests.rs"]
mod tests;
