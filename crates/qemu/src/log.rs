//! What stands in a guest's log before QEMU's own words.

use ferrovirt_guest::log::now;

use crate::capabilities::Emulator;

/// What is started: one line about whom, then environment and command line, ready to paste into a shell.
#[must_use]
pub fn header(emulator: &Emulator, hostname: &str, env: &[(String, String)], args: &[String]) -> String {
    let (major, minor, micro) = emulator.version;
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!(
        "{}: starting up ferrovirt version: {}, qemu version: {major}.{minor}.{micro}{}, kernel: {kernel}, hostname: {hostname}\n",
        now(),
        env!("CARGO_PKG_VERSION"),
        emulator.package,
    );
    for (name, value) in env {
        text += &format!("{name}={} \\\n", quoted(value));
    }
    text += &quoted(&emulator.path.display().to_string());
    for arg in args {
        text += if arg.starts_with('-') { " \\\n" } else { " " };
        text += &quoted(arg);
    }
    text + "\n"
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+,-./:=@_%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_the_header_can_be_pasted_into_a_shell() {
        let emulator = crate::testing::emulator();
        let env = [("LC_ALL".to_owned(), "C".to_owned())];
        let args = ["-name", "guest=it's", "-S", "-device", "{\"driver\":\"x\"}"].map(str::to_owned);
        let text = header(&emulator, "host", &env, &args);
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.contains("starting up ferrovirt version: "), "{first}");
        assert!(first.contains("qemu version: 10.0.2Debian"), "{first}");
        assert_eq!(
            rest,
            "LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name 'guest=it'\\''s' \\\n-S \\\n-device '{\"driver\":\"x\"}'\n"
        );
    }
}
