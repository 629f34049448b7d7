//! What a guest's scope is called: the name that systemd's machine registry gives it, as scripts find it on machines that
//! run libvirt.

/// The longest name of a machine.
const LONGEST: usize = 64;

/// `machine-qemu\x2d1\x2dweb1.scope`.
pub(super) fn of_scope(driver: &str, id: i32, guest: &str) -> String {
    format!("machine-{}.scope", escape(&of_machine(driver, id, guest)))
}

/// `qemu-1-web1`: what a host name may have, other characters left out.
fn of_machine(driver: &str, id: i32, guest: &str) -> String {
    let mut name = format!("{driver}-{id}-");
    for character in guest.chars() {
        let separator = matches!(character, '-' | '.');
        let allowed = character.is_ascii_alphanumeric() || separator;
        // Not two separators in a row.
        if allowed && !(separator && name.ends_with(['-', '.'])) && name.len() < LONGEST {
            name.push(character);
        }
    }
    name.truncate(name.trim_end_matches(['-', '.']).len());
    name
}

/// What is special in the name of a unit, as `\xNN`.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':' | b'.' => escaped.push(byte.into()),
            other => escaped.push_str(&format!("\\x{other:02x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r15_scopes_are_called_as_systemd_calls_them() {
        let cases = [
            ("web1", r"machine-qemu\x2d1\x2dweb1.scope"),
            ("a-b.c", r"machine-qemu\x2d1\x2da\x2db.c.scope"),
            ("a b'c_d", r"machine-qemu\x2d1\x2dabcd.scope"),
            ("-x--y..", r"machine-qemu\x2d1\x2dx\x2dy.scope"),
            ("\u{e4}", r"machine-qemu\x2d1.scope"),
        ];
        for (guest, scope) in cases {
            assert_eq!(of_scope("qemu", 1, guest), scope);
        }
        assert_eq!(of_machine("qemu", 1, &"x".repeat(100)).len(), LONGEST);
    }
}
