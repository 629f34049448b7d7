//! The environment of a script (R8), and how a call is written in an error (R13).

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What is passed on where the daemon has it, in the order in which errors show it.
const PASSED_ON: [&str; 7] = [
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
];

/// Characters for which a shell would need quotes.
const SPECIAL: &str = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";

/// The whole environment of a script: `LC_ALL=C`, and what the daemon has of a few others.
pub(crate) fn environment(daemon_s: impl Fn(&str) -> Option<OsString>) -> Vec<(OsString, OsString)> {
    let fixed = [("LC_ALL".into(), "C".into())];
    let passed_on = PASSED_ON
        .iter()
        .filter_map(|name| Some((OsString::from(name), daemon_s(name)?)));
    fixed.into_iter().chain(passed_on).collect()
}

/// `LC_ALL=C PATH=/bin /etc/libvirt/hooks/qemu g1 prepare begin -`, quoted as for a shell.
pub(crate) fn command_line(env: &[(OsString, OsString)], script: &Path, args: &[OsString]) -> String {
    let env = env
        .iter()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), quoted(value)));
    let words = [script.as_os_str()]
        .into_iter()
        .chain(args.iter().map(OsString::as_os_str))
        .map(quoted);
    env.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    if !word.is_empty() && !word.contains(|c| SPECIAL.contains(c)) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(env: &[(OsString, OsString)]) -> Vec<String> {
        env.iter()
            .map(|(n, v)| format!("{}={}", n.to_str().unwrap(), v.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn r8_the_environment_is_fixed_and_in_order() {
        let all = environment(|name| Some(name.to_lowercase().into()));
        let expected = [
            "LC_ALL=C",
            "LD_LIBRARY_PATH=ld_library_path",
            "LD_PRELOAD=ld_preload",
            "PATH=path",
            "HOME=home",
            "USER=user",
            "LOGNAME=logname",
            "TMPDIR=tmpdir",
        ];
        assert_eq!(plain(&all), expected);
        let some = environment(|name| (name == "HOME").then(|| "/root".into()));
        assert_eq!(plain(&some), ["LC_ALL=C", "HOME=/root"]);
        assert_eq!(plain(&environment(|_| None)), ["LC_ALL=C"]);
    }

    #[test]
    fn r13_the_call_is_written_as_a_shell_would_need_it() {
        let env = environment(|name| (name == "HOME").then(|| "/my home".into()));
        let args = ["it's", "release", "end", "from snapshot", ""].map(OsString::from);
        assert_eq!(
            command_line(&env, "/h/qemu".as_ref(), &args),
            r"LC_ALL=C HOME='/my home' /h/qemu 'it'\''s' release end 'from snapshot' ''"
        );
        for plain in ["-", "a-b_c.d", "ä", "a=b", "100%", "x,y:z/@+"] {
            assert_eq!(quoted(plain), plain);
        }
        for special in SPECIAL.chars().filter(|c| *c != '\'') {
            assert_eq!(quoted(format!("a{special}b")), format!("'a{special}b'"));
        }
    }
}
