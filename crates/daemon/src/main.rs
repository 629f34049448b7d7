//! `ferrovirtd`: the program. Everything is in the library, so that tests can reach it.

/// Start the daemon, wait for its end and pass on its exit status.
fn main() -> std::process::ExitCode {
    ferrovirt_daemon::lifecycle::main()
}
