//! The hypervisors of this daemon, each with its guests. What does not ask which one it is goes through [`GuestSet`].

use ferrovirt_guest::{GuestHandle, GuestSet, Guests};
use ferrovirt_hook::Driver;
use ferrovirt_lxc::LxcBackend;
use ferrovirt_qemu::QemuBackend;

/// Who there is.
pub struct Hypervisors {
    /// QEMU.
    pub qemu: Guests<QemuBackend>,
    /// Containers; only the daemon of the system has them.
    pub lxc: Option<Guests<LxcBackend>>,
}

impl Hypervisors {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &dyn GuestSet> {
        let qemu: &dyn GuestSet = &self.qemu;
        let lxc = self.lxc.as_ref().map(|set| set as &dyn GuestSet);
        [Some(qemu), lxc].into_iter().flatten()
    }

    /// The guests of one driver.
    pub fn of(&self, driver: Driver) -> Option<&dyn GuestSet> {
        self.all().find(|set| set.driver() == driver)
    }

    /// Who has a guest of this name or uuid: the first one in the order of [`Hypervisors::all`].
    pub fn find(&self, name: &str) -> Option<(Driver, GuestHandle)> {
        self.all()
            .find_map(|set| Some((set.driver(), set.by_name_or_uuid(name)?)))
    }
}
