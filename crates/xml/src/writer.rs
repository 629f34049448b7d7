//! Writing: libvirt's format to the byte. Two spaces a level, single quotes, `<x/>` for what is empty, a newline after
//! each element.

use crate::Form;
use crate::element::Element;
use crate::escape::{Place, escape};
use crate::rest::{Kept, KeptWhat, Rest, Step};
use std::fmt::Display;
use std::ops::Range;

/// How far an open element has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its start tag still takes attributes.
    Tag,
    /// It holds text.
    Text,
    /// It holds elements.
    Children,
}

/// An element that is not closed yet.
#[derive(Debug)]
struct Open {
    /// Where its name stands in the output.
    name: Range<usize>,
    stage: Stage,
    stay_open: bool,
    /// Which one of its name under its parent (counted only while something kept may have to find its place).
    nth: u32,
    /// Names of its children so far, and how many (as above).
    counts: Vec<(String, u32)>,
    /// Prefixes declared in its start tag.
    prefixes: Vec<String>,
}

/// What an open element holds of unknown things, for itself and for those below it.
#[derive(Debug)]
struct Held {
    /// Number of open elements, the holder included.
    depth: usize,
    kept: Vec<Kept>,
}

/// A document that is being written for one [`Form`].
#[derive(Debug)]
pub struct Writer {
    out: String,
    form: Form,
    open: Vec<Open>,
    held: Vec<Held>,
}

impl Writer {
    /// An empty document.
    pub fn new(form: Form) -> Self {
        Self {
            out: String::with_capacity(4096),
            form,
            open: Vec::new(),
            held: Vec::new(),
        }
    }

    /// What is written for.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The document, with a newline at its end.
    pub fn finish(self) -> String {
        debug_assert!(self.open.is_empty(), "an element was started and not ended");
        self.out
    }

    /// Writes a whole element.
    pub fn element<T: Element>(&mut self, name: &str, value: &T) {
        self.start(name);
        value.attributes(self);
        value.content(self);
        self.end();
    }

