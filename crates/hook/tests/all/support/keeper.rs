//! Where tests find the keeper.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The keeper beside this test program, built if it is missing.
pub fn keeper_program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(find_keeper).clone()
}

fn find_keeper() -> PathBuf {
    let find = || ferrovirt_sys::program::find_helper("ferrovirt-keeper");
    if let Some(path) = find() {
        return path;
    }
    let me = std::env::current_exe().unwrap();
    let target = me.ancestors().nth(3).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "-p", "ferrovirt-sys", "--bins", "--target-dir"])
        .arg(target)
        .status()
        .unwrap();
    assert!(status.success());
    find().expect("cargo has just built it")
}
