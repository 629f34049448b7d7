//! Pages as a browser gets them: from a history that is filled here, through the real door.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferrovirt_hook::history::{
    AskedBy, History, How, OperationEnd, OperationStart, RunEnd, RunKind, RunStart, Settings, Step,
};
use ferrovirt_hook::{Captured, Driver, GuestOperation, HookEvent};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::door::{Desk, Opened};
use super::now::{Object, Running};
use super::*;

/// A name that a page must not take for a part of itself.
const EVIL: &str = "<script>alert('1')</script>\"&";

fn now() -> Now {
    let object = |driver, name: &str| Object {
        driver,
        name: name.to_owned(),
        uuid: "0-1".to_owned(),
        state: "running".to_owned(),
        active: true,
        process_began: None,
        facts: vec![("Reason", EVIL.to_owned())],
    };
    let at = SystemTime::now();
    Now {
        at,
        hostname: "testhost".to_owned(),
        version: "9.9",
        began: at.checked_sub(Duration::from_secs(120)),
        clients: 3,
        guests: vec![
            object(Driver::Qemu, "web1"),
            object(Driver::Qemu, EVIL),
            object(Driver::Lxc, "c1"),
        ],
        networks: vec![object(Driver::Network, "default")],
        running: vec![Running {
            id: 77,
            driver: "qemu",
            object: "web1".to_owned(),
            arguments: format!("{EVIL} start begin -"),
            script: format!("/h/{EVIL}").into(),
            age: Duration::from_secs(3),
            left: Some(Duration::from_secs(90)),
            late: true,
            waits_for: Some(EVIL.to_owned()),
        }],
    }
}

fn office(history: &History, full: bool) -> Office {
    Office {
        now: Box::new(now),
        history: history.path().map(ToOwned::to_owned),
        full,
    }
}

fn start(object: &str) -> OperationStart {
    OperationStart {
        driver: Driver::Qemu,
        object: object.to_owned(),
        uuid: None,
        kind: "start".to_owned(),
        asked_by: AskedBy {
            program: Some("/usr/bin/virsh".to_owned()),
            ..AskedBy::default()
        },
        at: SystemTime::now(),
    }
}

fn captured(text: &str) -> Captured {
    Captured {
        bytes: text.as_bytes().to_vec(),
        lost: 0,
    }
}

/// One operation with a step, a filter that succeeds and a hook that fails.
async fn filled() -> (TempDir, History) {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(Settings::new(dir.path().join("h.db"))).unwrap();
    let operation = history.operation_began(start(EVIL));
    let began = SystemTime::now();
    for (n, (how, failure)) in [(How::Exit(0), None), (How::Exit(7), Some("status 7: SECRET-3"))]
        .into_iter()
        .enumerate()
    {
        let id = history.run_began(RunStart {
            operation: Some(operation),
            call: 1,
            event: HookEvent::guest(Driver::Qemu, EVIL, GuestOperation::Restore).unwrap(),
            uuid: None,
            script: format!("/etc/libvirt/hooks/{EVIL}").into(),
            kind: RunKind::Rule(EVIL.to_owned()),
            rule: Some("limit".to_owned()),
            digest: None,
            document: Some(format!("<domain>\n  <name>SECRET-1 {EVIL}</name>\n</domain>\n").into()),
            asked_by: AskedBy::default(),
            at: began + Duration::from_millis(100 * n as u64),
            environment: Vec::new(),
        });
        history.run_ended(
            id,
            RunEnd {
                took: Duration::from_millis(100),
                how,
                stdout: captured("SECRET-2 </pre><b>"),
                stderr: captured(""),
                output_document: Some("<domain>\n  <name>SECRET-4</name>\n</domain>\n".into()),
                ignored: false,
                failure: failure.map(str::to_owned),
            },
        );
    }
    history.operation_step(
        operation,
        Step {
            name: "launch".to_owned(),
            began: began + Duration::from_millis(200),
            took: Duration::from_millis(200),
            failure: None,
        },
    );
    history.operation_ended(
        operation,
        OperationEnd {
            at: began + Duration::from_millis(400),
            failure: Some("SECRET-5".to_owned()),
            reason: None,
            hypervisor_log: Some("SECRET-6".to_owned()),
        },
    );
    history.flush().await;
    (dir, history)
}

