//! A server with a service of its own, and clients that behave, and clients that do not.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ferrovirt_wire::client::{Client, ClientError, results};
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::program::{PING, PONG, keepalive};
use ferrovirt_wire::{DomainRef, ErrorReply};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::stream::Endpoint;

/// What the calls of a test do: CREATE waits until it is let go, DESTROY panics, GET_XML_DESC answers four megabytes.
#[derive(Default)]
struct World {
    let_go: Notify,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// What is at the end of the streams that can be opened, by the names of consoles.
    streams: std::sync::Mutex<std::collections::HashMap<String, Endpoint>>,
}

struct Echo {
    world: Arc<World>,
    peer: Arc<Peer>,
}

impl ferrovirt_wire::own::OwnService for Echo {
    fn admit_own(&self, _: &ferrovirt_wire::Procedure) -> Result<(), ErrorReply> {
        Ok(())
    }
}

impl ferrovirt_wire::lxc::LxcService for Echo {
    fn admit_lxc(&self, _: &ferrovirt_wire::Procedure) -> Result<(), ErrorReply> {
        Ok(())
    }

    async fn domain_open_namespace(
        &self,
        args: ferrovirt_wire::lxc::DomainOpenNamespaceArgs,
    ) -> Result<Vec<std::os::fd::OwnedFd>, ErrorReply> {
        let open = |_| std::fs::File::open("/dev/null").unwrap().into();
        Ok((0..args.flags).map(open).collect())
    }
}

impl RemoteService for Echo {
    type Stream = Endpoint;

    async fn domain_open_console(
        &self,
        args: DomainOpenConsoleArgs,
    ) -> Result<(DomainOpenConsoleResults, Endpoint), ErrorReply> {
        let name = args.dev_name.unwrap_or_default();
        let endpoint = self.world.streams.lock().unwrap().remove(&name);
        let endpoint = endpoint.ok_or_else(|| ErrorReply::rpc("no such console"))?;
        Ok((DomainOpenConsoleResults {}, endpoint))
    }

    async fn connect_get_hostname(
        &self,
        _: ConnectGetHostnameArgs,
    ) -> Result<ConnectGetHostnameResults, ErrorReply> {
        let peer = &self.peer;
        let hostname = format!("{} {} {}", peer.uid, peer.pid.unwrap_or(0), peer.read_only);
        Ok(ConnectGetHostnameResults { hostname })
    }

    async fn connect_supports_feature(
        &self,
        _: ConnectSupportsFeatureArgs,
    ) -> Result<ConnectSupportsFeatureResults, ErrorReply> {
        self.peer.wants_keepalive();
        Ok(ConnectSupportsFeatureResults { supported: 1 })
    }

    async fn connect_close(&self, _: ConnectCloseArgs) -> Result<ConnectCloseResults, ErrorReply> {
        Ok(ConnectCloseResults {})
    }

    async fn domain_create(&self, _: DomainCreateArgs) -> Result<DomainCreateResults, ErrorReply> {
        self.world.begun.fetch_add(1, Ordering::SeqCst);
        self.world.let_go.notified().await;
        self.world.ended.fetch_add(1, Ordering::SeqCst);
        Ok(DomainCreateResults {})
    }

    async fn domain_destroy(&self, _: DomainDestroyArgs) -> Result<DomainDestroyResults, ErrorReply> {
        panic!("on purpose");
    }

    async fn domain_get_xml_desc(
        &self,
        _: DomainGetXmlDescArgs,
    ) -> Result<DomainGetXmlDescResults, ErrorReply> {
        Ok(DomainGetXmlDescResults {
            xml: "x".repeat(4 << 20),
        })
    }
}

struct Running {
    dir: tempfile::TempDir,
    world: Arc<World>,
    lives: Arc<std::sync::Mutex<Vec<Arc<Peer>>>>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

fn limits() -> Limits {
    Limits {
        requests: 2,
        keepalive_interval: None,
        keepalive_count: 2,
        patience: Duration::from_millis(300),
    }
}

fn start(limits: Limits, bounds: Bounds) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let lives = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = |name: &str, read_only| Listener {
        socket: UnixListener::bind(dir.path().join(name)).unwrap(),
        read_only,
    };
    let listeners = vec![listener("sock", false), listener("sock-ro", true)];
    let shutdown = CancellationToken::new();
    let door = {
        let (world, lives) = (Arc::clone(&world), Arc::clone(&lives));
        move |peer: Arc<Peer>| {
            lives.lock().unwrap().push(Arc::clone(&peer));
            Echo {
                world: Arc::clone(&world),
                peer,
            }
        }
    };
    let server = tokio::spawn(serve_with(
        listeners,
        door,
        limits,
        bounds,
        None,
        shutdown.clone(),
    ));
    Running {
        dir,
        world,
        lives,
        shutdown,
        server,
    }
}

