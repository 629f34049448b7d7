//! Undoing a run, from its journal: idempotent, goes on after what cannot be undone, and says what that was.

use ferrovirt_guest::log::GuestLog;
use ferrovirt_guest::{ReleaseStage, Run};
use ferrovirt_model::domain::{DiskDevice, Domain, GENERATED_PREFIX};
use ferrovirt_sys::cgroup::Scope;

use crate::config::QemuConfig;
use crate::live::socket::{Ports, forget_displays};
use crate::places::Places;
use crate::{launch, ownership, prepare};

/// The reason of an end that nobody asked for.
const CRASHED: &str = "crashed";

/// What QEMU could not write any more.
const OOM: &str =
    "killed by the kernel's OOM killer: the host or the guest's control group had no memory left";

/// One half of the release.
pub fn release(run: &mut Run, stage: ReleaseStage, config: &QemuConfig, ports: &Ports, reason: &str) {
    match stage {
        ReleaseStage::Gone => gone(run, config, ports, reason),
        ReleaseStage::Labels => labels(run),
    }
}

fn gone(run: &mut Run, config: &QemuConfig, ports: &Ports, reason: &str) {
    for step in run.steps().iter().filter(|step| step.kind == prepare::STEP) {
        let log = GuestLog::of(&config.log_dir, run.name());
        let scope = launch::scope_of(run);
        if reason == CRASHED && scope.as_ref().is_some_and(|scope| scope.oom_kills() > 0) {
            log.line(OOM);
        }
        log.line(&format!("shutting down, reason={reason}"));
        Places::of_run(config, run).remove();
        if let Some(scope) = scope {
            remove_scope(&scope);
        }
        forget_displays(&mut run.doc, ports);
        run.undone(step);
    }
    forget_run(&mut run.doc);
}

/// The control group goes with the last process in it. Nobody is killed here: another daemon, in namespaces of
/// its own, may have a guest of the same name and number.
fn remove_scope(scope: &Scope) {
    if let Err(error) = scope.remove() {
        tracing::warn!("cannot remove control group {}: {error}", scope.name);
    }
}

/// What a document loses with its process: taps, images' numbers of drives without a disk, chains that were found.
fn forget_run(doc: &mut Domain) {
    for interface in &mut doc.devices.interfaces {
        if interface
            .target_dev()
            .is_some_and(|dev| dev.starts_with(GENERATED_PREFIX))
        {
            interface.target = None;
        }
        if let Some(source) = interface
            .source
            .as_mut()
            .filter(|source| source.network.is_some())
        {
            source.portid = None;
            source.bridge = None;
        }
    }
    for disk in &mut doc.devices.disks {
        if disk.backing_store.as_ref().is_some_and(|store| store.detected) {
            disk.backing_store = None;
        }
        let empty = disk.source.as_ref().is_none_or(|source| source.path().is_none());
        if empty && disk.device != DiskDevice::Disk {
            disk.source = None;
            if let Some(driver) = disk.driver.as_mut() {
                driver.format = None;
            }
        }
    }
}

fn labels(run: &mut Run) {
    for step in run.steps().iter().filter(|step| step.kind == ownership::STEP) {
        ownership::give_back(step);
        run.undone(step);
    }
    ownership::unlabel(&mut run.doc);
}
