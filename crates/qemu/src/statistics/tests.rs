//! A scripted QEMU, one that says nothing, and documents of guests that are off.

use super::*;
use ferrovirt_model::domain::Domain;
use ferrovirt_sys::process::ProcessId;
use ferrovirt_xml::UnknownPolicy;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

fn ask() -> StatsAsk {
    StatsAsk {
        cpu: true,
        balloon: true,
        vcpus: true,
        interfaces: true,
        blocks: true,
        backing: false,
        dirty_rate: true,
        patience: Duration::from_secs(20),
    }
}

fn document(devices: &str) -> Arc<Domain> {
    let text = format!(
        "<domain type='qemu'><name>g1</name><memory>2048</memory><currentMemory>1024</currentMemory>\
         <os><type arch='x86_64'>hvm</type></os><devices>{devices}</devices></domain>"
    );
    Arc::new(Domain::parse_live(&text, UnknownPolicy::Refuse).unwrap().value)
}

const BALLOON: &str = "<memballoon model='virtio'><alias name='balloon0'/></memballoon>";
const DISK: &str = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i' index='1'/>\
    <target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>";

/// A guest whose process is this test's own.
fn machine() -> (Machine, BufReader<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let process = ProcessId::of(i32::try_from(std::process::id()).unwrap()).unwrap();
    let machine = Machine::new("g1", process, ours).unwrap();
    machine.set_balloon(true);
    (machine, BufReader::new(theirs))
}

/// Answers each request as a QEMU does, `times` of them; returns the names.
async fn answer(peer: &mut BufReader<UnixStream>, times: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..times {
        let mut line = String::new();
        peer.read_line(&mut line).await.unwrap();
        let request: serde_json::Value = serde_json::from_str(&line).unwrap();
        let name = request["execute"].as_str().unwrap().to_owned();
        let value = match name.as_str() {
            "query-balloon" => r#"{"actual": 1572864}"#,
            "qom-get" => {
                r#"{"stats": {"stat-free-memory": 4096, "stat-major-faults": 5, "stat-swap-in": 18446744073709551615},
                    "last-update": 77}"#
            }
            "query-cpus-fast" => r#"[{"cpu-index": 1, "thread-id": 1}, {"cpu-index": 0, "thread-id": 1}]"#,
            "query-blockstats" => {
                r#"[{"device": "", "qdev": "/machine/peripheral/virtio-disk0/virtio-backend",
                     "node-name": "libvirt-1-format", "stats": {"rd_operations": 3},
                     "parent": {"node-name": "libvirt-1-storage", "stats": {"wr_highest_offset": 9}}}]"#
            }
            "query-named-block-nodes" => {
                r#"[{"node-name": "libvirt-1-format", "image": {"virtual-size": 100, "actual-size": 50}},
                    {"node-name": "libvirt-1-storage", "image": {"virtual-size": 60, "actual-size": 50}}]"#
            }
            "query-dirty-rate" => {
                r#"{"status": "measured", "dirty-rate": 4, "start-time": 8, "calc-time": 1, "mode": "page-sampling",
                    "vcpu-dirty-rate": [{"id": 0, "dirty-rate": 3}, {"id": -1, "dirty-rate": 3}]}"#
            }
            other => panic!("{other}"),
        };
        names.push(name);
        let answer = format!("{{\"return\": {value}, \"id\": {}}}\r\n", request["id"]).replace('\n', " ");
        peer.get_mut()
            .write_all((answer.trim_end().to_owned() + "\r\n").as_bytes())
            .await
            .unwrap();
    }
    names
}

