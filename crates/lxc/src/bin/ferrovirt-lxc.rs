//! The controller of one container.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
