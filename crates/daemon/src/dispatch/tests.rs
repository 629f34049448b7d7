//! The whole way of a request, from a socket to the drivers and back, with a host of its own in an empty directory.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use ferrovirt_wire::client::{Client, ClientError};
use ferrovirt_wire::{Frame, FrameReader, PoolRef};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::args::Args;
use crate::host;
use crate::paths::{Environment, Paths};
use crate::server::{Listener, serve};
use crate::settings::{Drivers, Settings};

struct Daemon {
    dir: tempfile::TempDir,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

async fn daemon() -> Daemon {
    let dir = tempfile::tempdir().unwrap();
    let args = Args::parse_from([
        Path::new("ferrovirtd"),
        Path::new("--sysconfdir"),
        &dir.path().join("etc"),
    ]);
    let environment = Environment {
        home: Some(dir.path().to_owned()),
        runtime_dir: Some(dir.path().join("run")),
        ..Environment::default()
    };
    let mut paths = Paths::new(&args, false, &environment).unwrap();
    paths.privileged = true;
    for (path, _) in paths.directories() {
        std::fs::create_dir_all(path).unwrap();
    }
    let settings = Settings::load(&paths).unwrap();
    let drivers = Drivers::load(&paths).unwrap();
    let engine = host::engine(&paths, &settings.own.hooks, ferrovirt_hook::Policy::empty()).unwrap();
    let host = Arc::new(
        Host::load(&paths, &settings, &drivers, engine, None)
            .await
            .unwrap(),
    );
    tokio::spawn(Arc::clone(&host).begin());
    let listener = |name, read_only| Listener {
        socket: UnixListener::bind(dir.path().join(name)).unwrap(),
        read_only,
    };
    let listeners = vec![listener("sock", false), listener("sock-ro", true)];
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listeners, host, stop.clone()));
    Daemon { dir, stop, server }
}

impl Daemon {
    async fn with<T: Send + 'static>(&self, client: impl FnOnce(PathBuf) -> T + Send + 'static) -> T {
        let path = self.dir.path().join("sock");
        tokio::task::spawn_blocking(move || client(path)).await.unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.server.await.unwrap();
    }
}

fn open(path: &Path, uri: &str) -> Client {
    let mut client = Client::connect(path).unwrap();
    client.set_timeout(Duration::from_secs(30)).unwrap();
    client.open(uri, false).unwrap();
    client
}

