//! A look into the documents that hooks get (R10, R11): `<domain>`, `<network>`, or both kinds in `<hookData>`. Only reading,
//! and only what is there: this crate does not know what a domain is.

use roxmltree::{Document, Node};

/// The document; `None` for what is no XML.
pub(crate) fn parse(text: &str) -> Option<Document<'_>> {
    Document::parse(text).ok()
}

/// The guest that a document describes.
pub(crate) fn guest<'a, 'i>(document: &'a Document<'i>) -> Option<Node<'a, 'i>> {
    root(document, "domain")
}

/// The network that a document describes.
pub(crate) fn network<'a, 'i>(document: &'a Document<'i>) -> Option<Node<'a, 'i>> {
    root(document, "network").or_else(|| child(root(document, "hookData")?, "network"))
}

/// The port that is plugged in or out (R73, R74).
pub(crate) fn port<'a, 'i>(document: &'a Document<'i>) -> Option<Node<'a, 'i>> {
    child(root(document, "hookData")?, "networkport")
}

fn root<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Node<'a, 'i>> {
    Some(document.root_element()).filter(|element| element.has_tag_name(name))
}

/// All elements below a node that have no namespace and this name.
pub(crate) fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

/// The first of them.
pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// The first one's text, without the space around it; `None` when there is none.
pub(crate) fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    text(child(node, name)?)
}

/// The text of an element, without the space around it; `None` when there is none.
pub(crate) fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().map(str::trim).filter(|text| !text.is_empty())
}

/// An attribute of the first child of this name.
pub(crate) fn attribute_of<'a>(node: Node<'a, '_>, name: &str, attribute: &str) -> Option<&'a str> {
    child(node, name)?.attribute(attribute)
}

/// The devices of a guest.
pub(crate) fn devices<'a, 'i>(guest: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    child(guest, "devices")
        .into_iter()
        .flat_map(|devices| devices.children())
        .filter(Node::is_element)
}

/// The elements in `<metadata>`, at any depth: who put them there is their namespace.
pub(crate) fn metadata<'a, 'i>(object: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    child(object, "metadata")
        .into_iter()
        .flat_map(|metadata| metadata.descendants().skip(1))
        .filter(Node::is_element)
}
