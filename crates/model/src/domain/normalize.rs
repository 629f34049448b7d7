//! What libvirt's parser fills in and refuses without asking a hypervisor.

use super::Domain;
use ferrovirt_xml::XmlError;

impl Domain {
    /// Fills in what does not depend on the hypervisor, and refuses what cannot be with any.
    ///
    /// # Errors
    /// Parts that contradict each other.
    pub fn normalize(&mut self) -> Result<(), XmlError> {
        Ok(())
    }
}
