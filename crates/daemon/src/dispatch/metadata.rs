//! Title, description, and what other programs keep in a guest's document.

use std::sync::Arc;

use ferrovirt_guest::{Affect, Metadata, Snapshot};
use ferrovirt_model::domain::Domain;
use ferrovirt_wire::procedures::{
    DomainGetMetadataArgs, DomainGetMetadataResults, DomainSetMetadataArgs, DomainSetMetadataResults,
};
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};
use roxmltree::{Document, Node, NodeType};

use super::{Session, only_flags};
use crate::errors;

type Answer<T> = Result<T, ErrorReply>;

const DESCRIPTION: i32 = 0;
const TITLE: i32 = 1;
const ELEMENT: i32 = 2;

const LIVE: u32 = 1;
const CONFIG: u32 = 2;

/// An argument that the public function refuses.
fn refuse<T>(function: &str, argument: &str, text: impl Into<String>) -> Answer<T> {
    Err(ErrorReply::bad_argument(
        ErrorDomain::Domain,
        text,
        function,
        argument,
    ))
}

fn must_be_null<T>(function: &str, argument: &str, value: Option<&T>) -> Answer<()> {
    match value {
        None => Ok(()),
        Some(_) => refuse(
            function,
            argument,
            format!("{argument} in {function} must be NULL"),
        ),
    }
}

fn needed<T>(function: &str, argument: &str, value: Option<T>) -> Answer<T> {
    match value {
        Some(value) => Ok(value),
        None => refuse(
            function,
            argument,
            format!("{argument} in {function} must not be NULL"),
        ),
    }
}

fn unknown_kind<T>(kind: i32) -> Answer<T> {
    let text = format!("unknown metadata type '{kind}'");
    Err(ErrorReply::new(ErrorCode::InvalidArg, ErrorDomain::Domain, text))
}

pub(super) async fn set(session: &Session, args: DomainSetMetadataArgs) -> Answer<DomainSetMetadataResults> {
    let DomainSetMetadataArgs {
        dom,
        kind,
        metadata,
        key,
        uri,
        flags,
    } = args;
    let change = change(kind, metadata, key, uri)?;
    only_flags(flags, LIVE | CONFIG, ErrorDomain::Qemu, "qemuDomainSetMetadata")?;
    let handle = session.guest(&dom)?;
    let Some(change) = change else {
        return unknown_kind(kind);
    };
    let affect = Affect {
        live: flags & LIVE != 0,
        config: flags & CONFIG != 0,
    };
    handle
        .set_metadata(change, affect, session.origin())
        .await
        .map_err(errors::guest)?;
    Ok(DomainSetMetadataResults {})
}

/// What is to be changed; none if nobody knows the kind. An empty title or description is none.
fn change(
    kind: i32,
    text: Option<String>,
    key: Option<String>,
    uri: Option<String>,
) -> Answer<Option<Metadata>> {
    let function = "virDomainSetMetadata";
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    if kind == TITLE && text.as_deref().is_some_and(|text| text.contains('\n')) {
        return refuse(function, "metadata", "metadata title can't contain newlines");
    }
    if matches!(kind, TITLE | DESCRIPTION) {
        must_be_null(function, "uri", uri.as_ref())?;
        must_be_null(function, "key", key.as_ref())?;
    }
    Ok(match kind {
        DESCRIPTION => Some(Metadata::Description(some(text))),
        TITLE => Some(Metadata::Title(some(text))),
        ELEMENT => {
            let uri = needed(function, "uri", uri)?;
            let key = match &text {
                Some(_) => needed(function, "key", key)?,
                None => key.unwrap_or_default(),
            };
            Some(Metadata::Element { uri, key, xml: text })
        }
        _ => None,
    })
}

pub(super) fn get(session: &Session, args: DomainGetMetadataArgs) -> Answer<DomainGetMetadataResults> {
    let function = "virDomainGetMetadata";
    if args.flags & LIVE != 0 && args.flags & CONFIG != 0 {
        let text = "Flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' are mutually exclusive";
        return refuse(function, "ctl", text);
    }
    let uri = match args.kind {
        TITLE | DESCRIPTION => must_be_null(function, "uri", args.uri.as_ref()).map(|()| None)?,
        ELEMENT => Some(needed(function, "uri", args.uri)?),
        _ => None,
    };
    let snapshot = session.guest(&args.dom)?.snapshot();
    only_flags(
        args.flags,
        LIVE | CONFIG,
        ErrorDomain::Domain,
        "virDomainObjGetMetadata",
    )?;
    let document = document(&snapshot, args.flags)?;
    let found = match (args.kind, uri) {
        (DESCRIPTION, _) => document.description.clone(),
        (TITLE, _) => document.title.clone(),
        (ELEMENT, Some(uri)) => document.metadata.as_deref().and_then(|text| element(text, &uri)),
        _ => return unknown_kind(args.kind),
    };
    let metadata = found.ok_or_else(|| {
        let text = "Requested metadata element is not present";
        ErrorReply::new(ErrorCode::NoDomainMetadata, ErrorDomain::Domain, text)
    })?;
    Ok(DomainGetMetadataResults { metadata })
}

