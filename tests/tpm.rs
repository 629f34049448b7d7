//! Security chips that swtpm plays: there before QEMU, gone after it, and what they store outlives runs and goes with the
//! guest's definition.

use std::time::Duration;

use ferrovirt_tests::{Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu, Tool::Swtpm];
const UUID: &str = "11d7cd22-da89-3094-6212-079a48a309a1";
const STORED: &str = "/var/lib/libvirt/swtpm/11d7cd22-da89-3094-6212-079a48a309a1/tpm2/tpm2-00.permall";

/// Certificates and logs of the world's own.
fn own_places(w: &World) {
    w.sh(
        "for d in /var/log/swtpm /var/lib/swtpm-localca; do mkdir -p $d && mount -t tmpfs tmpfs $d; done; \
          chown tss /var/lib/swtpm-localca",
    );
}

fn guest(backend: &str) -> Guest {
    let tpm = format!("<tpm model='tpm-crb'>{backend}</tpm>");
    Guest::new("chip").uuid(UUID).device(&tpm)
}

/// The numbers of all chips.
fn chips(w: &World) -> Vec<u32> {
    let text = w.sh("pgrep -x swtpm || true");
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn stored(w: &World) -> bool {
    w.succeeds(&format!("test -e {STORED}"))
}

#[test]
fn r15_a_chip_is_there_before_qemu_and_gone_after_it() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.record(&["qemu"]);
        w.daemon_start();
        w.define(&guest("<backend type='emulator'/>"));
        assert!(
            w.virsh("dumpxml chip")
                .ok()
                .contains("<backend type='emulator' version='2.0'/>")
        );
        w.virsh("start chip").ok();
        let pids = chips(w);
        assert_eq!(pids.len(), 1);
        let chip = pids[0];
        let arguments = w.sh(&format!("tr '\\0' ' ' < /proc/{chip}/cmdline"));
        for words in [
            "socket --ctrl type=unixio,fd=",
            &format!("--tpmstate dir=/var/lib/libvirt/swtpm/{UUID}/tpm2,mode=0600"),
            "--log file=/var/log/swtpm/libvirt/qemu/chip-swtpm.log --terminate --tpm2",
        ] {
            assert!(arguments.contains(words), "{words} in {arguments}");
        }
        let qemu = w.sh("tr '\\0' ' ' < /proc/$(cat /run/libvirt/qemu/chip.pid)/cmdline");
        let wanted = "-chardev socket,id=chrtpm,path=/run/libvirt/qemu/swtpm/1-chip-swtpm.sock \
                      -tpmdev emulator,id=tpm-tpm0,chardev=chrtpm \
                      -device {\"driver\":\"tpm-crb\",\"tpmdev\":\"tpm-tpm0\",\"id\":\"tpm0\"}";
        assert!(qemu.contains(wanted), "{qemu}");
        assert_eq!(
            w.sh("cat /run/libvirt/qemu/swtpm/1-chip-swtpm.pid").trim(),
            chip.to_string()
        );
        assert_eq!(w.sh(&format!("stat -c '%U %a' {STORED}")).trim(), "tss 600");
        let modes = w.sh(&format!(
            "stat -c '%a' /var/lib/libvirt/swtpm /var/lib/libvirt/swtpm/{UUID} /var/lib/libvirt/swtpm/{UUID}/tpm2 \
             /var/log/swtpm/libvirt/qemu /run/libvirt/qemu/swtpm"
        ));
        assert_eq!(
            modes.split_whitespace().collect::<Vec<_>>(),
            ["711", "711", "700", "730", "770"]
        );
        // QEMU does not start without answers of the chip; how that was made is in its log.
        assert!(
            w.sh("cat /var/log/swtpm/libvirt/qemu/chip-swtpm.log")
                .contains("Successfully authored TPM state")
        );
        let shown = w.document("qemu chip started begin -");
        assert!(shown.contains("<alias name='tpm0'/>"), "{shown}");
        w.virsh("destroy chip").ok();
        assert_eq!(chips(w), [0; 0]);
        assert_eq!(w.sh("ls /run/libvirt/qemu/swtpm"), "");
        assert!(stored(w));
        w.virsh("undefine chip").ok();
        assert!(!w.succeeds(&format!("test -e /var/lib/libvirt/swtpm/{UUID}")));
    });
}

