//! The text as a tree in which every node knows its line and column. The limits are those of a service that reads
//! documents of strangers: no DTD (hence no entities), 200,000 nodes, and those of `guard`.

use crate::error::XmlError;
use crate::guard;

/// Largest number of nodes (elements, texts, comments).
pub(crate) const NODE_LIMIT: u32 = 200_000;

/// Where lines begin, made once: looking a position up costs a binary search.
#[derive(Debug)]
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    fn new(text: &'t str) -> Self {
        let after = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// Line and column (in characters), both from 1.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let before = self
            .text
            .get(start..offset)
            .map_or(0, |piece| piece.chars().count());
        (line as u32, before as u32 + 1)
    }
}

/// A well-formed document within the limits.
pub(crate) struct Tree<'t> {
    pub(crate) document: roxmltree::Document<'t>,
    pub(crate) lines: LineIndex<'t>,
}

impl<'t> Tree<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, XmlError> {
        let lines = LineIndex::new(text);
        guard::check(text, |offset| lines.position(offset))?;
        let options = roxmltree::ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODE_LIMIT,
            ..Default::default()
        };
        let document =
            roxmltree::Document::parse_with_options(text, options).map_err(|error| malformed(&error))?;
        Ok(Self { document, lines })
    }
}

fn malformed(error: &roxmltree::Error) -> XmlError {
    use roxmltree::Error;
    let at = error.pos();
    let text = match error {
        Error::UnexpectedCloseTag(open, close, _) => {
            format!("Opening and ending tag mismatch: {open} and {close}")
        }
        Error::DtdDetected => "a document type declaration is not accepted".to_owned(),
        Error::NodesLimitReached => format!("more than {NODE_LIMIT} nodes"),
        other => {
            let text = other.to_string();
            let position = format!(" at {at}");
            text.strip_suffix(&position).map(str::to_owned).unwrap_or(text)
        }
    };
    XmlError::Malformed {
        line: at.row,
        col: at.col,
        text,
    }
}
