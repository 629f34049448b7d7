//! The controller of one container; see `ferrovirt_lxc::controller`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrovirt_sys::launch::main_of("ferrovirt-lxc", ferrovirt_lxc::controller::main)
}
