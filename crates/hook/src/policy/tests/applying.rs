//! When rules apply, in which order, and what comes of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Directory, rules};
use crate::event::{DaemonOperation, Driver, GuestOperation, HookEvent, NetworkOperation};
use crate::policy::{Moment, OnFailure, Payload, Policy, Sandbox, Treatment};

const SCRIPT: &str = "/etc/libvirt/hooks/qemu.d/10-gpu";

const GUEST: &str = "<domain><name>web-1</name><uuid>6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b</uuid>
<metadata><o:app xmlns:o='urn:o'><o:role> db-7 </o:role></o:app></metadata>
<devices><emulator>/q</emulator><disk type='file'/><hostdev mode='subsystem' type='pci'/>
<tpm model='tpm-crb'><backend type='emulator'/></tpm>
<interface type='network'><source network='lan'/></interface>
<interface type='bridge'><source bridge='br0'/></interface></devices></domain>";

const PORT: &str = "<hookData><network><name>lan</name><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>
<metadata><x xmlns='urn:n'/></metadata></network>
<networkport><owner><name>web-1</name></owner></networkport></hookData>";

fn guest(operation: GuestOperation) -> HookEvent {
    HookEvent::guest(Driver::Qemu, "web-1", operation).unwrap()
}

fn applies(condition: &str, event: &HookEvent, document: Option<&str>) -> bool {
    let policy = rules(&format!("[[rule]]\nlock = 'l'\nwhen = {{ {condition} }}\n"));
    let moment = Moment::new(event, document, None);
    !policy.for_script(&moment, Path::new(SCRIPT)).rules.is_empty()
}

/// Conditions that hold and others that do not, for one event and its document.
#[track_caller]
fn check(event: &HookEvent, document: &str, yes: &[&str], no: &[&str]) {
    for condition in yes {
        assert!(applies(condition, event, Some(document)), "{condition}");
    }
    for condition in no {
        assert!(!applies(condition, event, Some(document)), "{condition}");
    }
}

#[test]
fn conditions_on_a_guest() {
    check(
        &guest(GuestOperation::Release),
        GUEST,
        &[
            "",
            "driver = 'qemu'",
            "driver = ['network', 'qemu']",
            "operation = ['prepare', 'release']",
            "script = 'qemu.d/10-*'",
            "script = '/etc/libvirt/hooks/*/10-gpu'",
            "script = ['qemu', 'qemu.d/*']",
            "guest = 'web-*'",
            "guest = ['db-*', 'web-[0-9]']",
            "uuid = '6F0E7A4C93A54A7B8F0651CBD6E91D2B'",
            "metadata = 'urn:o'",
            "metadata = { uri = 'urn:o', element = 'role' }",
            "metadata = { uri = 'urn:o', element = 'role', value = 'db-*' }",
            "metadata = ['urn:x', { uri = 'urn:o', value = 'db-7' }]",
            "device = 'hostdev'",
            "device = 'hostdev:pci'",
            "device = ['graphics', 'disk:file']",
            "device = 'tpm:emulator'",
            "device = 'emulator'",
            "on_network = 'lan'",
            "on_network = 'l*'",
            "driver = 'qemu', operation = 'release', guest = 'web-*', device = 'disk', on_network = 'lan'",
        ],
        &[
            "driver = 'network'",
            "operation = 'prepare'",
            "script = 'qemu'",
            "script = '10-gpu'",
            "guest = 'web'",
            "network = '*'",
            "uuid = '6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2c'",
            "metadata = 'urn:p'",
            "metadata = { uri = 'urn:o', element = 'rolle' }",
            "metadata = { uri = 'urn:o', element = 'app', value = 'db-*' }",
            "device = 'hostdev:usb'",
            "device = 'graphics'",
            "device = 'tpm:passthrough'",
            "on_network = 'br0'",
            "guest = 'web-*', device = 'graphics'",
        ],
    );
}

#[test]
fn conditions_on_networks_and_their_ports() {
    let port = HookEvent::network("lan", NetworkOperation::PortCreated);
    check(
        &port,
        PORT,
        &[
            "network = 'l?n'",
            "on_network = 'lan'",
            "guest = 'web-*'",
            "uuid = '5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1'",
            "metadata = 'urn:n'",
            "driver = 'network', operation = 'port-created'",
        ],
        &[
            "network = 'wan'",
            "on_network = 'wan'",
            "guest = 'db'",
            "device = 'disk'",
        ],
    );
    let start = HookEvent::network("lan", NetworkOperation::Start);
    check(
        &start,
        PORT,
        &["network = 'lan'"],
        &["on_network = 'lan'", "guest = 'web-*'"],
    );
    let daemon = HookEvent::daemon(DaemonOperation::Reload);
    check(
        &daemon,
        GUEST,
        &["operation = 'reload'"],
        &[
            "guest = '*'",
            "network = '*'",
            "device = 'disk'",
            "metadata = 'urn:o'",
            "on_network = '*'",
        ],
    );
}

