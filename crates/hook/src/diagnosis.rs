//! Why the kernel does not execute a file, in plain words (R6, R16). The text of R13 stays libvirt's; this goes to the log
//! beside it, because `No such file or directory` about a file that is there has cost people evenings.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ferrovirt_sys::program::may_execute;

/// How much of a file is looked at: more than the kernel reads of a `#!` line.
const HEAD: u64 = 512;

/// Errors of `execve` that are explained.
const ENOENT: i32 = 2;
const ENOEXEC: i32 = 8;
const EACCES: i32 = 13;

/// What is wrong with `script`, for which `execve` gave `errno`; nothing when there is nothing to add.
pub(crate) fn explain(script: &Path, errno: i32) -> Option<String> {
    let mut head = Vec::new();
    // What cannot be read may be executed all the same: the kernel's word then stands alone.
    let readable = fs::File::open(script)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .is_ok();
    let said = if readable {
        explain_content(&head, errno)
    } else {
        None
    };
    said.or_else(|| {
        if errno == EACCES {
            Some(explain_denial(Path::new("/")))
        } else {
            None
        }
    })
}

fn explain_content(head: &[u8], errno: i32) -> Option<String> {
    if head.is_empty() {
        return (errno == ENOEXEC).then(|| "the file is empty".to_owned());
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return explain_binary(head, errno);
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        let name = String::from_utf8_lossy(line).trim().to_owned();
        return Some(format!(
            "its first line ends with a carriage return (CRLF, the line ends of Windows), so the interpreter that is \
             looked for is not '{name}'; remove it with: sed -i 's/\\r$//' FILE"
        ));
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let interpreter = line
        .split(blank)
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    if interpreter.is_empty() {
        return Some("its first line is #! without an interpreter".to_owned());
    }
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(interpreter));
    match errno {
        ENOENT if !path.exists() => Some(format!("its interpreter {} does not exist", path.display())),
        EACCES if path.exists() && (!path.is_file() || !may_execute(&path)) => {
            Some(format!("its interpreter {} is not executable", path.display()))
        }
        _ => None,
    }
}

fn explain_binary(head: &[u8], errno: i32) -> Option<String> {
    let elf = head.starts_with(b"\x7fELF");
    match (errno, elf) {
        (ENOENT, true) => {
            Some("it is a program whose dynamic loader does not exist on this machine".to_owned())
        }
        (ENOEXEC, true) => Some("it is a program for another kind of machine, or it is damaged".to_owned()),
        (ENOEXEC, false) => Some("it is a script without a first line like #!/bin/sh".to_owned()),
        _ => None,
    }
}

/// A denial whose reason is not in the file. `root` is where `/sys` and `/proc` are found.
fn explain_denial(root: &Path) -> String {
    let says = |path: &str, wanted: &str| {
        fs::read_to_string(root.join(path)).is_ok_and(|text| text.trim() == wanted)
    };
    let profile = fs::read_to_string(root.join("proc/self/attr/current")).unwrap_or_default();
    let profile = profile.trim_matches(['\0', '\n', ' ']);
    if says("sys/fs/selinux/enforce", "1") {
        format!(
            "SELinux is enforcing and may have denied it (this daemon runs as {profile}): see the audit log"
        )
    } else if says("sys/module/apparmor/parameters/enabled", "Y")
        && !profile.is_empty()
        && profile != "unconfined"
    {
        format!("AppArmor confines this daemon ({profile}) and may have denied it: see the audit log")
    } else {
        "the kernel denied it: its file system may be mounted noexec, or a directory above it closed to this user"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(content: &str, errno: i32) -> Option<String> {
        explain_content(content.as_bytes(), errno)
    }

    #[test]
    fn r6_carriage_returns_are_said_plainly() {
        let text = explained("#!/bin/sh\r\nexit 0\r\n", ENOENT).unwrap();
        assert!(
            text.starts_with("its first line ends with a carriage return (CRLF,"),
            "{text}"
        );
        assert!(text.contains("not '/bin/sh'"), "{text}");
    }

    #[test]
    fn r6_missing_interpreters_are_named() {
        let text = explained("#! /no/such/python3 -u\n", ENOENT).unwrap();
        assert_eq!(text, "its interpreter /no/such/python3 does not exist");
        assert_eq!(explained("#!/bin/sh\n", ENOENT), None);
        assert_eq!(
            explained("#!\t\n", ENOENT).unwrap(),
            "its first line is #! without an interpreter"
        );
        assert_eq!(
            explained("#!/etc/passwd\n", EACCES).unwrap(),
            "its interpreter /etc/passwd is not executable"
        );
        assert_eq!(
            explained("#!/etc\n", EACCES).unwrap(),
            "its interpreter /etc is not executable"
        );
        assert_eq!(explained("#!/bin/sh\n", EACCES), None);
        assert_eq!(explained("#!/no/such\n", EACCES), None);
    }

    #[test]
    fn r6_files_of_no_format_are_told_apart() {
        assert_eq!(explained("", ENOEXEC).unwrap(), "the file is empty");
        assert_eq!(explained("", EACCES), None);
        let no_line = "it is a script without a first line like #!/bin/sh";
        assert_eq!(explained("exit 0\n", ENOEXEC).unwrap(), no_line);
        assert_eq!(explained("exit 0\n", EACCES), None);
        let other = "it is a program for another kind of machine, or it is damaged";
        assert_eq!(explained("\x7fELFxx", ENOEXEC).unwrap(), other);
        let loader = "it is a program whose dynamic loader does not exist on this machine";
        assert_eq!(explained("\x7fELFxx", ENOENT).unwrap(), loader);
    }

    #[test]
    fn r16_denials_name_who_may_have_denied() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(explain_denial(root.path()).contains("noexec"));
        put("sys/module/apparmor/parameters/enabled", "Y\n");
        assert!(explain_denial(root.path()).contains("noexec"));
        put("proc/self/attr/current", "unconfined\n");
        assert!(explain_denial(root.path()).contains("noexec"));
        put("proc/self/attr/current", "ferrovirtd (enforce)\n");
        assert_eq!(
            explain_denial(root.path()),
            "AppArmor confines this daemon (ferrovirtd (enforce)) and may have denied it: see the audit log"
        );
        put("sys/fs/selinux/enforce", "0");
        assert!(explain_denial(root.path()).starts_with("AppArmor"));
        put("sys/fs/selinux/enforce", "1");
        put("proc/self/attr/current", "system_u:system_r:virtd_t:s0\0");
        assert_eq!(
            explain_denial(root.path()),
            "SELinux is enforcing and may have denied it (this daemon runs as system_u:system_r:virtd_t:s0): \
             see the audit log"
        );
    }

    #[test]
    fn r6_files_are_looked_at_and_what_cannot_be_read_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qemu");
        fs::write(&path, "#!/no/such\n").unwrap();
        assert_eq!(
            explain(&path, ENOENT).unwrap(),
            "its interpreter /no/such does not exist"
        );
        assert!(explain(&path, EACCES).unwrap().contains("noexec"));
        assert_eq!(explain(&dir.path().join("none"), ENOENT), None);
    }
}
