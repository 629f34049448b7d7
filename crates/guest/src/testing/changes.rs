//! What the double of a hypervisor does with limits and devices of its guests.

use std::sync::Arc;

use ferrovirt_model::domain::{Device, Domain, InterfaceTarget};

use super::{FakeBackend, FakeGuest};
use crate::backend::{Plug, Tune};
use crate::error::BackendError;
use crate::run::Run;
use crate::status::Step;
use crate::tuning::Tuned;

/// Names that guests of the double have at most.
const NAMES: usize = 10;

impl FakeBackend {
    /// From now on guests have no device of this name.
    pub fn miss(&self, alias: &str) {
        self.orders().missing.push(alias.to_owned());
    }

    /// From now on guests do not let go of devices by themselves.
    pub fn cling(&self) {
        self.orders().clings = true;
    }
}

impl Tune for FakeBackend {
    async fn tune(&self, _: &FakeGuest, from: &Domain, to: &mut Domain) -> Result<(), BackendError> {
        let shares = |doc: &Domain| doc.cputune.as_ref().and_then(|tune| tune.shares).unwrap_or(0);
        self.step("tune").await?;
        self.trace
            .add(&format!("shares {} to {}", shares(from), shares(to)));
        Ok(())
    }

    async fn tuned(&self, _: &FakeGuest, doc: &Arc<Domain>) -> Result<Tuned, BackendError> {
        self.step("tuned").await?;
        let mut tuned = Tuned::of(doc);
        tuned.cpu.shares.get_or_insert(1024);
        Ok(tuned)
    }
}

impl Plug for FakeBackend {
    async fn fit(&self, doc: &Domain, device: &mut Device) -> Result<(), BackendError> {
        self.step("fit").await?;
        match device {
            Device::Disk(disk) => disk.info.alias = Some(format!("virtio-disk{}", doc.devices.disks.len())),
            Device::Interface(card) => {
                card.info.alias = Some(format!("net{}", doc.devices.interfaces.len()));
            }
            Device::Filesystem(_) | Device::Hostdev(_) | Device::Other(_) => {
                let text = format!("live attach of device '{}' is not supported", device.kind());
                return Err(BackendError::NotSupported(text));
            }
        }
        Ok(())
    }

    async fn attach(&self, _: &FakeGuest, run: &mut Run, device: &mut Device) -> Result<(), BackendError> {
        let alias = device.alias().unwrap_or_default().to_owned();
        run.journal(Step::new("tap").with("dev", alias.clone())).await?;
        self.step(&format!("attach {alias}")).await?;
        if let Device::Interface(card) = device {
            card.target = Some(InterfaceTarget {
                dev: Some("vnet42".to_owned()),
                ..InterfaceTarget::default()
            });
        }
        Ok(())
    }

    async fn detach(&self, _: &FakeGuest, _: &mut Run, device: &Device) -> Result<bool, BackendError> {
        self.step(&format!("detach {}", device.alias().unwrap_or_default()))
            .await?;
        Ok(!self.orders().clings)
    }

    async fn withdraw(&self, _: &FakeGuest, run: &mut Run, device: &Device) {
        let alias = device.alias().unwrap_or_default();
        // What is undone cannot fail.
        let _ = self.step(&format!("withdraw {alias}")).await;
        for step in run.steps().iter().filter(|step| step.get("dev") == alias) {
            run.undone(step);
        }
    }

    async fn update(&self, _: &FakeGuest, _: &Device, to: &mut Device) -> Result<(), BackendError> {
        self.step(&format!("update {}", to.alias().unwrap_or_default()))
            .await
    }

    async fn present(&self, _: &FakeGuest, _: &Run) -> Result<Vec<String>, BackendError> {
        let missing = self.orders().missing.clone();
        let names = (0..NAMES).flat_map(|n| [format!("net{n}"), format!("virtio-disk{n}")]);
        Ok(names.filter(|name| !missing.contains(name)).collect())
    }
}