/// The page at this path, which must be there.
fn shown(office: &Office, path: &str) -> String {
    let answer = office.answer(path);
    assert_eq!(answer.status, StatusCode::OK, "{path}");
    answer.body
}

fn evil_link() -> String {
    route::link(Driver::Qemu, EVIL).unwrap()
}

#[tokio::test]
async fn names_and_texts_are_escaped_everywhere() {
    let (_dir, history) = filled().await;
    let office = office(&history, true);
    let evil = evil_link();
    for path in ["/", &evil, "/operation/1", "/run/1", "/run/2"] {
        let page = shown(&office, path);
        assert!(page.contains("&#60;script&#62;"), "{path}: {page}");
        for wrong in ["<script", "<b>", "style=", "javascript:", "onload"] {
            assert!(!page.contains(wrong), "{path}: {wrong} in {page}");
        }
        assert!(!page.contains("http://") && !page.contains("https://"), "{path}");
    }
}

#[tokio::test]
async fn the_first_page_shows_what_is_and_what_failed() {
    let (_dir, history) = filled().await;
    let page = shown(&office(&history, false), "/");
    for text in [
        "testhost",
        "9.9",
        "(2 min 0 s)",
        "<dd>3</dd>",
        "href=\"/guest/web1\"",
        "href=\"/network/default\"",
        "href=\"/run/77\"",
        "1 min 30 s",
        "late, waits for the lock",
        "href=\"/run/2\"",
        "exit status 7",
        "href=\"/operation/1\"",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    // It failed, but not the other one.
    assert!(!page.contains("href=\"/run/1\""));
    // The guest of the operation has a time, the other, the container and the network have none.
    assert_eq!(page.matches("not known").count(), 3);
}

#[tokio::test]
async fn an_operation_is_drawn_in_proportion() {
    let (_dir, history) = filled().await;
    let page = shown(&office(&history, false), "/operation/1");
    for text in [
        "launch",
        "hypervisor",
        "/usr/bin/virsh",
        "href=\"/run/1\"",
        "href=\"/run/2\"",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    let widths: Vec<f64> = page
        .split("<rect class=\"")
        .filter(|rect| !rect.starts_with("track"))
        .filter_map(|rect| rect.split(" width=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    let [first, second, launch] = widths[..] else {
        panic!("{widths:?} in {page}");
    };
    for (width, wanted) in [(first, 250.0), (second, 250.0), (launch, 500.0)] {
        assert!((width - wanted).abs() < 20.0, "{widths:?}");
    }
    assert!(page.contains("class=\"hook bad\"") && page.contains("class=\"step good\""));
}

#[tokio::test]
async fn records_in_full_are_not_for_everybody() {
    let (_dir, history) = filled().await;
    let evil = evil_link();
    let paths = ["/", &evil, "/operation/1", "/run/1", "/run/2"];
    let some = office(&history, false);
    for path in paths {
        let page = shown(&some, path);
        assert!(!page.contains("SECRET"), "{path}: {page}");
    }
    assert!(shown(&some, "/run/1").contains("full = true"));
    assert!(shown(&some, "/operation/1").contains("full = true"));
    let all = office(&history, true);
    let page: String = paths.map(|path| shown(&all, path)).concat();
    for n in 1..=6 {
        assert!(page.contains(&format!("SECRET-{n}")), "{n}");
    }
    assert!(page.contains("<ins>+  &#60;name&#62;SECRET-4"));
    assert!(!page.contains("full = true"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_dir, history) = filled().await;
    let office = office(&history, true);
    for path in [
        "/run/3",
        "/operation/2",
        "/guest/other",
        "/network/other",
        "/favicon.ico",
    ] {
        assert_eq!(office.answer(path).status, StatusCode::NOT_FOUND, "{path}");
    }
    // A guest that is gone, with a history; one without a history.
    assert!(shown(&office, "/guest/web1").contains("Last operations"));
    let off = super::Office {
        history: None,
        ..office
    };
    assert!(shown(&off, "/").contains("No history is kept"));
    assert!(!shown(&off, "/").contains("href=\"/run/77\""));
    assert_eq!(off.answer("/run/1").status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_page_is_whole_and_accessible() {
    let (_dir, history) = filled().await;
    let office = office(&history, true);
    let mut pages: Vec<String> = ["/", "/guest/web1", "/network/default", "/operation/1", "/run/1"]
        .map(|path| shown(&office, path))
        .to_vec();
    pages.push(office.refuse(StatusCode::FORBIDDEN).body);
    for page in pages {
        for text in [
            "<!doctype html>",
            "<html lang=\"en\">",
            "<title>",
            "name=\"viewport\"",
            "</html>",
        ] {
            assert!(page.contains(text), "{page}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{page}");
        assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
        assert_eq!(page.matches("<th ").count(), page.matches("<th scope=").count());
        // It parses as XML but for the void elements, so nothing is left open.
        let xml = page.replacen("<!doctype html>", "", 1);
        let void = |line: &str| line.starts_with("<meta") || line.starts_with("<link");
        let xml: String = xml.lines().filter(|line| !void(line)).collect();
        roxmltree::Document::parse(&xml).unwrap_or_else(|e| panic!("{e}: {page}"));
    }
    assert!(STYLE.contains("prefers-color-scheme: dark"));
}

/// A page that is served, and what to connect to.
struct Served {
    _dir: TempDir,
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start() -> Served {
        let (dir, history) = filled().await;
        let opened = Opened::new(&Listen::Tcp(([127, 0, 0, 1], 0).into()))
            .await
            .unwrap();
        let Opened::Tcp(_, address) = opened else {
            panic!("no port");
        };
        let port = address.port();
        let stop = CancellationToken::new();
        let task = tokio::spawn(door::serve(
            opened,
            Arc::new(office(&history, false)),
            stop.clone(),
        ));
        Served {
            _dir: dir,
            port,
            stop,
            task,
        }
    }

    /// Sends these bytes and reads to the end.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        // It may have heard enough before the end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        match timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await {
            Ok(Err(e)) if e.kind() != ErrorKind::ConnectionReset => panic!("{e}"),
            Err(_) => panic!("no end"),
            _ => String::from_utf8_lossy(&answer).into_owned(),
        }
    }

    async fn ask(&self, method: &str, path: &str) -> String {
        let port = self.port;
        let text = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
        self.send(text.as_bytes()).await
    }
}

#[tokio::test]
async fn what_goes_with_every_answer() {
    let served = Served::start().await;
    for (path, status) in [
        ("/", "200 OK"),
        ("/style.css", "200 OK"),
        ("/x", "404 Not Found"),
        ("/guest/%", "400 Bad"),
    ] {
        let answer = served.ask("GET", path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        let head = answer
            .split("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self';",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "connection: close",
        ] {
            assert!(head.contains(header), "{header} is not in {head}");
        }
        assert!(
            !head.contains("cookie") && !head.contains("\r\nserver:"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn only_reading_and_only_by_our_own_names() {
    let served = Served::start().await;
    let head = served.ask("HEAD", "/").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = served.ask(method, "/").await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(
            answer.contains("allow: GET, HEAD") && answer.contains("<h1>Method"),
            "{answer}"
        );
    }
    let rebound = served.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    assert!(
        !rebound.contains("testhost") && !rebound.contains("web1"),
        "{rebound}"
    );
    let old = served.send(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 403"), "{old}");
}

#[tokio::test]
async fn a_request_is_bounded() {
    let served = Served::start().await;
    let port = served.port;
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let many = served
        .send(format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\n{many}\r\n").as_bytes())
        .await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    let long = "x".repeat(64 << 10);
    let long = served
        .send(format!("GET / HTTP/1.1\r\nHost: localhost:{port}\r\nX: {long}\r\n\r\n").as_bytes())
        .await;
    assert!(!long.contains("200 OK"), "{long}");
}

#[tokio::test]
async fn who_is_silent_is_left_and_the_next_is_served() {
    let served = Served::start().await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    }
    let start = std::time::Instant::now();
    let answer = served.ask("GET", "/").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let took = start.elapsed();
    assert!(
        took > Duration::from_secs(8) && took < Duration::from_secs(19),
        "{took:?}"
    );
}

/// More than all buffers between here and a client.
struct Large;

impl Desk for Large {
    fn answer(&self, path: &str) -> Answer {
        let length = if path == "/small" { 1 } else { 32 << 20 };
        Answer {
            status: StatusCode::OK,
            kind: HTML,
            body: "x".repeat(length),
        }
    }

    fn refuse(&self, status: StatusCode) -> Answer {
        Answer {
            status,
            kind: HTML,
            body: String::new(),
        }
    }
}

#[tokio::test]
async fn who_does_not_read_is_left_and_the_next_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let opened = Opened::new(&Listen::Unix(path.clone())).await.unwrap();
    tokio::spawn(door::serve(opened, Arc::new(Large), CancellationToken::new()));
    let ask = async |path_asked: &str| {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let request = format!("GET {path_asked} HTTP/1.1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut lazy = Vec::new();
    for _ in 0..16 {
        lazy.push(ask("/").await);
    }
    let mut answer = String::new();
    let mut next = ask("/small").await;
    let read = timeout(Duration::from_secs(19), next.read_to_string(&mut answer));
    read.await.unwrap().unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nx"),
        "{answer}"
    );
    // What they get now ends early.
    let mut rest = Vec::new();
    let mut first = lazy.swap_remove(0);
    let _ = timeout(Duration::from_secs(5), first.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.len() < 16 << 20, "{}", rest.len());
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_and_goes_away() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, history) = filled().await;
    let path = dir.path().join("deep/page.sock");
    let opened = Opened::new(&Listen::Unix(path.clone())).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(Opened::new(&Listen::Unix(path.clone())).await.is_err());
    let stop = CancellationToken::new();
    let task = tokio::spawn(door::serve(
        opened,
        Arc::new(office(&history, true)),
        stop.clone(),
    ));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /run/1 HTTP/1.1\r\nHost: any\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("SECRET-1"),
        "{answer}"
    );
    stop.cancel();
    timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn no_bytes_end_the_server() {
    let served = Served::start().await;
    for bytes in [
        &b""[..],
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ] {
        let answer = served.send(bytes).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    let answer = served.ask("GET", "/").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    served.stop.cancel();
    timeout(Duration::from_secs(5), served.task)
        .await
        .unwrap()
        .unwrap();
}

/// What a conversation with the door gives for these bytes.
fn answer_to(office: &Arc<Office>, bytes: &[u8]) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut here, there) = tokio::io::duplex(1 << 20);
        here.write_all(bytes).await.unwrap();
        here.shutdown().await.unwrap();
        let places = Arc::new(tokio::sync::Semaphore::new(1));
        let place = places.acquire_owned().await.unwrap();
        door::converse(
            there,
            guard::Door::Tcp(([127, 0, 0, 1], 80).into()),
            Arc::clone(office),
            place,
        )
        .await;
        let mut answer = Vec::new();
        here.read_to_end(&mut answer).await.unwrap();
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_request_makes_it_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        path in "/(guest|network|run|operation)?/?[ -~]{0,30}",
        host in "(localhost|127\\.0\\.0\\.1|[ -~]{0,12})",
        whole: bool,
    ) {
        let office = Arc::new(Office { now: Box::new(now), history: None, full: true });
        let mut bytes = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
        bytes.extend(if whole { b"\r\n".to_vec() } else { noise });
        let answer = answer_to(&office, &bytes);
        // Silence, or HTTP; never the page of a panic.
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."));
        prop_assert!(!answer.starts_with(b"HTTP/1.1 500"));
    }
}
