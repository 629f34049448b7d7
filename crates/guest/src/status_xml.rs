//! A status file as text: libvirt's `<domstatus>`, so that a running guest can change over from libvirtd, with our
//! additions in a namespace of their own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use ferrovirt_model::domain::Domain;
use ferrovirt_sys::process::ProcessId;
use ferrovirt_xml::{Form, UnknownPolicy};
use roxmltree::Node;

use crate::flags::{FOREIGN, PRIVATE_DEV};
use crate::state::{PausedReason, Phase, Reason};
use crate::status::{Plugged, Status, Step};

/// The namespace of what libvirt's form has no place for.
const NAMESPACE: &str = "urn:ferrovirt:status:1";

/// Why a status file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadStatus {
    #[error("not well-formed: {0}")]
    Malformed(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{what} has the impossible value '{value}'")]
    Value { what: &'static str, value: String },
    #[error("its document cannot be read: {0}")]
    Document(String),
}

/// Writes the file's text, without the warning at its head.
pub(crate) fn write(status: &Status) -> String {
    let mut out = String::with_capacity(8192);
    let mut text = |s: &str| out.push_str(s);
    text("<domstatus");
    text(&attribute("state", status.reason.state().as_str()));
    text(&attribute("reason", status.reason.as_str()));
    if let Some(process) = status.process {
        text(&attribute("pid", &process.pid.to_string()));
    }
    text(">\n");
    for flag in &status.taint {
        text(&format!("  <taint{}/>\n", attribute("flag", flag)));
    }
    if let Some(path) = &status.monitor {
        text(&format!(
            "  <monitor{} type='unix'/>\n",
            attribute("path", &path.to_string_lossy())
        ));
    }
    if status.facts.contains_key(PRIVATE_DEV) {
        text("  <namespaces>\n    <mount/>\n  </namespaces>\n");
    }
    if status.fake_reboot {
        text("  <fakereboot/>\n");
    }
    text(&additions(status));
    text(&status.doc.to_xml(&Form::STATUS));
    text("</domstatus>\n");
    out
}

fn additions(status: &Status) -> String {
    let mut out = format!("  <f:run xmlns:f='{NAMESPACE}'");
    out += &attribute("id", &status.id.to_string());
    out += &attribute("phase", status.phase.as_str());
    for (name, process) in [("process", status.process), ("keeper", status.keeper)] {
        if let Some(process) = process {
            out += &attribute(name, &process.to_string());
        }
    }
    out += ">\n";
    for (name, value) in &status.facts {
        out += &format!(
            "    <f:fact{}{}/>\n",
            attribute("name", name),
            attribute("value", value)
        );
    }
    for step in &status.steps {
        out += &format!("    <f:step{}>\n", attribute("kind", &step.kind));
        for (name, value) in &step.values {
            out += &format!(
                "      <f:value{}{}/>\n",
                attribute("name", name),
                attribute("value", value)
            );
        }
        out += "    </f:step>\n";
    }
    for port in &status.ports {
        let network = attribute("network", &port.network);
        let _ = writeln!(
            out,
            "    <f:port{network} uuid='{}' mac='{}'/>",
            port.uuid, port.mac
        );
    }
    out += "  </f:run>\n";
    out
}

/// ` name='value'` with everything escaped that would not come back as it was.
fn attribute(name: &str, value: &str) -> String {
    let mut out = format!(" {name}='");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => {
                let _ = write!(out, "&#{};", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Reads a file's text; also one that libvirtd wrote. Unknown elements of its document are kept (rule: what is on disk
/// stays).
pub(crate) fn read(text: &str) -> Result<Status, BadStatus> {
    let tree = roxmltree::Document::parse(text).map_err(|e| BadStatus::Malformed(e.to_string()))?;
    let root = tree.root_element();
    let node = child(root, "domain").ok_or(BadStatus::Missing("<domain>"))?;
    let doc = Domain::parse(&text[node.range()], UnknownPolicy::Salvage)
        .map_err(|e| BadStatus::Document(e.to_string()))?
        .value;
    let state = root.attribute("state").ok_or(BadStatus::Missing("state"))?;
    let reason = Reason::from_words(state, root.attribute("reason").unwrap_or_default()).map_err(|_| {
        BadStatus::Value {
            what: "state",
            value: state.to_owned(),
        }
    })?;
    let run = root.children().find(|n| n.has_tag_name((NAMESPACE, "run")));
    let id = match run {
        Some(run) => parsed(run, "id")?,
        None => doc.id,
    };
    let process = match run {
        Some(run) => parsed(run, "process")?,
        // libvirtd writes the number alone; a process that is gone is found out when the guest is taken over.
        None => parsed::<i32>(root, "pid")?.and_then(|pid| ProcessId::of(pid).ok()),
    };
    let phase = match run {
        Some(run) => parsed(run, "phase")?.ok_or(BadStatus::Missing("phase"))?,
        None if reason == Reason::Paused(PausedReason::StartingUp) => Phase::Launch,
        None => Phase::Up,
    };
    Ok(Status {
        id: id.ok_or(BadStatus::Missing("id"))?,
        reason,
        phase,
        process,
        monitor: child(root, "monitor")
            .and_then(|n| n.attribute("path"))
            .map(PathBuf::from),
        facts: run.map_or_else(|| facts_of(root), |run| pairs(run, "fact")),
        steps: run.map(steps).unwrap_or_default(),
        ports: match run {
            Some(run) => ports(run)?,
            None => ports_of(&doc),
        },
        keeper: run.map(|run| parsed(run, "keeper")).transpose()?.flatten(),
        fake_reboot: child(root, "fakereboot").is_some(),
        taint: named(root, "taint")
            .filter_map(|n| n.attribute("flag"))
            .map(str::to_owned)
            .collect(),
        doc: Arc::new(doc),
    })
}

/// What libvirtd says in elements of its own.
fn facts_of(root: Node<'_, '_>) -> BTreeMap<String, String> {
    let namespaces = child(root, "namespaces");
    let is_private = namespaces.is_some_and(|namespaces| child(namespaces, "mount").is_some());
    let facts = [(FOREIGN, true), (PRIVATE_DEV, is_private)].into_iter();
    facts
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| (name.to_owned(), "yes".to_owned()))
        .collect()
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    node.children().find(|n| n.has_tag_name(name))
}

fn named<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |n| n.is_element() && n.tag_name().name() == name)
}

fn parsed<T: FromStr>(node: Node<'_, '_>, what: &'static str) -> Result<Option<T>, BadStatus> {
    let Some(value) = node.attribute(what) else {
        return Ok(None);
    };
    value.parse().map(Some).map_err(|_| BadStatus::Value {
        what,
        value: value.to_owned(),
    })
}

fn pairs(node: Node<'_, '_>, name: &'static str) -> BTreeMap<String, String> {
    named(node, name)
        .filter_map(|n| Some((n.attribute("name")?.to_owned(), n.attribute("value")?.to_owned())))
        .collect()
}

fn steps(run: Node<'_, '_>) -> Vec<Step> {
    let step = |n: Node<'_, '_>| Step {
        kind: n.attribute("kind").unwrap_or_default().to_owned(),
        values: pairs(n, "value"),
    };
    named(run, "step").map(step).collect()
}

fn ports(run: Node<'_, '_>) -> Result<Vec<Plugged>, BadStatus> {
    let port = |n: Node<'_, '_>| {
        Ok(Plugged {
            network: n.attribute("network").unwrap_or_default().to_owned(),
            uuid: parsed(n, "uuid")?.ok_or(BadStatus::Missing("uuid of a port"))?,
            mac: parsed(n, "mac")?.ok_or(BadStatus::Missing("mac of a port"))?,
        })
    };
    named(run, "port").map(port).collect()
}

/// The ports of a guest that libvirtd started stand in its document only.
fn ports_of(doc: &Domain) -> Vec<Plugged> {
    let port = |i: &ferrovirt_model::domain::Interface| {
        let source = i.source.as_ref()?;
        Some(Plugged {
            network: source.network.clone()?,
            uuid: source.portid?,
            mac: i.mac?,
        })
    };
    doc.devices.interfaces.iter().filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::RunningReason;

    const DOMAIN: &str = "<domain type='qemu' id='7'><name>g1</name>\
        <uuid>11111111-1111-4111-8111-111111111101</uuid><description>two\nlines</description>\
        <memory unit='KiB'>32768</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>\
        <devices><interface type='network'><mac address='52:54:00:00:00:01'/>\
        <source network='net1' portid='22222222-2222-4222-8222-222222222201' bridge='br0'/></interface></devices></domain>";

    fn status() -> Status {
        let doc = Domain::parse(DOMAIN, UnknownPolicy::Refuse).unwrap().value;
        Status {
            id: 7,
            ports: ports_of(&doc),
            doc: Arc::new(doc),
            reason: Reason::Running(RunningReason::Booted),
            phase: Phase::Started,
            process: Some(ProcessId {
                pid: 12,
                start_time: 34,
            }),
            monitor: Some(PathBuf::from("/var/lib/it's/monitor.sock")),
            facts: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            steps: vec![
                Step::new("tap").with("dev", "vnet0"),
                Step::new("owner").with("path", "/x & <y>"),
            ],
            keeper: Some(ProcessId {
                pid: 56,
                start_time: 78,
            }),
            fake_reboot: true,
            taint: vec!["hook-script".to_owned()],
        }
    }

    fn same(a: &Status, b: &Status) {
        assert_eq!(
            (a.id, a.reason, a.phase, a.process),
            (b.id, b.reason, b.phase, b.process)
        );
        assert_eq!(
            (&a.monitor, &a.facts, &a.steps, &a.ports),
            (&b.monitor, &b.facts, &b.steps, &b.ports)
        );
        assert_eq!(
            (a.keeper, a.fake_reboot, &a.taint),
            (b.keeper, b.fake_reboot, &b.taint)
        );
        assert_eq!(a.doc, b.doc);
    }

    #[test]
    fn r96_all_that_is_written_comes_back() {
        let mut it = status();
        same(&it, &read(&write(&it)).unwrap());
        assert_eq!(it.ports.len(), 1);
        (it.keeper, it.process, it.monitor, it.fake_reboot) = (None, None, None, false);
        (it.steps, it.ports, it.taint, it.facts) = (vec![], vec![], vec![], BTreeMap::new());
        same(&it, &read(&write(&it)).unwrap());
    }

    #[test]
    fn the_form_is_libvirts() {
        let text = write(&status());
        let root = "<domstatus state='running' reason='booted' pid='12'>\n  <taint flag='hook-script'/>\n";
        assert!(text.starts_with(root), "{text}");
        assert!(
            text.contains("  <monitor path='/var/lib/it&apos;s/monitor.sock' type='unix'/>\n"),
            "{text}"
        );
        assert!(
            text.contains("  <fakereboot/>\n") && text.contains("<domain type='qemu' id='7'>"),
            "{text}"
        );
    }

    #[test]
    fn what_libvirtd_wrote_is_understood() {
        let text = format!(
            "<domstatus state='paused' reason='user' pid='{}'><monitor path='/m' type='unix'/>{DOMAIN}</domstatus>",
            std::process::id()
        );
        let it = read(&text).unwrap();
        assert_eq!(
            (it.id, it.phase, it.ports.len(), it.keeper),
            (7, Phase::Up, 1, None)
        );
        assert_eq!(it.process, ProcessId::of(std::process::id() as i32).ok());
        let facts = |text: &str| read(text).unwrap().facts.into_keys().collect::<Vec<_>>();
        assert_eq!(facts(&text), [FOREIGN]);
        let private = text.replace("<domain ", "<namespaces><mount/></namespaces><domain ");
        assert_eq!(facts(&private), [FOREIGN, PRIVATE_DEV]);
        let starting = text.replace("'user'", "'starting up'");
        assert_eq!(read(&starting).unwrap().phase, Phase::Launch);
    }

    #[test]
    fn what_is_missing_or_impossible_is_named() {
        let text = write(&status());
        for (cut, by, expected) in [
            ("phase='started'", "", "phase is missing"),
            (
                "phase='started'",
                "phase='x'",
                "phase has the impossible value 'x'",
            ),
            (" state='running'", "", "state is missing"),
            (
                "state='running'",
                "state='x'",
                "state has the impossible value 'x'",
            ),
            (
                "process='12:34'",
                "process='12'",
                "process has the impossible value '12'",
            ),
            ("id='7' phase", "phase", "id is missing"),
            ("</domstatus>", "", "not well-formed"),
        ] {
            let error = read(&text.replacen(cut, by, 1)).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_value_of_a_step_comes_back(value: String) {
            // What XML cannot say at all is not a path or a name of anything that a backend makes.
            let legal = |c: char| c >= ' ' && !('\u{fffe}'..='\u{ffff}').contains(&c) || "\t\r\n".contains(c);
            let value: String = value.chars().filter(|&c| legal(c)).collect();
            let mut it = status();
            it.steps = vec![Step::new("k").with("v", value.clone())];
            let back = read(&write(&it)).unwrap();
            prop_assert_eq!(back.steps[0].get("v"), value);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String, at in 0usize..1500, with: char) {
            let _ = read(&text);
            let mut damaged = write(&status());
            if damaged.is_char_boundary(at.min(damaged.len())) {
                damaged.insert(at.min(damaged.len()), with);
            }
            let _ = read(&damaged);
        }
    }
}
