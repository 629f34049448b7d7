//! Hook scripts that write down how they are called, and do what a test tells them.

use std::path::Path;
use std::time::Duration;

use crate::world::{World, write};

/// Installed as a hook. Each call is a line in `calls` (`> HOOK ARGS` at the begin, `< HOOK ARGS` at the
/// end), its stdin a file below `stdin/`. A rule is shell text that is sourced in between and sees `$1` to
/// `$4` and `$hook`.
const RECORDER: &str = r#"#!/bin/sh
d=/run/world
hook=${0#/etc/libvirt/hooks/}
key=$(printf '%s' "$hook $*" | tr / _)
mkdir -p $d/stdin
cat > "$d/stdin/$$"
mv "$d/stdin/$$" "$d/stdin/$key"
echo "> $hook $*" >> $d/calls
trap 'echo "! $hook $*" >> $d/calls; trap - EXIT; exit 143' TERM
trap 'echo "< $hook $*" >> $d/calls' EXIT
[ ! -e $d/rule ] || . $d/rule
"#;

impl World {
    /// Installs the recorder as these hooks.
    pub fn record(&self, hooks: &[&str]) {
        for hook in hooks {
            self.hook(hook, RECORDER);
        }
    }

    /// Installs a hook of one's own.
    pub fn hook(&self, name: &str, text: &str) {
        write(&Path::new("/etc/libvirt/hooks").join(name), text, 0o755);
    }

    /// What recorded hooks shall do from now on: shell text with `$hook`, `$1` (object), `$2` (operation).
    pub fn rule(&self, text: &str) {
        let new = self.dir.join("rule.new");
        write(&new, text, 0o644);
        std::fs::rename(new, self.dir.join("rule")).expect("a file can be renamed");
    }

    /// Rules of `/etc/ferrovirt/hooks.d`, for a daemon that starts later or is told to reload.
    pub fn rules(&self, text: &str) {
        write(Path::new("/etc/ferrovirt/hooks.d/10-test.toml"), text, 0o644);
    }

    /// The calls so far, in order: `HOOK OBJECT OPERATION SUB EXTRA`.
    pub fn calls(&self) -> Vec<String> {
        self.read("calls")
            .lines()
            .filter_map(|line| line.strip_prefix("> "))
            .map(str::to_owned)
            .collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        let _ = std::fs::remove_file(self.dir.join("calls"));
    }

    /// What the last such call got on stdin.
    pub fn document(&self, call: &str) -> String {
        self.read(format!("stdin/{}", call.replace('/', "_")))
    }

    /// Waits until a call has begun.
    pub fn wait_called(&self, call: &str) {
        self.wait_for(call, Duration::from_secs(30), || {
            self.calls().iter().any(|c| c == call)
        });
    }

    /// Waits until a call has ended.
    pub fn wait_ended(&self, call: &str) {
        let line = format!("< {call}");
        self.wait_for(&line, Duration::from_secs(30), || {
            self.read("calls").lines().any(|l| l == line)
        });
    }

    /// The calls so far must be these.
    ///
    /// # Panics
    /// When they are others.
    #[track_caller]
    pub fn assert_calls(&self, expected: &[&str]) {
        assert_eq!(self.calls(), expected);
    }
}
