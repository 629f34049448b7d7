//! Stands in for the QEMU backend until that crate has one; goes away then.
#![allow(missing_docs)]
use std::future::Future;
use ferrovirt_guest::{Adopted, Backend, BackendError, BackendEvent, Figures, Gone, Power, ReleaseStage, Run, ShutdownMode, Statistics, Status};
use ferrovirt_hook::Driver;
use ferrovirt_link::Links;
use ferrovirt_model::domain::Domain;
use tokio::sync::mpsc;

pub struct QemuConfig {
    pub state_dir: std::path::PathBuf, pub run_dir: std::path::PathBuf, pub log_dir: std::path::PathBuf, pub cache_dir: std::path::PathBuf,
    pub uid: u32, pub gid: u32, pub dynamic_ownership: bool, pub vnc_listen: String, pub display_ports: (u16, u16),
    pub max_files: Option<u64>, pub max_core: Option<u64>, pub launch_helper: std::path::PathBuf,
    pub emulator_dirs: Vec<std::path::PathBuf>, pub privileged: bool, pub hostname: String,
}
pub struct QemuBackend;
impl QemuBackend { pub fn new(_: QemuConfig, _: Links) -> Self { Self }
    pub async fn version(&self) -> Result<u64, BackendError> { Err(no()) }
    pub async fn capabilities(&self) -> Result<String, BackendError> { Err(no()) } }
fn no() -> BackendError { BackendError::Internal("no QEMU yet".to_owned()) }
impl Backend for QemuBackend {
    const DRIVER: Driver = Driver::Qemu;
    type Guest = ();
    fn complete(&self, _: &mut Domain) -> impl Future<Output = Result<(), BackendError>> + Send { async { Ok(()) } }
    fn prepare(&self, _: &mut Run) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn launch(&self, _: &mut Run) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn resume(&self, _: &(), _: &mut Domain) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn kill(&self, _: &(), _: bool) -> impl Future<Output = Result<(), BackendError>> + Send { async { Ok(()) } }
    fn release(&self, _: &mut Run, _: ReleaseStage) -> impl Future<Output = ()> + Send { async {} }
    fn adopt(&self, _: &Status) -> impl Future<Output = Result<Adopted<()>, Gone>> + Send { async { Err(Gone("no QEMU yet".to_owned())) } }
    fn events(&self, _: &()) -> mpsc::UnboundedReceiver<BackendEvent> { mpsc::unbounded_channel().1 }
}
impl Power for QemuBackend {
    fn suspend(&self, _: &()) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn shutdown(&self, _: &(), _: ShutdownMode) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn reboot(&self, _: &(), _: ShutdownMode) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
    fn reset(&self, _: &()) -> impl Future<Output = Result<(), BackendError>> + Send { async { Err(no()) } }
}
impl Statistics for QemuBackend {
    fn figures(&self, _: &()) -> impl Future<Output = Result<Figures, BackendError>> + Send { async { Err(no()) } }
}
