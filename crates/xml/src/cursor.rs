//! Reading: a cursor stands on one element and hands out its parts; what nobody asked for is noticed when it is done.

use crate::element::{Choice, Element};
use crate::error::{Unknown, UnknownPolicy, XmlError};
use crate::rest::{Kept, KeptWhat, Rest, Step};
use crate::tree::Tree;
use roxmltree::Node;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// Turns a value's text into the value; the error says what it should have been.
pub type Parse<T> = fn(&str) -> Result<T, String>;

/// So many unknown things are listed; a document with more is refused whatever the policy.
const UNCLAIMED_LIMIT: usize = 1000;

/// One document that is being read, and what nobody has claimed so far.
pub(crate) struct Reading<'t> {
    tree: Tree<'t>,
    text: &'t str,
    unclaimed: RefCell<Vec<Unclaimed>>,
    /// Was there more than [`UNCLAIMED_LIMIT`]?
    overflow: Cell<bool>,
    /// Are list items with impossible values kept whole?
    salvage: bool,
}

/// Something unclaimed, and whether a [`Rest`] has taken it.
struct Unclaimed {
    unknown: Unknown,
    parent: roxmltree::NodeId,
    what: KeptWhat,
    held: bool,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(text: &'t str, policy: UnknownPolicy) -> Result<Self, XmlError> {
        let salvage = policy == UnknownPolicy::Salvage;
        Ok(Self {
            tree: Tree::parse(text)?,
            text,
            unclaimed: RefCell::default(),
            overflow: Cell::default(),
            salvage,
        })
    }

    pub(crate) fn root(&self) -> Cursor<'_> {
        Cursor::new(self, self.tree.document.root_element())
    }

    /// All that was not claimed, and of it what no `Rest` holds.
    pub(crate) fn into_unknown(self) -> (Vec<Unknown>, Vec<Unknown>) {
        let overflow = self.overflow.get();
        let all = self.unclaimed.into_inner();
        let lost = all
            .iter()
            .filter(|entry| overflow || !entry.held)
            .map(|entry| entry.unknown.clone())
            .collect();
        (all.into_iter().map(|entry| entry.unknown).collect(), lost)
    }

    fn position(&self, offset: usize) -> (u32, u32) {
        self.tree.lines.position(offset)
    }
}

/// A place in a document: one element, of which parts are claimed one by one.
pub struct Cursor<'d> {
    reading: &'d Reading<'d>,
    node: Node<'d, 'd>,
    children: Vec<(Node<'d, 'd>, bool)>,
    attributes: Vec<usize>,
    text_claimed: bool,
    finished: bool,
}

impl<'d> Cursor<'d> {
    fn new(reading: &'d Reading<'d>, node: Node<'d, 'd>) -> Self {
        let children = node
            .children()
            .filter(Node::is_element)
            .map(|child| (child, false))
            .collect();
        Self {
            reading,
            node,
            children,
            attributes: Vec::new(),
            text_claimed: false,
            finished: false,
        }
    }

