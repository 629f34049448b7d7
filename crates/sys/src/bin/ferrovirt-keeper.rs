//! Holds hook scripts for the daemon; see `ferrovirt_sys::keeper`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrovirt_sys::keeper::main()
}
