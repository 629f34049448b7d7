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
    let doc = Domain::parse(&text[node.range()], UnknownPolicy::Keep)
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
        facts: run.map(|run| pairs(run, "fact")).unwrap_or_default(),
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
