//! Devices of a running container.

use ferrovirt_guest::{BackendError, Plug, Run};
use ferrovirt_model::domain::{Device, Domain};

use crate::backend::LxcBackend;
use crate::container::Container;

fn not_yet() -> BackendError {
    BackendError::Unsupported("devices of a running container cannot be changed".to_owned())
}

impl Plug for LxcBackend {
    async fn fit(&self, _doc: &Domain, _device: &mut Device) -> Result<(), BackendError> {
        Err(not_yet())
    }

    async fn attach(
        &self,
        _guest: &Container,
        _run: &mut Run,
        _device: &mut Device,
    ) -> Result<(), BackendError> {
        Err(not_yet())
    }

    async fn detach(
        &self,
        _guest: &Container,
        _run: &mut Run,
        _device: &Device,
    ) -> Result<bool, BackendError> {
        Err(not_yet())
    }

    async fn withdraw(&self, _guest: &Container, _run: &mut Run, _device: &Device) {}

    async fn update(&self, _guest: &Container, _from: &Device, _to: &mut Device) -> Result<(), BackendError> {
        Err(not_yet())
    }

    async fn present(&self, _guest: &Container) -> Result<Vec<String>, BackendError> {
        Err(not_yet())
    }
}