    /// Writes a whole element, unless it is a bare value without text.
    pub fn optional<T: Element>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value.filter(|value| !value.is_blank()) {
            self.element(name, value);
        }
    }

    /// Writes an element that is there for the sake of one attribute.
    pub fn child_attribute(&mut self, name: &str, attribute: &str, value: impl Display) {
        self.start(name);
        self.attribute(attribute, value);
        self.end();
    }

    /// Writes an element whose presence is all that it says.
    pub fn flag(&mut self, name: &str) {
        self.start(name);
        self.end();
    }

    /// Opens an element (`prefix:name` in a namespace).
    pub fn start(&mut self, name: &str) {
        let nth = self.count_child(name);
        self.begin_line();
        self.out.push('<');
        let begin = self.out.len();
        self.out.push_str(name);
        let name = begin..self.out.len();
        let (counts, prefixes) = (Vec::new(), Vec::new());
        self.open.push(Open {
            name,
            stage: Stage::Tag,
            stay_open: false,
            nth,
            counts,
            prefixes,
        });
    }

    /// Writes an attribute of the element opened last, which has neither text nor children yet.
    pub fn attribute(&mut self, name: &str, value: impl Display) {
        debug_assert!(
            self.open.last().is_some_and(|open| open.stage == Stage::Tag),
            "attribute {name} comes too late"
        );
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
        escape(&mut self.out, &value.to_string(), Place::Attribute);
        self.out.push('\'');
    }

    /// Declares a namespace in the element opened last, unless the prefix is declared already.
    pub fn namespace(&mut self, prefix: &str, uri: &str) {
        if self
            .open
            .iter()
            .any(|open| open.prefixes.iter().any(|known| known == prefix))
        {
            return;
        }
        self.attribute(&format!("xmlns:{prefix}"), uri);
        if let Some(open) = self.open.last_mut() {
            open.prefixes.push(prefix.to_owned());
        }
    }

    /// The element opened last gets an end tag of its own even if it stays empty.
    pub fn stay_open(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.stay_open = true;
        }
    }

    /// Writes text into the element opened last.
    pub fn text(&mut self, value: impl Display) {
        let text = value.to_string();
        if !text.is_empty() {
            self.leave_tag(Stage::Text);
            escape(&mut self.out, &text, Place::Text);
        }
    }

    /// Writes a subtree as it is, its first line indented.
    pub fn raw(&mut self, source: &str) {
        if self.open.last().is_some_and(|open| open.stage == Stage::Text) {
            self.out.push_str(source);
            return;
        }
        self.begin_line();
        self.out.push_str(source);
        self.out.push('\n');
    }

    /// Leaves a line empty (libvirt does so in capabilities).
    pub fn blank_line(&mut self) {
        self.leave_tag(Stage::Children);
        self.out.push('\n');
    }

    /// What was kept of the element opened last, to be written back in it and below it.
    pub fn hold(&mut self, rest: &Rest) {
        if !rest.is_empty() {
            self.held.push(Held {
                depth: self.open.len(),
                kept: rest.kept.clone(),
            });
        }
    }

    /// Closes the element opened last.
    pub fn end(&mut self) {
        for what in self.kept_here(|what| matches!(what, KeptWhat::Subtree(_))) {
            if let KeptWhat::Subtree(source) = what {
                self.raw(&source);
            }
        }
        if self
            .open
            .last()
            .is_some_and(|open| open.stay_open && open.stage == Stage::Tag)
        {
            self.leave_tag(Stage::Children);
        }
        if self.open.last().is_some_and(|open| open.stage == Stage::Tag) {
            self.kept_attributes();
        }
        let depth = self.open.len();
        self.held.retain(|held| held.depth != depth);
        let Some(open) = self.open.pop() else { return };
        match open.stage {
            Stage::Tag => self.out.push_str("/>\n"),
            Stage::Text | Stage::Children => {
                if open.stage == Stage::Children {
                    self.indent();
                }
                self.out.push_str("</");
                self.out.extend_from_within(open.name);
                self.out.push_str(">\n");
            }
        }
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.open.len()));
    }

    /// The parent's start tag ends, a line begins.
    fn begin_line(&mut self) {
        self.leave_tag(Stage::Children);
        self.indent();
    }

    fn leave_tag(&mut self, next: Stage) {
        if self.open.last().is_none_or(|open| open.stage != Stage::Tag) {
            return;
        }
        self.kept_attributes();
        self.out.push('>');
        if next == Stage::Children {
            self.out.push('\n');
        }
        if let Some(open) = self.open.last_mut() {
            open.stage = next;
        }
    }

    fn kept_attributes(&mut self) {
        for what in self.kept_here(|what| matches!(what, KeptWhat::Attribute { .. })) {
            if let KeptWhat::Attribute {
                name,
                namespace,
                value,
            } = what
            {
                if let (Some((prefix, _)), Some(uri)) = (name.split_once(':'), namespace) {
                    self.namespace(prefix, &uri);
                }
                self.attribute(&name, value);
            }
        }
    }

    /// What is kept for the element opened last.
    fn kept_here(&self, wanted: impl Fn(&KeptWhat) -> bool) -> Vec<KeptWhat> {
        let here = |held: &Held, path: &[Step]| {
            let below = &self.open[held.depth..];
            below.len() == path.len()
                && below.iter().zip(path).all(|(open, step)| {
                    open.nth == step.nth && local(&self.out[open.name.clone()]) == step.name
                })
        };
        let kept = self
            .held
            .iter()
            .flat_map(|held| held.kept.iter().filter(move |kept| here(held, &kept.path)));
        kept.filter(|kept| wanted(&kept.what))
            .map(|kept| kept.what.clone())
            .collect()
    }

    /// Counts a child that is about to be opened; only while something is held.
    fn count_child(&mut self, name: &str) -> u32 {
        let (false, Some(parent)) = (self.held.is_empty(), self.open.last_mut()) else {
            return 0;
        };
        match parent.counts.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                parent.counts.push((name.to_owned(), 0));
                0
            }
        }
    }
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}
