//! `ferrovirt`: the tool of the people who write hooks. See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrovirt_cli::main()
}
