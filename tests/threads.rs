//! Where the threads of guests run, and which I/O threads they have: `virsh vcpupin`, `emulatorpin`, `iothreadinfo` and their
//! like, with their effect on the threads.

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];

fn define(w: &World) {
    let xml = Guest::new("g").xml().replace(
        "<vcpu>1</vcpu>",
        "<vcpu current='2'>4</vcpu><iothreads>2</iothreads>",
    );
    let path = w.file("g.xml", &xml);
    w.virsh_args(&["define", &path.display().to_string()]).ok();
}

/// The first and the last of the machine's processors, and all of them: what a test can tell apart.
fn processors(w: &World) -> (String, String, String) {
    let last: u32 = w.sh("nproc --all").trim().parse::<u32>().unwrap() - 1;
    let all = if last == 0 {
        "0".to_owned()
    } else {
        format!("0-{last}")
    };
    ("0".to_owned(), last.to_string(), all)
}

/// The processors of the threads whose name starts so.
fn kept(w: &World, name: &str) -> Vec<String> {
    let text = w.sh(&format!(
        "for t in /proc/$(cat /run/libvirt/qemu/g.pid)/task/*; do \
         case \"$(cat $t/comm)\" in '{name}'*) sed -n 's/^Cpus_allowed_list:\\s*//p' $t/status;; esac; done"
    ));
    text.lines().map(str::to_owned).collect()
}

/// The rows of a table of virsh's that begin with a number, as words.
fn words(text: &str) -> Vec<&str> {
    let number = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    text.lines()
        .filter(number)
        .flat_map(str::split_whitespace)
        .collect()
}

#[test]
fn pins_are_kept_in_the_definition() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        define(w);
        let (first, last, all) = processors(w);
        let shown = w.virsh("vcpupin g").ok().to_owned();
        assert_eq!(words(&shown), ["0", &all, "1", &all, "2", &all, "3", &all]);
        w.virsh(&format!("vcpupin g 0 {first}"))
            .fails_with(&["domain is not running"]);
        w.virsh(&format!("vcpupin g 1 {last} --config")).ok();
        w.virsh("vcpupin g 9")
            .fails_with(&["vcpu 9 is out of range of persistent cpu count 4"]);
        w.virsh(&format!("vcpupin g 4 {first} --config"))
            .fails_with(&["vcpu 4 is out of range of persistent cpu count 4"]);
        w.virsh(&format!("emulatorpin g {first} --config")).ok();
        w.virsh(&format!("iothreadpin g 2 {last} --config")).ok();
        w.virsh(&format!("iothreadpin g 7 {last} --config"))
            .fails_with(&["iothreadid 7 not found"]);
        w.virsh("iothreadadd g 5 --config").ok();
        w.virsh("iothreadadd g 5 --config")
            .fails_with(&["an IOThread is already using iothread_id '5'"]);
        w.virsh("iothreaddel g 9 --config")
            .fails_with(&["cannot find IOThread '9' in iothreadids list"]);
        w.virsh("iothreaddel g 1 --config").ok();
        w.virsh("iothreadset g 5 --poll-max-ns 100 --config").ok();
        w.virsh("iothreadset g 5 --thread-pool-min 2 --config")
            .fails_with(&["thread_pool_min (2) can't be greater than thread_pool_max (-1)"]);
        let document = w.virsh("dumpxml g").ok().to_owned();
        for part in [
            "<iothreads>2</iothreads>",
            "<poll max='100'/>",
            &format!("<vcpupin vcpu='1' cpuset='{last}'/>"),
            &format!("<emulatorpin cpuset='{first}'/>"),
            &format!("<iothreadpin iothread='2' cpuset='{last}'/>"),
        ] {
            assert!(document.contains(part), "{part} in {document}");
        }
        assert_eq!(words(w.virsh("iothreadinfo g").ok()), ["2", &last, "5", &all]);
        w.virsh("iothreadinfo g --live")
            .fails_with(&["domain is not running"]);
        assert!(w.virsh("emulatorpin g").ok().trim_end().ends_with(&first));
        // Nobody knows where the processors of a guest are that is off.
        assert!(w.virsh("vcpuinfo g").ok().contains("N/A"));
        assert_eq!(w.virsh("vcpucount g --maximum --config").ok().trim(), "4");
    });
}

#[test]
fn threads_of_a_running_guest_move_and_io_threads_come_and_go() {
    in_world(NEEDS, |w| {
        w.daemon_start();
        define(w);
        let (first, last, all) = processors(w);
        w.virsh("start g").ok();
        assert_eq!(kept(w, "CPU 1"), [all.as_str()]);
        w.virsh(&format!("vcpupin g 1 {last}")).ok();
        w.virsh(&format!("vcpupin g 0 {first} --live --config")).ok();
        assert_eq!(kept(w, "CPU 0"), [first.as_str()]);
        assert_eq!(kept(w, "CPU 1"), [last.as_str()]);
        assert_eq!(words(w.virsh("vcpupin g 1").ok()), ["1", &last]);
        // Only what was asked for is in the definition.
        let stored = w.virsh("dumpxml g --inactive").ok().to_owned();
        assert!(
            stored.contains("vcpupin vcpu='0'") && !stored.contains("vcpupin vcpu='1'"),
            "{stored}"
        );
        w.virsh(&format!("emulatorpin g {last}")).ok();
        assert_eq!(kept(w, "qemu-system"), [last.as_str()]);
        assert_eq!(kept(w, "CPU 0"), [first.as_str()]);
        w.virsh(&format!("iothreadpin g 2 {first}")).ok();
        assert_eq!(kept(w, "IO iothread2"), [first.as_str()]);
        w.virsh("iothreadadd g 8").ok();
        w.virsh(&format!("iothreadpin g 8 {first}")).ok();
        assert_eq!(kept(w, "IO iothread8"), [first.as_str()]);
        assert_eq!(
            words(w.virsh("iothreadinfo g").ok()),
            ["1", &all, "2", &first, "8", &first]
        );
        w.virsh("iothreadset g 8 --poll-max-ns 500 --poll-grow 3").ok();
        w.virsh("iothreadset g 9 --poll-max-ns 500")
            .fails_with(&["cannot find IOThread '9' in iothreadids"]);
        let document = w.virsh("dumpxml g").ok().to_owned();
        assert!(document.contains("<poll max='500' grow='3'/>"), "{document}");
        w.virsh("iothreaddel g 8").ok();
        assert_eq!(kept(w, "IO iothread8"), [""; 0]);
        assert!(!w.virsh("dumpxml g").ok().contains("iothread='8'"));
        let shown = w.virsh("vcpuinfo g").ok().to_owned();
        assert_eq!(shown.matches("running").count(), 2, "{shown}");
        assert_eq!(w.virsh("vcpucount g --live").ok().trim(), "2");
        // The next daemon knows.
        w.daemon_kill();
        w.daemon_start();
        assert_eq!(words(w.virsh("vcpupin g 1").ok()), ["1", &last]);
        assert_eq!(words(w.virsh("iothreadinfo g").ok()), ["1", &all, "2", &first]);
        w.virsh("destroy g").ok();
        assert_eq!(words(w.virsh("vcpupin g 1").ok()), ["1", &all]);
    });
}