/// The document that the flags mean.
fn document(snapshot: &Snapshot, flags: u32) -> Answer<&Arc<Domain>> {
    let invalid = |text: &str| ErrorReply::new(ErrorCode::OperationInvalid, ErrorDomain::Domain, text);
    if flags & LIVE != 0 && !snapshot.is_active() {
        return Err(invalid("domain is not running"));
    }
    if flags & CONFIG != 0 && !snapshot.persistent {
        return Err(invalid("transient domains do not have any persistent config"));
    }
    let document = snapshot.document(flags & CONFIG != 0);
    document.ok_or_else(|| {
        ErrorReply::internal(
            ErrorDomain::Qemu,
            format!("guest '{}' has no document", snapshot.name),
        )
    })
}

/// The element of a namespace inside `<metadata>`, written as if the namespace were the only one: without its prefix.
fn element(metadata: &str, uri: &str) -> Option<String> {
    let document = Document::parse(metadata).ok()?;
    let mut children = document.root_element().children();
    let found = children.find(|node| node.is_element() && node.tag_name().namespace() == Some(uri))?;
    let mut out = String::new();
    write(&mut out, found, uri);
    Some(out)
}

fn write(out: &mut String, node: Node<'_, '_>, uri: &str) {
    match node.node_type() {
        NodeType::Element => write_element(out, node, uri),
        NodeType::Text => escape(out, node.text().unwrap_or_default(), false),
        NodeType::Comment => {
            *out += "<!--";
            *out += node.text().unwrap_or_default();
            *out += "-->";
        }
        NodeType::Root | NodeType::PI => {}
    }
}

fn write_element(out: &mut String, node: Node<'_, '_>, uri: &str) {
    let name = qualified(node, node.tag_name().namespace(), node.tag_name().name(), uri);
    *out += "<";
    *out += &name;
    let known = |space: &roxmltree::Namespace<'_>| {
        let parent = node.parent_element();
        parent.is_some_and(|parent| parent.namespaces().any(|other| other == space))
    };
    for space in node
        .namespaces()
        .filter(|space| space.uri() != uri && !known(space))
    {
        *out += " xmlns";
        if let Some(prefix) = space.name() {
            *out += ":";
            *out += prefix;
        }
        *out += "=\"";
        escape(out, space.uri(), true);
        *out += "\"";
    }
    for attribute in node.attributes() {
        *out += " ";
        *out += &qualified(node, attribute.namespace(), attribute.name(), uri);
        *out += "=\"";
        escape(out, attribute.value(), true);
        *out += "\"";
    }
    if node.first_child().is_none() {
        *out += "/>";
        return;
    }
    *out += ">";
    for child in node.children() {
        write(out, child, uri);
    }
    *out += "</";
    *out += &name;
    *out += ">";
}

/// A name with its prefix, unless it is in the namespace that loses its prefix.
fn qualified(node: Node<'_, '_>, space: Option<&str>, name: &str, uri: &str) -> String {
    let prefix = space
        .filter(|space| *space != uri)
        .and_then(|space| node.lookup_prefix(space));
    match prefix {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}:{name}"),
        _ => name.to_owned(),
    }
}

fn escape(out: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        match c {
            '&' => *out += "&amp;",
            '<' => *out += "&lt;",
            '>' => *out += "&gt;",
            '"' if quoted => *out += "&quot;",
            '\n' if quoted => *out += "&#10;",
            '\t' if quoted => *out += "&#9;",
            '\r' => *out += "&#13;",
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_applications_element_is_shown_without_its_prefix() {
        let text = r#"<metadata>
            <a:foo xmlns:a="http://x" k="1 &amp; 2">t<a:b/><c xmlns="http://z"><d/></c></a:foo>
            <q xmlns="http://q"/>
            <yy:foo xmlns:yy="http://y" a="1">t &lt;<yy:b/></yy:foo>
        </metadata>"#;
        let shown = |uri| element(text, uri);
        assert_eq!(
            shown("http://x").unwrap(),
            r#"<foo k="1 &amp; 2">t<b/><c xmlns="http://z"><d/></c></foo>"#
        );
        assert_eq!(shown("http://q").unwrap(), "<q/>");
        assert_eq!(shown("http://y").unwrap(), r#"<foo a="1">t &lt;<b/></foo>"#);
        assert_eq!(shown("http://none"), None);
        assert_eq!(element("no xml", "http://x"), None);
    }

    fn refusal<T: std::fmt::Debug>(answer: Answer<T>) -> (i32, i32, String) {
        let error = answer.unwrap_err();
        (error.code, error.domain, error.text().to_owned())
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused_in_libvirts_words() {
        let text = |s: &str| Some(s.to_owned());
        let says = |what: &str| (8, 20, what.to_owned());
        assert_eq!(
            refusal(change(TITLE, text("a\nb"), None, None)),
            says("metadata title can't contain newlines")
        );
        assert_eq!(
            refusal(change(ELEMENT, text("<a/>"), None, None)),
            says("uri in virDomainSetMetadata must not be NULL")
        );
        assert_eq!(
            refusal(change(ELEMENT, text("<a/>"), None, text("x"))),
            says("key in virDomainSetMetadata must not be NULL")
        );
        assert_eq!(
            refusal(change(DESCRIPTION, text("a"), text("k"), None)),
            says("key in virDomainSetMetadata must be NULL")
        );
        assert_eq!(change(9, None, None, None).unwrap(), None);
        assert_eq!(
            change(TITLE, text(""), None, None).unwrap(),
            Some(Metadata::Title(None))
        );
    }
}