fn usual() -> Running {
    start(
        limits(),
        Bounds {
            clients: 10,
            drain: Duration::from_secs(20),
        },
    )
}

impl Running {
    fn path(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// Runs a blocking client beside the server.
    async fn with<T: Send + 'static>(&self, client: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let path = self.path();
        tokio::task::spawn_blocking(move || client(&path)).await.unwrap()
    }

    async fn until(&self, condition: impl Fn(&World) -> bool) {
        for _ in 0..2000 {
            if condition(&self.world) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not come to that");
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

fn connect(path: &Path) -> Client {
    let client = Client::connect(path).unwrap();
    client.set_timeout(Duration::from_secs(20)).unwrap();
    client
}

fn guest() -> DomainRef {
    DomainRef {
        name: "g1".to_owned(),
        uuid: [1; 16],
        id: -1,
    }
}

fn create() -> DomainCreateArgs {
    DomainCreateArgs { dom: guest() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernel_says_who_a_client_is() {
    let running = usual();
    let said = running
        .with(|path| connect(path).call(&ConnectGetHostnameArgs {}).unwrap().hostname)
        .await;
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(said, format!("{uid} {} false", std::process::id()));
    let read_only = running.dir.path().join("sock-ro");
    let said = running
        .with(move |_| {
            connect(&read_only)
                .call(&ConnectGetHostnameArgs {})
                .unwrap()
                .hostname
        })
        .await;
    assert!(said.ends_with("true"));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_run_side_by_side_and_are_answered_as_they_end() {
    let running = usual();
    let world = Arc::clone(&running.world);
    running
        .with(move |path| {
            let mut client = connect(path);
            let slow = client.send(&create()).unwrap();
            let hostname = client.call(&ConnectGetHostnameArgs {}).unwrap().hostname;
            assert!(hostname.ends_with("false"));
            world.let_go.notify_one();
            let answer = client.receive().unwrap();
            assert_eq!(answer.header.serial, slow);
            results::<DomainCreateResults>(&answer).unwrap();
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_of_a_client_are_at_work_than_allowed_but_pings_are_answered() {
    let running = usual();
    let world = Arc::clone(&running.world);
    let mut client = running
        .with(move |path| {
            let mut client = connect(path);
            for _ in 0..5 {
                client.send(&create()).unwrap();
            }
            client.send_bytes(&keepalive(PING).empty_message()).unwrap();
            assert_eq!(client.receive_any().unwrap().header.procedure, PONG);
            client
        })
        .await;
    assert_eq!(world.begun.load(Ordering::SeqCst), 2);
    let world = Arc::clone(&running.world);
    running
        .with(move |_| {
            for _ in 0..5 {
                while world.begun.load(Ordering::SeqCst) == world.ended.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                world.let_go.notify_one();
                results::<DomainCreateResults>(&client.receive().unwrap()).unwrap();
            }
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_calls_without_end_is_not_read_any_more() {
    let running = usual();
    let refused = running
        .with(|path| {
            let mut socket = StdStream::connect(path).unwrap();
            socket
                .set_write_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            let header = ferrovirt_wire::Header {
                program: ferrovirt_wire::program::REMOTE,
                version: 1,
                procedure: DomainCreateArgs::NUMBER,
                kind: 0,
                serial: 0,
                status: 0,
            };
            let call = header.message(&create()).unwrap();
            (0..100_000).any(|_| socket.write_all(&call).is_err())
        })
        .await;
    assert!(refused);
    assert_eq!(running.world.begun.load(Ordering::SeqCst), 2);
    running.shutdown.cancel();
    running.world.let_go.notify_waiters();
    running.server.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_the_error_of_one_call() {
    let running = usual();
    running
        .with(|path| {
            let mut client = connect(path);
            match client.call(&DomainDestroyArgs { dom: guest() }) {
                Err(ClientError::Refused(error)) => {
                    assert_eq!((error.code, error.domain), (1, 7));
                    assert!(error.text().contains("virDomainDestroy"));
                }
                other => panic!("{other:?}"),
            }
            client.call(&ConnectGetHostnameArgs {}).unwrap();
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_goodbye_is_answered_and_nothing_behind_it_is_served() {
    let running = usual();
    running
        .with(|path| {
            let mut client = connect(path);
            let goodbye = client.send(&ConnectCloseArgs {}).unwrap();
            let _ = client.send(&ConnectGetHostnameArgs {});
            assert_eq!(client.receive().unwrap().header.serial, goodbye);
            assert!(client.receive().is_err());
        })
        .await;
    running
        .until(|_| running.lives.lock().unwrap()[0].life().is_cancelled())
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_ends_its_connection_but_not_its_call() {
    let running = usual();
    running
        .with(|path| {
            let mut client = connect(path);
            client.send(&create()).unwrap();
            client.call(&ConnectGetHostnameArgs {}).unwrap();
        })
        .await;
    running
        .until(|_| running.lives.lock().unwrap()[0].life().is_cancelled())
        .await;
    assert_eq!(running.world.ended.load(Ordering::SeqCst), 0);
    running.world.let_go.notify_one();
    running
        .until(|world| world.ended.load(Ordering::SeqCst) == 1)
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_messages_end_only_their_connection() {
    let running = usual();
    running
        .with(|path| {
            let mut good = connect(path);
            for bytes in [&[0_u8, 0, 0, 3][..], &[2, 0, 0, 5], &[0xff; 100]] {
                let mut bad = StdStream::connect(path).unwrap();
                bad.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                bad.write_all(bytes).unwrap();
                // End of file, or a reset because unread bytes were thrown away.
                assert_eq!(bad.read(&mut [0; 10]).unwrap_or(0), 0);
            }
            good.call(&ConnectGetHostnameArgs {}).unwrap();
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_dropped() {
    let running = usual();
    let mut deaf = running
        .with(|path| {
            let mut client = connect(path);
            client
                .send(&DomainGetXmlDescArgs {
                    dom: guest(),
                    flags: 0,
                })
                .unwrap();
            client
        })
        .await;
    running
        .until(|_| {
            running
                .lives
                .lock()
                .unwrap()
                .first()
                .is_some_and(|peer| peer.life().is_cancelled())
        })
        .await;
    let outcome = running
        .with(move |_| {
            loop {
                if let Err(error) = deaf.receive() {
                    return error;
                }
            }
        })
        .await;
    assert!(
        matches!(outcome, ClientError::Closed | ClientError::Io(_)),
        "{outcome:?}"
    );
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_pinged_only_if_it_asked_and_dropped_if_it_is_silent() {
    let limits = Limits {
        keepalive_interval: Some(Duration::from_millis(100)),
        ..limits()
    };
    let running = start(
        limits,
        Bounds {
            clients: 10,
            drain: Duration::from_secs(20),
        },
    );
    running
        .with(|path| {
            let mut never_asked = connect(path);
            let mut asked = connect(path);
            asked.call(&ConnectSupportsFeatureArgs { feature: 10 }).unwrap();
            // An answer starts the count again.
            for _ in 0..4 {
                assert_eq!(asked.receive_any().unwrap().header, keepalive(PING));
                asked.send_bytes(&keepalive(PONG).empty_message()).unwrap();
            }
            for _ in 0..2 {
                assert_eq!(asked.receive_any().unwrap().header, keepalive(PING));
            }
            assert!(matches!(asked.receive_any(), Err(ClientError::Closed)));
            never_asked.set_timeout(Duration::from_millis(300)).unwrap();
            assert!(matches!(never_asked.receive_any(), Err(ClientError::Io(_))));
            never_asked.call(&ConnectGetHostnameArgs {}).unwrap();
        })
        .await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_at_the_end_running_requests_are_answered_and_new_ones_are_not() {
    let running = usual();
    let mut client = running
        .with(|path| {
            let mut client = connect(path);
            client.send(&create()).unwrap();
            client
        })
        .await;
    running
        .until(|world| world.begun.load(Ordering::SeqCst) == 1)
        .await;
    running.shutdown.cancel();
    let world = Arc::clone(&running.world);
    let path = running.path();
    tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(100));
        let _ = client.send(&ConnectGetHostnameArgs {});
        world.let_go.notify_one();
        assert_eq!(
            client.receive().unwrap().header.procedure,
            DomainCreateArgs::NUMBER
        );
        assert!(client.receive().is_err());
    })
    .await
    .unwrap();
    running.server.await.unwrap();
    assert!(StdStream::connect(path).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_requests_that_do_not_end_do_not_hold_the_daemon() {
    let running = start(
        limits(),
        Bounds {
            clients: 10,
            drain: Duration::from_millis(200),
        },
    );
    let _client = running
        .with(|path| {
            let mut client = connect(path);
            client.send(&create()).unwrap();
            client
        })
        .await;
    running
        .until(|world| world.begun.load(Ordering::SeqCst) == 1)
        .await;
    timeout(Duration::from_secs(20), running.end()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_more_than_allowed_waits_for_a_place() {
    let running = start(
        limits(),
        Bounds {
            clients: 1,
            drain: Duration::from_secs(20),
        },
    );
    running
        .with(|path| {
            let mut first = connect(path);
            first.call(&ConnectGetHostnameArgs {}).unwrap();
            let mut second = connect(path);
            second.set_timeout(Duration::from_millis(200)).unwrap();
            assert!(matches!(
                second.call(&ConnectGetHostnameArgs {}),
                Err(ClientError::Io(_))
            ));
            first.close().unwrap();
            second.set_timeout(Duration::from_secs(20)).unwrap();
            assert!(second.receive().is_ok());
        })
        .await;
    running.end().await;
}

#[path = "stream/tests.rs"]
mod streams;
