//! `<capability type='drm'>`: a node of a graphics card.

use ferrovirt_xml::Xml;

/// A node of a graphics card.
#[derive(Debug, Clone, PartialEq, Eq, Xml)]
pub struct DrmCapability {
    /// `primary`, `control` or `render`.
    #[xml(name = "type")]
    pub kind: String,
}