#[test]
fn what_is_not_known_does_not_hold() {
    let event = guest(GuestOperation::Start);
    for document in [None, Some(""), Some("<network/>")] {
        for condition in [
            "device = 'disk'",
            "uuid = '6f0e7a4c93a54a7b8f0651cbd6e91d2b'",
            "on_network = '*'",
        ] {
            assert!(!applies(condition, &event, document), "{condition}");
        }
        assert!(applies("guest = '*'", &event, document));
    }
    let policy = rules("[[rule]]\nlock = 'l'\nwhen = { uuid = '6f0e7a4c93a54a7b8f0651cbd6e91d2b' }\n");
    let uuid = Some("6f0e7a4c-93a5-4a7b-8f06-51cbd6e91d2b");
    let moment = Moment::new(&event, None, uuid);
    assert_eq!(
        policy.for_script(&moment, Path::new(SCRIPT)).lock.as_deref(),
        Some("l")
    );
}

#[test]
fn no_rules_are_what_libvirt_does() {
    let event = guest(GuestOperation::Start);
    let moment = Moment::new(&event, Some(GUEST), None);
    let treatment = Policy::empty().for_script(&moment, Path::new(SCRIPT));
    assert_eq!(treatment, Treatment::default());
    assert_eq!(treatment.on_failure, OnFailure::Abort);
    assert_eq!(
        (treatment.timeout, treatment.payload, treatment.run_async),
        (None, Payload::Xml, false)
    );
    assert!(Policy::empty().commands(&moment).is_empty() && !Policy::empty().wants(&event));
    let missing = Policy::load(Path::new("/no/such/directory")).unwrap();
    assert!(missing.rules().is_empty() && missing.warnings().is_empty());
}