    /// The element's name.
    pub fn name(&self) -> &'d str {
        self.node.tag_name().name()
    }

    /// Reads a value of type `T` from the whole element and notices what it did not claim.
    ///
    /// # Errors
    /// Those of `T`.
    pub fn read<T: Element>(mut self) -> Result<T, XmlError> {
        let value = T::decode(&mut self)?;
        self.finish();
        Ok(value)
    }

    /// Claims an attribute and parses it.
    ///
    /// # Errors
    /// A value that `parse` refuses.
    pub fn attribute<T>(&mut self, name: &str, parse: Parse<T>) -> Result<Option<T>, XmlError> {
        let found = self
            .node
            .attributes()
            .enumerate()
            .find(|(_, a)| a.name() == name && a.namespace().is_none());
        let Some((index, attribute)) = found else {
            return Ok(None);
        };
        self.attributes.push(index);
        parse(attribute.value()).map(Some).map_err(|why| {
            let (element, value) = (self.name(), attribute.value());
            let text =
                format!("Invalid value for attribute '{name}' in element '{element}': '{value}': {why}");
            self.invalid_at(attribute.range().start, &format!("/@{name}"), text)
        })
    }

    /// Claims an attribute that must be there.
    ///
    /// # Errors
    /// It is missing, or `parse` refuses the value.
    pub fn required_attribute<T>(&mut self, name: &str, parse: Parse<T>) -> Result<T, XmlError> {
        self.attribute(name, parse)?
            .ok_or_else(|| self.missing("attribute", &format!("@{name}")))
    }

    /// The value of an attribute, which is not claimed by that.
    pub fn peek(&self, name: &str) -> Option<&'d str> {
        self.node.attribute(name)
    }

    /// Claims the text and parses it.
    ///
    /// # Errors
    /// A value that `parse` refuses.
    pub fn text_value<T>(&mut self, parse: Parse<T>) -> Result<T, XmlError> {
        self.text_claimed = true;
        let text = self.text();
        parse(&text).map_err(|why| {
            let start = self
                .node
                .children()
                .find(Node::is_text)
                .map_or(self.node.range().start, |t| t.range().start);
            self.invalid_at(
                start,
                "",
                format!("Invalid value for element '{}': '{text}': {why}", self.name()),
            )
        })
    }

    /// Claims the text if there is any.
    ///
    /// # Errors
    /// A value that `parse` refuses.
    pub fn optional_text<T>(&mut self, parse: Parse<T>) -> Result<Option<T>, XmlError> {
        if self.has_text() {
            self.text_value(parse).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Has the element any text at all (blanks count)?
    pub fn has_text(&self) -> bool {
        self.node
            .children()
            .any(|child| child.is_text() && child.text().is_some_and(|text| !text.is_empty()))
    }

    fn text(&self) -> Cow<'d, str> {
        let mut pieces = self
            .node
            .children()
            .filter(Node::is_text)
            .filter_map(|child| child.text());
        let first = pieces.next().unwrap_or_default();
        match pieces.next() {
            None => Cow::Borrowed(first),
            Some(second) => Cow::Owned([first, second].into_iter().chain(pieces).collect()),
        }
    }

    /// Claims the first child of this name that is still unclaimed. A second one stays behind and is noticed.
    pub fn child(&mut self, name: &str) -> Option<Cursor<'d>> {
        let (node, claimed) = self.children.iter_mut().find(unclaimed_and_named(name))?;
        *claimed = true;
        Some(Cursor::new(self.reading, *node))
    }

    /// Claims a child and reads it.
    ///
    /// # Errors
    /// Those of `T`.
    pub fn optional<T: Element>(&mut self, name: &str) -> Result<Option<T>, XmlError> {
        let Some((node, claimed)) = self.children.iter_mut().find(unclaimed_and_named(name)) else {
            return Ok(None);
        };
        let child = Cursor::new(self.reading, *node);
        if T::is_absent(&child) {
            // What is not written again must not hold anything that should be kept.
            *claimed = child.children.is_empty() && node.attributes().len() == 0;
            return Ok(None);
        }
        *claimed = true;
        child.read().map(Some)
    }

    /// Claims a child that must be there.
    ///
    /// # Errors
    /// It is missing, or those of `T`.
    pub fn required<T: Element>(&mut self, name: &str) -> Result<T, XmlError> {
        self.optional(name)?
            .ok_or_else(|| self.missing("element", split_name(name).0))
    }

    /// Claims all children of this name.
    ///
    /// # Errors
    /// Those of `T`.
    pub fn many<T: Element>(&mut self, name: &str) -> Result<Vec<T>, XmlError> {
        let mut list = Vec::new();
        for (node, claimed) in self.children.iter_mut().filter(unclaimed_and_named(name)) {
            let before = self.reading.unclaimed.borrow().len();
            match Cursor::new(self.reading, *node).read() {
                Ok(item) => {
                    *claimed = true;
                    list.push(item);
                }
                Err(error) if !self.reading.salvage => return Err(error),
                // Left unclaimed: it will be noticed as a whole.
                Err(_) => self.reading.unclaimed.borrow_mut().truncate(before),
            }
        }
        Ok(list)
    }

    /// Claims all children of this name inside one child `outer`.
    ///
    /// # Errors
    /// Those of `T`.
    pub fn many_within<T: Element>(&mut self, outer: &str, name: &str) -> Result<Vec<T>, XmlError> {
        let Some(mut outer) = self.child(outer) else {
            return Ok(Vec::new());
        };
        let list = outer.many(name)?;
        outer.finish();
        Ok(list)
    }

    /// Claims a child that is there for the sake of one attribute: `<mac address='…'/>`.
    ///
    /// # Errors
    /// The attribute is missing, or `parse` refuses the value.
    pub fn child_attribute<T>(
        &mut self,
        name: &str,
        attribute: &str,
        parse: Parse<T>,
    ) -> Result<Option<T>, XmlError> {
        let Some(mut child) = self.child(name) else {
            return Ok(None);
        };
        let value = child.required_attribute(attribute, parse)?;
        child.finish();
        Ok(Some(value))
    }

    /// Claims such a child that must be there.
    ///
    /// # Errors
    /// The child or its attribute is missing, or `parse` refuses the value.
    pub fn required_child_attribute<T>(
        &mut self,
        name: &str,
        attribute: &str,
        parse: Parse<T>,
    ) -> Result<T, XmlError> {
        self.child_attribute(name, attribute, parse)?
            .ok_or_else(|| self.missing("element", name))
    }

    /// Claims all children of this name that are there for the sake of one attribute: `<boot dev='…'/>`.
    ///
    /// # Errors
    /// The attribute is missing, or `parse` refuses a value.
    pub fn child_attributes<T>(
        &mut self,
        name: &str,
        attribute: &str,
        parse: Parse<T>,
    ) -> Result<Vec<T>, XmlError> {
        let mut list = Vec::new();
        for (node, claimed) in self.children.iter_mut().filter(unclaimed_and_named(name)) {
            *claimed = true;
            let mut child = Cursor::new(self.reading, *node);
            list.push(child.required_attribute(attribute, parse)?);
            child.finish();
        }
        Ok(list)
    }

    /// Claims a child whose presence is all that it says.
    pub fn flag(&mut self, name: &str) -> bool {
        self.child(name).map(Cursor::finish).is_some()
    }

    /// Claims all children that a choice knows, in the document's order.
    ///
    /// # Errors
    /// Those of `T`.
    pub fn choices<T: Choice>(&mut self) -> Result<Vec<T>, XmlError> {
        let mut list = Vec::new();
        for (node, claimed) in &mut self.children {
            let name = node.tag_name();
            if !*claimed && name.namespace().is_none() && T::NAMES.contains(&name.name()) {
                *claimed = true;
                list.extend(T::decode(name.name(), Cursor::new(self.reading, *node)));
            }
        }
        list.into_iter().collect()
    }

    /// Claims a child whole, as the text that it is.
    pub fn raw(&mut self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.source())
    }

    /// The element as it stands in the document, with the namespaces that it uses declared in it.
    fn source(&self) -> String {
        let mut source = self.reading.text[self.node.range()].to_owned();
        let after_name = source
            .find(|c: char| c.is_whitespace() || c == '/' || c == '>')
            .unwrap_or(source.len());
        let outside = self
            .node
            .parent()
            .into_iter()
            .flat_map(|parent| parent.namespaces());
        let declarations: String = outside
            .filter(|ns| ns.uri() != roxmltree::NS_XML_URI)
            .filter_map(|ns| {
                let (name, used) = match ns.name() {
                    Some(prefix) => (format!("xmlns:{prefix}"), source.contains(&format!("{prefix}:"))),
                    None => ("xmlns".to_owned(), true),
                };
                let start_tag = &source[..source.find('>').unwrap_or(source.len())];
                let declared = start_tag.contains(&format!("{name}="));
                let mut uri = String::new();
                crate::escape::escape(&mut uri, ns.uri(), crate::escape::Place::Attribute);
                (used && !declared).then(|| format!(" {name}='{uri}'"))
            })
            .collect();
        source.insert_str(after_name, &declarations);
        source
    }

    /// How much was unclaimed before this element; for [`Cursor::rest`].
    pub fn begin(&self) -> usize {
        self.reading.unclaimed.borrow().len()
    }

    /// Ends the claiming and takes what was left in this element and below it since `begin`.
    pub fn rest(&mut self, begin: usize) -> Rest {
        self.report();
        let mut kept = Vec::new();
        for entry in self.reading.unclaimed.borrow_mut()[begin..]
            .iter_mut()
            .filter(|entry| !entry.held)
        {
            entry.held = true;
            kept.push(Kept {
                path: self.steps_to(entry.parent),
                what: entry.what.clone(),
            });
        }
        Rest { kept }
    }

    /// Ends the claiming: what was not asked for is unknown.
    pub fn finish(mut self) {
        self.report();
    }

    fn report(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let unclaimed = self
            .node
            .attributes()
            .enumerate()
            .filter(|(index, _)| !self.attributes.contains(index));
        for (_, attribute) in unclaimed {
            let name = self.reading.text[attribute.range_qname()].to_owned();
            let namespace = attribute.namespace().map(str::to_owned);
            let path = format!("{}/@{name}", path_of(self.node));
            let what = KeptWhat::Attribute {
                name,
                namespace,
                value: attribute.value().to_owned(),
            };
            self.note(attribute.range().start, path, what);
        }
        if !self.text_claimed {
            for text in self.node.children().filter(Node::is_text) {
                let words = text.text().unwrap_or_default().trim();
                if !words.is_empty() {
                    let mut escaped = String::new();
                    crate::escape::escape(&mut escaped, words, crate::escape::Place::Text);
                    let path = format!("{}/text()", path_of(self.node));
                    self.note(text.range().start, path, KeptWhat::Subtree(escaped));
                }
            }
        }
        for (child, _) in self.children.iter().filter(|(_, claimed)| !claimed) {
            let source = Cursor::new(self.reading, *child).source();
            self.note(child.range().start, path_of(*child), KeptWhat::Subtree(source));
        }
    }

    fn note(&self, offset: usize, path: String, what: KeptWhat) {
        let mut unclaimed = self.reading.unclaimed.borrow_mut();
        if unclaimed.len() >= UNCLAIMED_LIMIT {
            self.reading.overflow.set(true);
            return;
        }
        let (line, col) = self.reading.position(offset);
        let unknown = Unknown { line, col, path };
        unclaimed.push(Unclaimed {
            unknown,
            parent: self.node.id(),
            what,
            held: false,
        });
    }

    /// The way from this element down to another.
    fn steps_to(&self, id: roxmltree::NodeId) -> Vec<Step> {
        let target = self.reading.tree.document.get_node(id);
        let way = target
            .into_iter()
            .flat_map(|node| node.ancestors())
            .take_while(|node| *node != self.node);
        let mut steps: Vec<Step> = way
            .map(|node| {
                let same = node
                    .prev_siblings()
                    .skip(1)
                    .filter(|other| other.tag_name() == node.tag_name());
                Step {
                    name: node.tag_name().name().to_owned(),
                    nth: same.count() as u32,
                }
            })
            .collect();
        steps.reverse();
        steps
    }

    /// The error for a value of this element that cannot be.
    pub fn invalid(&self, text: impl Into<String>) -> XmlError {
        self.invalid_at(self.node.range().start, "", text.into())
    }

    fn invalid_at(&self, offset: usize, below: &str, text: String) -> XmlError {
        let (line, col) = self.reading.position(offset);
        XmlError::Invalid {
            line,
            col,
            path: format!("{}{below}", path_of(self.node)),
            text,
        }
    }

    fn missing(&self, what: &str, name: &str) -> XmlError {
        let (line, col) = self.reading.position(self.node.range().start);
        let text = format!(
            "Missing required {what} '{}' in element '{}'",
            name.trim_start_matches('@'),
            self.name()
        );
        XmlError::Missing {
            line,
            col,
            path: format!("{}/{name}", path_of(self.node)),
            text,
        }
    }
}

/// Picks the children of a name that nobody has claimed yet.
fn unclaimed_and_named<'d>(name: &str) -> impl FnMut(&&mut (Node<'d, 'd>, bool)) -> bool {
    let (local, namespace) = split_name(name);
    move |(node, claimed)| {
        let tag = node.tag_name();
        !claimed && tag.name() == local && tag.namespace() == namespace
    }
}

/// `commandline`, or `{http://…}commandline` for an element in a namespace.
fn split_name(name: &str) -> (&str, Option<&str>) {
    match name.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((namespace, local)) => (local, Some(namespace)),
        None => (name, None),
    }
}

/// Names from the root down, with the prefixes that the document uses.
fn path_of(node: Node<'_, '_>) -> String {
    let elements = node.ancestors().filter(Node::is_element);
    let mut names: Vec<String> = elements
        .map(|node| {
            let prefix = node
                .tag_name()
                .namespace()
                .and_then(|uri| node.lookup_prefix(uri));
            let prefix = prefix.map(|prefix| format!("{prefix}:")).unwrap_or_default();
            prefix + node.tag_name().name()
        })
        .collect();
    names.reverse();
    names.join("/")
}