#[test]
fn r38_a_chip_is_found_again_by_the_next_daemon() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.daemon_start();
        w.define(&guest("<backend type='emulator' version='2.0'/>"));
        w.virsh("start chip").ok();
        let before = chips(w);
        w.daemon_kill();
        w.daemon_start();
        assert_eq!(w.virsh("domstate chip").ok().trim(), "running");
        assert_eq!(chips(w), before);
        w.virsh("destroy chip").ok();
        assert_eq!(chips(w), [0; 0]);
        assert_eq!(w.sh("ls /run/libvirt/qemu/swtpm"), "");
    });
}

#[test]
fn r96_a_chip_that_was_never_finished_is_none() {
    in_world(NEEDS, |w| {
        own_places(w);
        let slow = w.script(
            "slow",
            "#!/bin/sh\ncase \"$*\" in *print-capabilities*) exec /run/world/setup \"$@\";; esac\n\
             while [ $1 != --tpm-state ]; do shift; done\ntouch $2/tpm2-00.permall\nexec sleep 300\n",
        );
        w.sh(&format!(
            "cp /usr/bin/swtpm_setup /run/world/setup && mount --bind {} /usr/bin/swtpm_setup",
            slow.display()
        ));
        w.daemon_start();
        w.define(&guest("<backend type='emulator' version='2.0'/>"));
        let start = w.virsh_background("start chip");
        w.wait_for("the setup", Duration::from_secs(60), || stored(w));
        w.daemon_kill();
        drop(start);
        w.daemon_start();
        assert_eq!(w.virsh("domstate chip").ok().trim(), "shut off");
        assert!(!w.succeeds(&format!("test -e /var/lib/libvirt/swtpm/{UUID}")));
        assert!(!w.succeeds("pgrep -x sleep"));
        // A destroy ends it, too.
        let start = w.virsh_background("start chip");
        w.wait_for("the setup", Duration::from_secs(60), || stored(w));
        w.virsh("destroy chip").ok();
        drop(start);
        assert!(!stored(w));
        // With a setup that works the same guest starts.
        w.sh("umount /usr/bin/swtpm_setup");
        w.virsh("start chip").ok();
        assert!(stored(w));
        w.virsh("destroy chip").ok();
    });
}

#[test]
fn what_a_chip_stores_goes_with_its_guest_unless_it_shall_stay() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.daemon_start();
        let plain = guest("<backend type='emulator' version='2.0'/>");
        w.define(&plain);
        w.virsh("start chip").ok();
        w.virsh("destroy chip").ok();
        w.virsh("undefine chip --tpm --keep-tpm").fails_with(&["keep"]);
        w.virsh("undefine chip --keep-tpm").ok();
        assert!(stored(w));
        // The same one is there again.
        w.define(&plain);
        let before = w.sh(&format!("stat -c %w {STORED}"));
        w.virsh("start chip").ok();
        assert_eq!(w.sh(&format!("stat -c %w {STORED}")), before);
        // A running one keeps its chip until its end.
        w.virsh("undefine chip --keep-tpm")
            .fails_with(&["--keep-tpm", "persistent_state"]);
        w.virsh("undefine chip").ok();
        assert!(stored(w));
        w.virsh("destroy chip").ok();
        assert!(!stored(w));
        let path = w.file("chip.xml", &plain.xml());
        w.virsh_args(&["create", &path.display().to_string()]).ok();
        assert!(stored(w));
        w.virsh("destroy chip").ok();
        assert!(!stored(w));
        let lasting = guest("<backend type='emulator' version='2.0' persistent_state='yes'/>");
        let path = w.file("chip.xml", &lasting.xml());
        w.virsh_args(&["create", &path.display().to_string()]).ok();
        w.virsh("destroy chip").ok();
        assert!(stored(w));
        w.define(&lasting);
        w.virsh("undefine chip").ok();
        assert!(stored(w));
        w.define(&lasting);
        w.virsh("undefine chip --tpm").ok();
        assert!(!stored(w));
    });
}

