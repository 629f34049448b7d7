//! Starts a program that outlives the daemon; see `ferrovirt_sys::launch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrovirt_sys::launch::main()
}
