//! What documents can hold, told by the declarations that read them: `#[derive(Xml)]` says it of each field, so a list made of
//! this cannot go stale.

use crate::element::Element;

/// One element of a document, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Names of the elements from the root on, with `/` between them.
    pub path: String,
    /// What the declaration says that it is.
    pub about: &'static str,
    /// Its attributes, each with what it is.
    pub attributes: Vec<(&'static str, &'static str)>,
    /// Does it hold text?
    pub text: bool,
    /// Does it hold what stands above already, an element like one of those around it?
    pub repeats: bool,
}

/// Collects what elements tell of themselves.
#[derive(Debug, Default)]
pub struct Shape {
    found: Vec<Described>,
    /// Places in `found` of the elements that are being described, each with the type of its inside.
    open: Vec<(usize, &'static str)>,
}

impl Shape {
    /// All elements of a document, the root first, each before what is in it.
    pub fn of<T: Element>(root: &str) -> Vec<Described> {
        let mut shape = Shape::default();
        shape.child::<T>(root, "");
        shape.found
    }

    /// The element has this attribute.
    pub fn attribute(&mut self, name: &'static str, about: &'static str) {
        if let Some(at) = self.at() {
            let known = &mut self.found[at].attributes;
            if !known.iter().any(|(other, _)| *other == name) {
                known.push((name, about));
            }
        }
    }

    /// The element holds text.
    pub fn text(&mut self) {
        if let Some(at) = self.at() {
            self.found[at].text = true;
        }
    }

    /// The element holds such an element.
    pub fn child<T: Element>(&mut self, name: &str, about: &'static str) {
        let kind = std::any::type_name::<T>();
        let repeats = self.open.iter().any(|(_, open)| *open == kind);
        self.inside(name, about, kind, |shape| match repeats {
            true => shape.repeat(),
            false => T::shape(shape),
        });
    }

    /// The element holds one that is there for the sake of one attribute.
    pub fn child_attribute(&mut self, name: &str, attribute: &'static str, about: &'static str) {
        self.inside(name, about, "", |shape| shape.attribute(attribute, about));
    }

    /// The element holds one that says nothing but that it is there.
    pub fn flag(&mut self, name: &str, about: &'static str) {
        self.inside(name, about, "", |_| {});
    }

    /// The element holds one around a list.
    pub fn around(&mut self, name: &str, list: impl FnOnce(&mut Shape)) {
        self.inside(name, "", "", list);
    }

    fn repeat(&mut self) {
        if let Some(at) = self.at() {
            self.found[at].repeats = true;
        }
    }

    fn at(&self) -> Option<usize> {
        self.open.last().map(|(at, _)| *at)
    }

    fn inside(&mut self, name: &str, about: &'static str, kind: &'static str, tell: impl FnOnce(&mut Shape)) {
        let path = match self.at() {
            Some(at) => format!("{}/{name}", self.found[at].path),
            None => name.to_owned(),
        };
        // Variants of one element may have children of one name.
        let known = self.found.iter().position(|other| other.path == path);
        let at = known.unwrap_or(self.found.len());
        if known.is_none() {
            self.found.push(Described {
                path,
                about,
                attributes: Vec::new(),
                text: false,
                repeats: false,
            });
        }
        self.open.push((at, kind));
        tell(self);
        self.open.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Xml;

    #[derive(Debug, PartialEq, Xml)]
    struct Card {
        /// What it is
        /// on the wire.
        #[xml(attr = "type")]
        kind: String,
        /// Its title.
        title: Option<String>,
        #[xml(flatten)]
        place: Place,
        /// On or off.
        #[xml(flag)]
        on: bool,
        /// Rules.
        #[xml(within = "rules", name = "rule")]
        rules: Vec<Rule>,
        /// What is behind it.
        behind: Option<Box<Card>>,
        #[xml(any)]
        any: Vec<Either>,
    }

    #[derive(Debug, PartialEq, Xml)]
    struct Place {
        /// Its name.
        #[xml(child = "alias", attr = "name")]
        alias: Option<String>,
    }

    #[derive(Debug, PartialEq, Xml)]
    #[xml(tag = "kind")]
    enum Rule {
        Plain,
        Timed(Timed),
    }

    #[derive(Debug, PartialEq, Xml)]
    struct Timed {
        /// Seconds.
        #[xml(attr)]
        after: u32,
    }

    #[derive(Debug, PartialEq, Xml)]
    #[xml(choice)]
    enum Either {
        /// One.
        One(Timed),
        /// The other.
        Other,
    }

    #[test]
    fn a_declaration_says_what_a_document_can_hold() {
        let told: Vec<String> = Shape::of::<Card>("card")
            .into_iter()
            .map(|one| {
                let attributes: Vec<String> = one
                    .attributes
                    .iter()
                    .map(|(name, about)| format!("@{name}: {about}"))
                    .collect();
                let marks = [(one.text, "text"), (one.repeats, "again")];
                let marks = marks
                    .into_iter()
                    .filter(|(set, _)| *set)
                    .map(|(_, mark)| mark.to_owned());
                let rest: Vec<String> = attributes.into_iter().chain(marks).collect();
                format!("{} ({}) {}", one.path, one.about, rest.join(", "))
            })
            .collect();
        let expected = [
            "card () @type: What it is on the wire.",
            "card/title (Its title.) text",
            "card/alias (Its name.) @name: Its name.",
            "card/on (On or off.) ",
            "card/rules () ",
            "card/rules/rule (Rules.) @kind: Which of its kinds., @after: Seconds.",
            "card/behind (What is behind it.) again",
            "card/One (One.) @after: Seconds.",
            "card/Other (The other.) ",
        ];
        let expected: Vec<String> = expected
            .iter()
            .map(|line| line.replace("/One", "/one").replace("/Other", "/other"))
            .collect();
        assert_eq!(told, expected);
    }
}
