//! Sizes of files, and rows of QEMU's answers by the names that it gives disks.

use super::*;
use ferrovirt_xml::UnknownPolicy;

fn document(disks: &str) -> Domain {
    let text = format!(
        "<domain type='qemu'><name>g1</name><memory>2048</memory><os><type arch='x86_64'>hvm</type></os>\
         <devices>{disks}</devices></domain>"
    );
    Domain::parse_live(&text, UnknownPolicy::Refuse).unwrap().value
}

fn qcow2(size: u64) -> Vec<u8> {
    let mut header = vec![0; 200];
    header[..4].copy_from_slice(b"QFI\xfb");
    header[24..32].copy_from_slice(&size.to_be_bytes());
    header
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_guest_that_is_off_shows_what_its_files_are() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("top"), qcow2(4096)).unwrap();
    std::fs::write(at("base"), vec![1; 1000]).unwrap();
    std::fs::write(at("odd"), b"no header").unwrap();
    let doc = document(&format!(
        "<disk type='file'><driver name='qemu' type='qcow2'/><source file='{}'/><backingStore type='file'>\
         <format type='raw'/><source file='{}'/><backingStore/></backingStore><target dev='vda' bus='virtio'/></disk>\
         <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>\
         <disk type='file'><source file='{}'/><target dev='vdb' bus='virtio'/></disk>\
         <disk type='file'><driver name='qemu' type='qcow2'/><source file='{}'/><target dev='vdc' bus='virtio'/></disk>",
        at("top"),
        at("base"),
        at("missing"),
        at("odd"),
    ));
    let told = off(&doc, true, SOON).await;
    let names: Vec<&str> = told.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["vda", "vda", "hdc", "vdb", "vdc"]);
    assert_eq!((told[0].capacity, told[0].physical), (Some(4096), Some(200)));
    assert_eq!((told[1].capacity, told[1].physical), (Some(1000), Some(1000)));
    assert!(told[1].allocation.unwrap() >= 1000);
    assert_eq!((told[2].path.as_ref(), told[2].capacity), (None, None));
    assert_eq!(told[3].path, Some(at("missing")));
    assert_eq!((told[3].allocation, told[3].physical), (None, None));
    assert_eq!((told[4].capacity, told[4].physical), (None, Some(9)));
    assert!(
        told.iter()
            .all(|image| image.work.is_none() && image.index.is_none())
    );
    assert_eq!(off(&doc, false, SOON).await.len(), 4);
}

#[tokio::test]
async fn a_pipe_in_the_place_of_an_image_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert_eq!(sizes(&path, "qcow2"), None);
}

fn rows(text: &str) -> Vec<BlockRow> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn devices_are_known_by_id_and_by_place() {
    let rows = rows(
        r#"[{"qdev": "ide0-0-0", "stats": {"rd_operations": 1}},
            {"qdev": "/machine/peripheral/virtio-disk1/virtio-backend", "stats": {"rd_operations": 2}},
            {"stats": {}}]"#,
    );
    let reads = |alias| of_device(&rows, alias).map(|row| row.stats.rd_operations);
    assert_eq!(reads("ide0-0-0"), Some(1));
    assert_eq!(reads("virtio-disk1"), Some(2));
    assert_eq!(reads("virtio-disk"), None);
    assert_eq!(reads(""), Some(0));
}

#[tokio::test]
async fn images_below_have_sizes_and_no_requests() {
    let doc = document(
        "<disk type='file'><driver name='qemu' type='qcow2'/><source file='/top' index='1'/>\
         <backingStore type='file' index='2'><format type='raw'/><source file='/base'/><backingStore/></backingStore>\
         <target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>",
    );
    let rows = rows(
        r#"[{"qdev": "/machine/peripheral/virtio-disk0/virtio-backend", "node-name": "libvirt-1-format",
             "stats": {"wr_operations": 2, "wr_highest_offset": 1},
             "parent": {"node-name": "libvirt-1-storage", "stats": {"wr_highest_offset": 7}},
             "backing": {"node-name": "libvirt-2-storage", "stats": {"wr_highest_offset": 0}}}]"#,
    );
    let nodes: Vec<NamedNode> = serde_json::from_str(
        r#"[{"node-name": "libvirt-1-format", "image": {"virtual-size": 100, "actual-size": 50}},
            {"node-name": "libvirt-2-storage", "image": {"virtual-size": 80, "actual-size": 40}}]"#,
    )
    .unwrap();
    let told = running(&doc, true, Some((rows, nodes)), SOON).await;
    let [top, base] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(top.work.unwrap().writes.count, 2);
    assert_eq!(
        (top.allocation, top.capacity, top.physical),
        (Some(7), Some(100), Some(50))
    );
    assert_eq!((base.work, base.index), (None, Some(2)));
    assert_eq!(
        (base.allocation, base.capacity, base.physical),
        (Some(0), Some(80), Some(40))
    );
}