#[test]
fn r92_everything_that_can_be_said() {
    let policy = rules(
        "[[rule]]\nname = 'all'\ntimeout = '30s'\nwarn_after = '500ms'\non_failure = 'warn'\nlock = 'iptables'\n\
         payload = 'json'\nrelease_reason = false\nenv = { FERROVIRT_B = '2', FERROVIRT_A = '1' }\nuser = 'nobody'\n\
         cwd = '/tmp'\nasync = true\n\
         sandbox = { network = true, memory = '256M', cpu = '150%', writable = ['/var/lib/x', '/run/y'] }\n\
         when = { operation = 'release' }\n",
    );
    let event = guest(GuestOperation::Release);
    let treatment = policy.for_script(&Moment::new(&event, None, None), Path::new(SCRIPT));
    let expected = Treatment {
        rules: vec!["all".to_owned()],
        timeout: Some(Duration::from_secs(30)),
        warn_after: Some(Duration::from_millis(500)),
        on_failure: OnFailure::Warn,
        lock: Some("iptables".to_owned()),
        payload: Payload::Json,
        release_reason: Some(false),
        env: [("FERROVIRT_A", "1"), ("FERROVIRT_B", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        user: Some("nobody".to_owned()),
        cwd: Some(PathBuf::from("/tmp")),
        run_async: true,
        sandbox: Some(Sandbox {
            read_only: true,
            network: true,
            memory: Some(256 << 20),
            cpu: Some(150),
            writable: vec!["/var/lib/x".into(), "/run/y".into()],
        }),
    };
    assert_eq!(treatment, expected);
}

#[test]
fn later_rules_have_their_way_key_by_key() {
    let directory = Directory::new(&[
        (
            "10-a.toml",
            "[[rule]]\ntimeout = '1s'\nlock = 'a'\nenv = { FERROVIRT_A = '1', FERROVIRT_B = '1' }\nsandbox = true\n\
             [[rule]]\ntimeout = '2s'\non_failure = 'ignore'\nwhen = { operation = 'release' }\n",
        ),
        (
            "9.toml",
            "[[rule]]\ntimeout = '9s'\nenv = { FERROVIRT_B = '9' }\nsandbox = false\n",
        ),
        (".hidden.toml", "nonsense"),
        ("20.toml.bak", "nonsense"),
    ]);
    let policy = directory.load().unwrap();
    let names: Vec<&str> = policy.rules().iter().map(|rule| rule.name()).collect();
    assert_eq!(names, ["10-a.toml#1", "10-a.toml#2", "9.toml#1"]);
    assert_eq!(policy.rules()[1].line(), 6);
    assert!(policy.rules()[1].path().ends_with("10-a.toml"));
    let event = guest(GuestOperation::Release);
    let treatment = policy.for_script(&Moment::new(&event, None, None), Path::new(SCRIPT));
    assert_eq!(treatment.rules, names);
    assert_eq!(treatment.timeout, Some(Duration::from_secs(9)));
    assert_eq!(treatment.on_failure, OnFailure::Ignore);
    assert_eq!(treatment.lock.as_deref(), Some("a"));
    assert_eq!(treatment.sandbox, None);
    let env: Vec<String> = treatment.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(env, ["FERROVIRT_A=1", "FERROVIRT_B=9"]);
    let event = guest(GuestOperation::Start);
    let treatment = policy.for_script(&Moment::new(&event, None, None), Path::new(SCRIPT));
    assert_eq!(treatment.rules, ["10-a.toml#1", "9.toml#1"]);
    assert_eq!(treatment.on_failure, OnFailure::Abort);
}

#[test]
fn commands_accumulate_and_have_their_own_rule_s_treatment() {
    let policy = rules(
        "[[rule]]\ntimeout = '1s'\n\
         [[rule]]\nname = 'n'\nrun = ['/bin/a', ['/bin/b', 'x', '']]\nlock = 'n'\n\
         [[rule]]\nrun = '/bin/c'\nwhen = { guest = 'db' }\n\
         [[rule]]\nrun = [['/bin/d']]\nwhen = { driver = 'qemu', device = 'hostdev' }\n",
    );
    let event = guest(GuestOperation::Start);
    let moment = Moment::new(&event, Some(GUEST), None);
    let shown: Vec<String> = policy
        .commands(&moment)
        .iter()
        .map(|added| {
            let (command, treatment) = (&added.command, &added.treatment);
            assert_eq!(
                (treatment.rules.as_slice(), treatment.timeout),
                ([added.rule.clone()].as_slice(), None)
            );
            format!(
                "{} {} {:?} {:?}",
                added.rule,
                command.program.display(),
                command.args,
                treatment.lock
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "n /bin/a [] Some(\"n\")",
            "n /bin/b [\"x\", \"\"] Some(\"n\")",
            "r.toml#4 /bin/d [] None",
        ]
    );
    // Rules with commands say nothing about scripts.
    assert_eq!(policy.for_script(&moment, Path::new(SCRIPT)).rules, ["r.toml#1"]);
}

#[test]
fn events_for_rules_come_to_those_that_name_them() {
    let policy = rules(
        "[[rule]]\nrun = '/bin/a'\n[[rule]]\nrun = '/bin/b'\nwhen = { operation = ['suspended', 'port-ready'] }\n\
         [[rule]]\nlock = 'x'\n",
    );
    let programs = |event: &HookEvent| {
        let moment = Moment::new(event, None, None);
        assert_eq!(policy.wants(event), !policy.commands(&moment).is_empty());
        policy
            .commands(&moment)
            .iter()
            .map(|added| added.command.program.display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(programs(&guest(GuestOperation::Start)), ["/bin/a"]);
    assert_eq!(programs(&guest(GuestOperation::Suspended)), ["/bin/b"]);
    assert_eq!(
        programs(&HookEvent::port_ready(Driver::Qemu, "g", "vnet0").unwrap()),
        ["/bin/b"]
    );
    assert!(programs(&guest(GuestOperation::Resumed)).is_empty());
    assert!(programs(&HookEvent::network("n", NetworkOperation::Defined)).is_empty());
    assert_eq!(policy.rules()[1].events().count(), 6);
    let only_scripts = rules("[[rule]]\nlock = 'x'\n");
    assert!(!only_scripts.wants(&guest(GuestOperation::Start)));
}

#[test]
fn wants_looks_at_no_document() {
    let policy = rules("[[rule]]\nrun = '/bin/a'\nwhen = { operation = 'crashed', guest = 'other' }\n");
    let event = guest(GuestOperation::Crashed);
    assert!(policy.wants(&event));
    assert!(policy.commands(&Moment::new(&event, None, None)).is_empty());
    assert!(!policy.wants(&guest(GuestOperation::Release)));
}

#[test]
fn r36_filters_get_xml_and_are_waited_for() {
    let policy = rules("[[rule]]\npayload = 'json'\n[[rule]]\nrun = '/bin/a'\npayload = 'json'\n");
    for (operation, payload) in [
        (GuestOperation::Restore, Payload::Xml),
        (GuestOperation::Stopped, Payload::Json),
    ] {
        let event = guest(operation);
        let moment = Moment::new(&event, None, None);
        assert_eq!(policy.for_script(&moment, Path::new(SCRIPT)).payload, payload);
        assert_eq!(policy.commands(&moment)[0].treatment.payload, payload);
    }
}

#[test]
fn calls_of_any_thread_can_ask() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
    shared::<Moment<'_>>();
    shared::<Treatment>();
}

#[test]
fn only_interfaces_of_networks_are_on_a_network() {
    let with = |device: &str| format!("<domain><name>web-1</name><devices>{device}</devices></domain>");
    let on = |device: &str| {
        let event = guest(GuestOperation::Release);
        applies("on_network = 'lan'", &event, Some(&with(device)))
    };
    assert!(on(
        "<interface type='network'><source network='lan'/></interface>"
    ));
    assert!(!on(
        "<interface type='bridge'><source network='lan'/></interface>"
    ));
    assert!(!on("<disk type='network'><source network='lan'/></disk>"));
}

#[test]
fn what_is_waited_for_is_never_run_beside() {
    let settings = crate::policy::treatment::Settings {
        run_async: Some(true),
        ..Default::default()
    };
    let is_async = |event: HookEvent| {
        let mut treatment = Treatment::default();
        settings.apply("r", &event, &mut treatment);
        treatment.run_async
    };
    assert!(is_async(guest(GuestOperation::Release)));
    assert!(!is_async(guest(GuestOperation::Prepare)));
    assert!(!is_async(guest(GuestOperation::Restore)));
}