#[tokio::test]
async fn what_qemu_and_the_kernel_say_is_one_answer() {
    let (machine, mut peer) = machine();
    let doc = document(&format!("{DISK}{BALLOON}"));
    let ask = ask();
    let (told, asked) = tokio::join!(stats(Some(&machine), &doc, &ask), answer(&mut peer, 6));
    assert_eq!(asked.len(), 6);
    let balloon = told.balloon.unwrap();
    assert_eq!((balloon.current, balloon.unused), (Some(1536), Some(4)));
    assert_eq!((balloon.major_fault, balloon.swap_in), (Some(5), None));
    assert_eq!(balloon.last_update, Some(77));
    assert!(balloon.rss > Some(0));
    assert!(told.cpu.is_some());
    assert_eq!(
        told.vcpus.iter().map(|vcpu| vcpu.number).collect::<Vec<_>>(),
        [0, 1]
    );
    let [block] = &told.blocks.unwrap()[..] else {
        panic!()
    };
    assert_eq!((block.index, block.work.unwrap().reads.count), (Some(1), 3));
    assert_eq!(
        (block.allocation, block.capacity, block.physical),
        (Some(9), Some(100), Some(50))
    );
    let rate = told.dirty_rate.unwrap();
    assert_eq!(
        (rate.status, rate.mib_per_second),
        (DirtyRateStatus::Measured, Some(4))
    );
    assert_eq!(rate.vcpus, [(0, 3)]);
    // Threads stay the same: they are asked for once.
    let (_, asked) = tokio::join!(stats(Some(&machine), &doc, &ask), answer(&mut peer, 5));
    assert!(!asked.contains(&"query-cpus-fast".to_owned()), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn r90_a_qemu_that_says_nothing_is_asked_once_and_left_out() {
    let (machine, mut peer) = machine();
    let doc = document(&format!("{DISK}{BALLOON}"));
    let ask = StatsAsk {
        patience: Duration::from_secs(2),
        ..ask()
    };
    for _ in 0..3 {
        let told = stats(Some(&machine), &doc, &ask).await;
        assert_eq!(told.dirty_rate, None);
        let [block] = &told.blocks.unwrap()[..] else {
            panic!()
        };
        assert_eq!(
            (block.name.as_str(), block.index, block.work),
            ("vda", Some(1), None)
        );
        assert_eq!((block.capacity, block.physical), (None, None));
    }
    let hurried = StatsAsk {
        patience: Duration::ZERO,
        ..ask
    };
    let before = tokio::time::Instant::now();
    assert_eq!(stats(Some(&machine), &doc, &hurried).await.dirty_rate, None);
    assert!(before.elapsed() < Duration::from_millis(500));
    tokio::time::resume();
    let ask = StatsAsk {
        patience: Duration::from_secs(20),
        ..ask
    };
    // When it speaks again, it has one round to answer, and then the next.
    assert_eq!(answer(&mut peer, 6).await.len(), 6);
    let (told, asked) = tokio::join!(stats(Some(&machine), &doc, &ask), answer(&mut peer, 6));
    assert_eq!(asked.len(), 6);
    assert!(told.dirty_rate.is_some());
}

#[tokio::test]
async fn what_nobody_asks_for_is_not_asked_and_not_told() {
    let (machine, mut peer) = machine();
    machine.set_balloon(false);
    let doc = document("<memballoon model='none'/>");
    let ask = StatsAsk {
        cpu: false,
        vcpus: false,
        interfaces: false,
        dirty_rate: false,
        ..ask()
    };
    let told = stats(Some(&machine), &doc, &ask).await;
    assert_eq!(told.blocks, Some(Vec::new()));
    assert_eq!(told.balloon.unwrap().current, Some(2048));
    assert_eq!((told.cpu, told.vcpus.len()), (None, 0));
    drop(machine);
    let mut rest = String::new();
    peer.read_line(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn a_guest_that_is_off_has_its_memory() {
    let off = |devices: &str| {
        let doc = document(devices);
        async move { stats(None, &doc, &ask()).await }
    };
    let told = off(BALLOON).await;
    assert_eq!(told.balloon.unwrap().current, Some(1024));
    assert_eq!((told.cpu, told.vcpus.len(), told.dirty_rate), (None, 0, None));
    let told = off("<memballoon model='none'/>").await;
    assert_eq!(told.balloon.unwrap().current, Some(2048));
}