/// Code, domain and text of the refusal of a call.
fn refusal<A: Call>(client: &mut Client, args: &A) -> (i32, i32, String)
where
    A::Results: std::fmt::Debug,
{
    match client.call(args) {
        Err(ClientError::Refused(error)) => (error.code, error.domain, error.text().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u8> = digits
        .bytes()
        .map(|d| (d as char).to_digit(16).unwrap() as u8)
        .collect();
    nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Cases whose answers are about what this daemon does not have, or differ on purpose.
const NOT_COMPARED: &[&str] = &[
    "open lxc:///",
    "open xen:///system",
    "xml garbage",
    "null string in nonnull: empty name define",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_get_the_answers_that_were_recorded() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../wire/tests/vectors/edge-cases.txt"
    );
    let cases = std::fs::read_to_string(file).unwrap();
    let daemon = daemon().await;
    let compared = daemon
        .with(move |path| {
            let cases = cases.split("\ncase ").skip(1);
            cases
                .filter(|case| !NOT_COMPARED.contains(&case.lines().next().unwrap()))
                .map(|case| replay(&path, case))
                .sum::<usize>()
        })
        .await;
    assert!(compared > 90, "only {compared} answers were compared");
    daemon.end().await;
}

/// Says what the recorded client said and compares what comes back; tells how many answers there were.
fn replay(path: &Path, case: &str) -> usize {
    let mut socket = StdStream::connect(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = FrameReader::default();
    let mut answers = 0;
    for line in case.lines() {
        match line.split_once(' ') {
            Some(("C", digits)) => {
                // The other side may have hung up already: that is what some cases are about.
                let _ = socket.write_all(&unhex(digits));
            }
            Some(("S", "eof")) => assert_eq!(read(&mut socket, &mut reader), None, "{case}"),
            Some(("S", digits)) => {
                let mut recorded = FrameReader::default();
                recorded.buffer().extend_from_slice(&unhex(digits));
                let recorded = recorded.next_frame().unwrap().unwrap();
                let answer = read(&mut socket, &mut reader);
                let answer = answer.unwrap_or_else(|| panic!("no answer: {case}"));
                // The machine's own name and its emulator's version, if it has one, are its own.
                if recorded.header.status == 0 && matches!(recorded.header.procedure, 4 | 59) {
                    assert_eq!(answer.header.serial, recorded.header.serial, "{case}");
                } else {
                    assert_eq!(answer, recorded, "{case}");
                }
                answers += 1;
            }
            _ => {}
        }
    }
    answers
}

fn read(socket: &mut StdStream, reader: &mut FrameReader) -> Option<Frame> {
    let mut portion = [0; 4096];
    loop {
        if let Some(frame) = reader.next_frame().unwrap() {
            return Some(frame);
        }
        match socket.read(&mut portion) {
            Ok(length) if length > 0 => reader.buffer().extend_from_slice(&portion[..length]),
            _ => return None,
        }
    }
}

const NETWORK: &str = "<network><name>net1</name><uuid>9a05da11-e96b-47f3-8253-a3a482e445f5</uuid>\
    <bridge name='virbr77'/><ip address='192.168.177.1' netmask='255.255.255.0'/></network>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_is_defined_found_shown_and_forgotten() {
    let daemon = daemon().await;
    daemon
        .with(|path| {
            let mut client = open(&path, "network:///system");
            let net = client.call(&NetworkDefineXmlArgs { xml: NETWORK.to_owned() }).unwrap().net;
            assert_eq!(net.name, "net1");
            let found = client.call(&NetworkLookupByNameArgs { name: "net1".to_owned() }).unwrap().net;
            assert_eq!(found, net);
            assert_eq!(client.call(&NetworkLookupByUuidArgs { uuid: net.uuid }).unwrap().net, net);
            for (flags, expected) in [(0, 1), (1, 1), (2, 0), (4, 1), (8, 0), (16, 0), (32, 1)] {
                let list = client.call(&ConnectListAllNetworksArgs { need_results: 1, flags }).unwrap();
                assert_eq!((list.nets.len(), list.ret), (expected, expected as u32), "{flags}");
                let count = client.call(&ConnectListAllNetworksArgs { need_results: 0, flags }).unwrap();
                assert_eq!((count.nets.len(), count.ret), (0, expected as u32));
            }
            let xml = client.call(&NetworkGetXmlDescArgs { net: net.clone(), flags: 0 }).unwrap().xml;
            assert!(xml.starts_with("<network>\n  <name>net1</name>\n") && xml.ends_with("</network>\n"), "{xml}");
            client.call(&NetworkSetAutostartArgs { net: net.clone(), autostart: 1 }).unwrap();
            assert_eq!(client.call(&NetworkGetAutostartArgs { net: net.clone() }).unwrap().autostart, 1);
            assert_eq!(client.call(&NetworkGetBridgeNameArgs { net: net.clone() }).unwrap().name, "virbr77");
            assert_eq!(client.call(&NetworkIsActiveArgs { net: net.clone() }).unwrap().active, 0);
            assert_eq!(client.call(&NetworkIsPersistentArgs { net: net.clone() }).unwrap().persistent, 1);
            client.call(&NetworkUndefineArgs { net: net.clone() }).unwrap();
            let gone = "Network not found: no network with matching uuid '9a05da11-e96b-47f3-8253-a3a482e445f5' (net1)";
            assert_eq!(refusal(&mut client, &NetworkIsActiveArgs { net }), (43, 19, gone.to_owned()));
        })
        .await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_networks_are_libvirts() {
    let daemon = daemon().await;
    daemon
        .with(|path| {
            let mut client = open(&path, "qemu:///system");
            let net = client.call(&NetworkDefineXmlArgs { xml: NETWORK.to_owned() }).unwrap().net;
            let says = |code, domain, text: &str| (code, domain, text.to_owned());
            let other = NETWORK.replace("9a05da11", "9a05da12");
            assert_eq!(
                refusal(&mut client, &NetworkDefineXmlArgs { xml: other }),
                says(9, 19, "operation failed: network 'net1' already exists with uuid 9a05da11-e96b-47f3-8253-a3a482e445f5")
            );
            assert_eq!(
                refusal(&mut client, &NetworkDefineXmlArgs { xml: "<network/>".to_owned() }),
                says(21, 19, "missing name information")
            );
            let (code, domain, text) =
                refusal(&mut client, &NetworkDefineXmlArgs { xml: "<network>\n <name>\n</network>".to_owned() });
            assert_eq!((code, domain), (35, 19));
            assert!(text.starts_with("at line 3, column ") && text.contains("\n</network>\n"), "{text}");
            let (code, _, text) = refusal(
                &mut client,
                &NetworkDefineXmlArgs { xml: NETWORK.replace("<bridge", "<nonsense/><bridge") },
            );
            assert_eq!(code, 67);
            assert!(text.contains("nonsense"), "{text}");
            assert_eq!(
                refusal(&mut client, &NetworkDestroyArgs { net: net.clone() }),
                says(55, 19, "Requested operation is not valid: network 'net1' is not active")
            );
            assert_eq!(
                refusal(&mut client, &NetworkListAllPortsArgs { network: net.clone(), need_results: 1, flags: 0 }),
                says(55, 19, "Requested operation is not valid: network 'net1' is not active")
            );
            let leases = NetworkGetDhcpLeasesArgs { net: net.clone(), mac: Some("zz".to_owned()), need_results: 1, flags: 0 };
            assert_eq!(refusal(&mut client, &leases), says(44, 19, "invalid MAC address: zz"));
            assert_eq!(
                refusal(&mut client, &NetworkGetXmlDescArgs { net, flags: 4 }),
                says(8, 19, "unsupported flags (0x4) in function networkGetXMLDesc")
            );
        })
        .await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_guests_are_libvirts() {
    let daemon = daemon().await;
    daemon
        .with(|path| {
            let mut client = open(&path, "qemu:///system");
            let says = |code, domain, text: &str| (code, domain, text.to_owned());
            let nobody = "Domain not found: no domain with matching";
            assert_eq!(
                refusal(&mut client, &DomainLookupByIdArgs { id: 7 }),
                says(42, 10, &format!("{nobody} id 7"))
            );
            assert_eq!(
                refusal(&mut client, &DomainLookupByNameArgs { name: "x".to_owned() }),
                says(42, 10, &format!("{nobody} name 'x'"))
            );
            assert_eq!(
                refusal(&mut client, &DomainLookupByUuidArgs { uuid: [1; 16] }),
                says(
                    42,
                    10,
                    &format!("{nobody} uuid '01010101-0101-0101-0101-010101010101'")
                )
            );
            let dom = DomainRef {
                name: "x".to_owned(),
                uuid: [1; 16],
                id: 3,
            };
            let gone = says(
                42,
                10,
                &format!("{nobody} uuid '01010101-0101-0101-0101-010101010101' (x)"),
            );
            assert_eq!(refusal(&mut client, &DomainCreateArgs { dom: dom.clone() }), gone);
            assert_eq!(
                refusal(&mut client, &DomainGetInfoArgs { dom: dom.clone() }),
                gone
            );
            assert_eq!(
                refusal(
                    &mut client,
                    &DomainGetStateArgs {
                        dom: dom.clone(),
                        flags: 0x8000
                    }
                ),
                says(8, 10, "unsupported flags (0x8000) in function qemuDomainGetState")
            );
            assert_eq!(
                refusal(
                    &mut client,
                    &DomainRenameArgs {
                        dom,
                        new_name: None,
                        flags: 0
                    }
                ),
                says(8, 20, "new_name in virDomainRename must not be NULL")
            );
            assert_eq!(
                refusal(
                    &mut client,
                    &DomainDefineXmlArgs {
                        xml: "<domain type='qemu'/>".to_owned()
                    }
                ),
                says(21, 20, "missing name information")
            );
            let none = client
                .call(&ConnectListAllStoragePoolsArgs {
                    need_results: 1,
                    flags: 0,
                })
                .unwrap();
            assert_eq!(none.pools.to_vec(), Vec::<PoolRef>::new());
        })
        .await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_read_only_socket_cannot_be_opened_for_writing() {
    let daemon = daemon().await;
    daemon
        .with(|path| {
            let mut client = open(&path.with_file_name("sock-ro"), "qemu:///system");
            let (code, domain, text) = refusal(
                &mut client,
                &NetworkDefineXmlArgs {
                    xml: NETWORK.to_owned(),
                },
            );
            assert_eq!((code, domain), (29, 19));
            assert_eq!(
                text,
                "operation forbidden: read only access prevents virNetworkDefineXML"
            );
            let dom = DomainRef {
                name: "x".to_owned(),
                uuid: [1; 16],
                id: 3,
            };
            for flags in [1, 8] {
                let (code, domain, text) = refusal(
                    &mut client,
                    &DomainGetXmlDescArgs {
                        dom: dom.clone(),
                        flags,
                    },
                );
                assert_eq!((code, domain), (29, 20));
                assert_eq!(text, "operation forbidden: virDomainGetXMLDesc with secure flag");
            }
            let agent = DomainInterfaceAddressesArgs {
                dom,
                source: 1,
                flags: 0,
            };
            assert_eq!(refusal(&mut client, &agent).0, 29);
            assert_eq!(
                client
                    .call(&ConnectListAllNetworksArgs {
                        need_results: 1,
                        flags: 0
                    })
                    .unwrap()
                    .ret,
                0
            );
        })
        .await;
    daemon.end().await;
}

/// Takes messages until the answer to `args`: the numbers of the messages that came before it.
fn told_before<A: Call>(client: &mut Client, args: &A) -> Vec<i32> {
    let serial = client.send(args).unwrap();
    let mut told = Vec::new();
    loop {
        let frame = client.receive().unwrap();
        if frame.header.kind == 1 && frame.header.serial == serial {
            return told;
        }
        told.push(frame.header.procedure);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_before_the_answer_to_what_caused_them() {
    let daemon = daemon().await;
    daemon
        .with(|path| {
            let mut client = open(&path, "qemu:///system");
            let all = ConnectNetworkEventRegisterAnyArgs {
                event_id: 0,
                net: None,
            };
            let first = client.call(&all).unwrap().callback_id;
            let tracked = (
                8,
                0,
                "invalid argument: event callback already tracked".to_owned(),
            );
            assert_eq!(refusal(&mut client, &all), tracked);
            let define = NetworkDefineXmlArgs {
                xml: NETWORK.to_owned(),
            };
            assert_eq!(told_before(&mut client, &define), [315]);
            let net = client
                .call(&NetworkLookupByNameArgs {
                    name: "net1".to_owned(),
                })
                .unwrap()
                .net;
            let of_one = ConnectNetworkEventRegisterAnyArgs {
                net: Some(net.clone()),
                ..all.clone()
            };
            client.call(&of_one).unwrap();
            // A reader hears of it, too, and takes nothing away from the first.
            let mut reader = Client::connect(&path.with_file_name("sock-ro")).unwrap();
            reader.open("network:///system", true).unwrap();
            let other = reader.call(&all).unwrap().callback_id;
            assert_ne!(other, first);
            let stranger = ConnectNetworkEventDeregisterAnyArgs { callback_id: other };
            let text = format!("internal error: network event callback {other} not registered");
            assert_eq!(refusal(&mut client, &stranger), (1, 7, text));
            assert_eq!(told_before(&mut client, &define), [315, 315]);
            assert_eq!(reader.receive().unwrap().header.procedure, 315);
            let back = ConnectNetworkEventDeregisterAnyArgs { callback_id: first };
            client.call(&back).unwrap();
            assert_eq!(told_before(&mut client, &NetworkUndefineArgs { net }), [315]);
            let unknown = ConnectNetworkEventRegisterAnyArgs { event_id: 2, ..all };
            let text = "internal error: unsupported network event ID 2".to_owned();
            assert_eq!(refusal(&mut client, &unknown), (1, 7, text));
        })
        .await;
    daemon.end().await;
}
