//! `<idmap>`: which users and groups of the host those of a container are.

use ferrovirt_xml::Xml;

/// Consecutive numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Xml)]
pub struct IdRange {
    /// First number inside.
    #[xml(attr)]
    pub start: u32,
    /// First number on the host.
    #[xml(attr)]
    pub target: u32,
    /// How many.
    #[xml(attr)]
    pub count: u32,
}

/// `<idmap>`; `normalize` sorts both lists by their first number inside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Xml)]
pub struct IdMap {
    /// Users.
    #[xml(name = "uid")]
    pub uids: Vec<IdRange>,
    /// Groups.
    #[xml(name = "gid")]
    pub gids: Vec<IdRange>,
}
