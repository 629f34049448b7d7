//! A world for real scripts: a hooks directory, an engine, and everything that was logged.

mod keeper;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use ferrovirt_hook::{Call, Driver, Engine, EngineConfig, GuestOperation, HookError, HookEvent, Report};
pub use keeper::keeper_program;
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What was logged by all tests of the program: level, target, message.
static LOG: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

struct Recorder;

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Other fields would be shown beside the text: there are none.
        assert_eq!(field.name(), "message");
        self.0 = format!("{value:?}");
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        if !event.metadata().target().starts_with("vir") {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        LOG.lock().unwrap().push((
            *event.metadata().level(),
            event.metadata().target().to_owned(),
            message.0,
        ));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A hooks directory and its engine.
pub struct World {
    pub dir: TempDir,
    pub engine: Engine,
    pub config: EngineConfig,
}

impl World {
    /// A world whose scripts are there before the engine.
    pub fn with(scripts: &[(&str, &str)]) -> World {
        World::changed(scripts, |_| {})
    }

    /// The same with other settings.
    pub fn changed(scripts: &[(&str, &str)], change: impl FnOnce(&mut EngineConfig)) -> World {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Recorder).unwrap());
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hooks")).unwrap();
        let mut config = EngineConfig::new(dir.path().join("hooks"), keeper_program());
        change(&mut config);
        for (name, body) in scripts {
            put(&config.hooks_dir, name, body, 0o755);
        }
        let engine = Engine::new(config.clone());
        World { dir, engine, config }
    }

    /// A path in the hooks directory.
    pub fn hook(&self, name: &str) -> PathBuf {
        self.config.hooks_dir.join(name)
    }

    /// A path for the scripts to write to: `$(dirname "$0")/../NAME`, or beside the `.d` directory one further up.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The content of such a file; empty when there is none.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Adds or replaces a script.
    pub fn put(&self, name: &str, body: &str, mode: u32) {
        put(&self.config.hooks_dir, name, body, mode);
    }

    /// Calls `qemu g1 prepare begin -` with this document.
    pub async fn prepare(&self, document: &str) -> Result<Report, HookError> {
        self.engine.call(prepare(Some(document))).await
    }

    /// What was logged about this world: level and message.
    pub fn log(&self) -> Vec<(Level, String)> {
        self.log_with_targets()
            .into_iter()
            .map(|(level, _, message)| (level, message))
            .collect()
    }

    /// The same with targets.
    pub fn log_with_targets(&self) -> Vec<(Level, String, String)> {
        let here = self.dir.path().to_str().unwrap();
        LOG.lock()
            .unwrap()
            .iter()
            .filter(|(_, _, message)| message.contains(here))
            .cloned()
            .collect()
    }

    /// Messages of one level.
    pub fn logged(&self, wanted: Level) -> Vec<String> {
        self.log()
            .into_iter()
            .filter(|(level, _)| *level == wanted)
            .map(|(_, message)| message)
            .collect()
    }
}

/// Everything about a script file, the body being what follows `#!/bin/sh`, unless it begins with its own `#!`.
fn put(hooks: &Path, name: &str, body: &str, mode: u32) {
    let path = hooks.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = if body.starts_with("#!") {
        body.to_owned()
    } else {
        format!("#!/bin/sh\n{body}\n")
    };
    // A new file by rename: one that is still open for writing cannot be executed.
    let new = hooks
        .parent()
        .unwrap()
        .join(format!("new-{}", name.replace('/', "_")));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(new, path).unwrap();
}

/// `qemu g1 prepare begin -`.
pub fn prepare(document: Option<&str>) -> Call {
    let event = HookEvent::guest(Driver::Qemu, "g1", GuestOperation::Prepare).unwrap();
    Call::new(event, document.map(Arc::from))
}

/// Waits until the condition holds, up to 10 s.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain until {what}");
}

/// The environment as errors show it.
pub fn shown_environment() -> String {
    let names = [
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
    ];
    let mut text = "LC_ALL=C".to_owned();
    for name in names {
        if let Ok(value) = std::env::var(name) {
            let plain = value
                .chars()
                .all(|c| c.is_alphanumeric() || "/:.-_+,=@%".contains(c))
                && !value.is_empty();
            let value = if plain { value } else { format!("'{value}'") };
            text.push_str(&format!(" {name}={value}"));
        }
    }
    text
}