#[test]
fn digests_are_those_that_are_asked_for_and_versions_have_storages_of_their_own() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.daemon_start();
        w.define(&guest(
            "<backend type='emulator' version='2.0' debug='2'><active_pcr_banks><sha384/><sha1/></active_pcr_banks></backend>",
        ));
        w.virsh("start chip").ok();
        let log = w.sh("cat /var/log/swtpm/libvirt/qemu/chip-swtpm.log");
        assert!(
            log.contains("Successfully activated PCR banks sha1,sha384 among"),
            "{log}"
        );
        let arguments = w.sh("tr '\\0' ' ' < /proc/$(pgrep -x swtpm)/cmdline");
        assert!(arguments.contains("chip-swtpm.log,level=2"), "{arguments}");
        w.virsh("destroy chip").ok();
        let old = Guest::new("chip")
            .uuid(UUID)
            .device("<tpm model='tpm-tis'><backend type='emulator'/></tpm>");
        w.define(&old);
        w.virsh("start chip").ok();
        w.virsh("destroy chip").ok();
        assert!(stored(w));
        assert!(w.succeeds(&format!(
            "test -e /var/lib/libvirt/swtpm/{UUID}/tpm1.2/tpm-00.permall"
        )));
        w.virsh("undefine chip").ok();
        assert!(!w.succeeds(&format!("test -e /var/lib/libvirt/swtpm/{UUID}")));
        // In a directory of the user's own.
        w.define(&guest(
            "<backend type='emulator' version='2.0'><source type='dir' path='/run/world/chip'/></backend>",
        ));
        w.virsh("start chip").ok();
        w.virsh("destroy chip").ok();
        assert!(w.succeeds("test -e /run/world/chip/tpm2-00.permall"));
        w.virsh("undefine chip").ok();
        assert!(!w.succeeds("test -e /run/world/chip"));
    });
}

#[test]
fn somebody_elses_chip_is_called_at_its_socket() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.daemon_start();
        w.define(&guest(
            "<backend type='external'><source type='unix' mode='connect' path='/run/world/theirs'/></backend>",
        ));
        w.virsh("start chip").fails_with(&["/run/world/theirs"]);
        w.sh(
            "mkdir /run/world/state && swtpm socket --tpm2 --daemon --tpmstate dir=/run/world/state \
              --ctrl type=unixio,path=/run/world/theirs",
        );
        w.virsh("start chip").ok();
        assert_eq!(chips(w).len(), 1);
        w.virsh("destroy chip").ok();
        w.virsh("undefine chip").ok();
        assert!(w.succeeds("test -e /run/world/state"));
    });
}

#[test]
fn what_no_chip_here_can_be_is_refused() {
    in_world(NEEDS, |w| {
        own_places(w);
        w.daemon_start();
        let refused = |tpm: &str, words: &str| {
            let path = w.file("refused.xml", &Guest::new("refused").device(tpm).xml());
            w.virsh_args(&["define", &path.display().to_string()])
                .fails_with(&[words]);
        };
        let emulated = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>";
        refused(
            "<tpm model='tpm-spapr'><backend type='emulator'/></tpm>",
            "does not support TPM model tpm-spapr",
        );
        refused(
            "<tpm model='tpm-crb'><backend type='emulator' version='1.2'/></tpm>",
            "TPM 1.2 is not supported for model 'tpm-crb'",
        );
        refused(
            &format!("{emulated}{emulated}"),
            "only a single TPM non-proxy device is supported",
        );
        refused(
            "<tpm model='tpm-tis'><backend type='emulator'><profile source='x'/></backend></tpm>",
            "<profile/> requires TPM version '2.0'",
        );
        // The host has no chip to give away, which a start finds out.
        w.define(
            &Guest::new("host")
                .device("<tpm><backend type='passthrough'><device path='/dev/tpm9'/></backend></tpm>"),
        );
        w.virsh("start host")
            .fails_with(&["Could not open TPM device", "/dev/tpm9"]);
        // A key that nobody has.
        let secret = "b4a117f1-8af2-44a4-91b8-7f0d2d4d68a3";
        w.define(&guest(&format!(
            "<backend type='emulator' version='2.0'><encryption secret='{secret}'/></backend>"
        )));
        w.virsh("start chip").fails_with(&["Secret not found", secret]);
        // Without the program there are none.
        w.sh("mount --bind /dev/null /usr/bin/swtpm");
        refused(emulated, "TPM version '2.0' is not supported");
        refused(
            "<tpm model='tpm-crb'><backend type='external'><source type='unix' path='/x'/></backend></tpm>",
            "does not support TPM backend type external",
        );
    });
}
