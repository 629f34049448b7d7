//! A hundred guests, ten of which hang in their `prepare` hook: everybody else goes on, from outside and from inside a hook, and
//! the ten are freed one by one (R90, R91, R92, R95). How long it takes is for `make bench`.

use std::time::Duration;

use ferrovirt_tests::{Background, Guest, Tool, World, in_world};

const NEEDS: &[Tool] = &[Tool::Virsh, Tool::Qemu];
const HANG: usize = 10;
const ALL: usize = 100;

/// The documents of all guests, defined by one virsh.
fn define_all(w: &World) {
    let names = (0..ALL).map(|i| {
        if i < HANG {
            format!("hang{i}")
        } else {
            format!("g{i}")
        }
    });
    let commands: Vec<String> = names
        .map(|name| {
            let file = w.file(&format!("{name}.xml"), &Guest::new(&name).xml());
            format!("define {}", file.display())
        })
        .collect();
    w.virsh_args(&[&commands.join("; ")]).ok();
}

fn starts(w: &World) -> Vec<(String, Background)> {
    let start = |i| (format!("hang{i}"), w.virsh_background(&format!("start hang{i}")));
    let starts = (0..HANG).map(start).collect();
    w.wait_for("ten hooks hang", Duration::from_secs(60), || {
        w.hooks_running().len() == HANG
    });
    starts
}

#[test]
fn r90_ten_of_a_hundred_guests_hang_and_nobody_else_does() {
    in_world(NEEDS, |w| {
        w.record(&["qemu"]);
        w.rule(
            "case \"$1 $2\" in
             hang*' prepare') sleep 300 & wait;;
             'g10 prepare')
                 v='timeout 20 virsh -c qemu:///system'
                 { $v dumpxml g10 | head -n 1; $v start g11; $v destroy g10; } > /run/world/answers 2>&1; :;;
             esac",
        );
        w.daemon_start();
        define_all(w);
        let mut starts = starts(w);
        let count = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(count(w.virsh("list --all --name").ok()), ALL);
        // As with libvirt: its processors do not run yet.
        assert_eq!(w.virsh("domstate hang3").ok().trim(), "paused");
        assert_eq!(w.virsh("domstats --state").ok().matches("Domain: ").count(), ALL);
        w.virsh("net-list --all").ok();
        // From inside a hook: reading, another guest, and not its own one.
        w.virsh("start g10").ok();
        let answers = w.read("answers");
        for part in [
            "<domain type='qemu'",
            "Domain 'g11' started",
            "Failed to destroy domain 'g10'",
        ] {
            assert!(answers.contains(part), "no '{part}' in {answers}");
        }
        for name in ["g10", "g11"] {
            assert_eq!(w.virsh(&format!("domstate {name}")).ok().trim(), "running");
        }
        assert_eq!(w.hooks_running().len(), HANG);
        // Freed by either way, one after the other, and the others hang on.
        for (number, (name, start)) in starts.drain(..).enumerate() {
            let hooks = w.hooks_running();
            assert_eq!(hooks.len(), HANG - number);
            let by = if number % 2 == 0 {
                "destroy"
            } else {
                "ferrovirt cancel"
            };
            if number % 2 == 0 {
                w.virsh(&format!("destroy {name}")).ok();
            } else {
                let (_, id) = hooks.iter().find(|(guest, _)| *guest == name).expect("it hangs");
                w.ferrovirt(&format!("cancel {id}")).ok();
            }
            start.join().fails_with(&["hook", by]);
            assert_eq!(w.virsh(&format!("domstate {name}")).ok().trim(), "shut off");
        }
        assert!(!w.processes().iter().any(|(_, line)| line.contains("sleep 300")));
    });
}
