//! Guests with devices of all kinds, and what their QEMU says of itself: its arguments, and answers of a monitor of the test's own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::documents::Guest;
use crate::world::World;

/// A guest whose devices a test looks at.
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    kind: String,
    devices: String,
    parts: String,
    beyond: String,
}

impl Machine {
    /// A guest on a machine type, `pc` or `q35`.
    pub fn new(name: &str, kind: &str) -> Self {
        let [devices, parts, beyond] = [const { String::new() }; 3];
        Machine {
            name: name.to_owned(),
            kind: kind.to_owned(),
            devices,
            parts,
            beyond,
        }
    }

    /// With these devices.
    #[must_use]
    pub fn devices(mut self, xml: &str) -> Self {
        self.devices.push_str(xml);
        self
    }

    /// With these elements beside `<devices>`.
    #[must_use]
    pub fn parts(mut self, xml: &str) -> Self {
        self.parts.push_str(xml);
        self
    }

    /// With these elements of QEMU's own namespace; `<qemu:commandline>` has words for the monitor, too.
    #[must_use]
    pub fn beyond(mut self, xml: &str) -> Self {
        self.beyond.push_str(xml);
        self
    }

    /// The document.
    pub fn xml(&self) -> String {
        let Machine {
            name,
            kind,
            devices,
            parts,
            beyond,
        } = self;
        let monitor = format!(
            "<qemu:commandline><qemu:arg value='-qmp'/><qemu:arg value='unix:/run/world/{name}.qmp,server=on,wait=off'/>"
        );
        let beyond = match beyond.contains("<qemu:commandline>") {
            true => beyond.replace("<qemu:commandline>", &monitor),
            false => format!("{monitor}</qemu:commandline>{beyond}"),
        };
        Guest::new(name)
            .device(devices)
            .xml()
            .replace("<controller type='usb' model='none'/>", "")
            .replace("machine='pc'", &format!("machine='{kind}'"))
            .replace(
                "<domain type='qemu'>",
                "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
            )
            .replace("<devices>", &format!("{parts}<devices>"))
            .replace("</domain>", &format!("{beyond}</domain>"))
    }

    /// Defines and starts it.
    ///
    /// # Panics
    /// When that fails.
    #[track_caller]
    pub fn start(&self, w: &World) -> Qemu {
        let name = &self.name;
        let path = w.file(&format!("{name}.xml"), &self.xml());
        w.virsh_args(&["define", &path.display().to_string()]).ok();
        w.virsh(&format!("start {name}")).ok();
        Qemu::of(w, name)
    }
}

/// The QEMU of a running guest.
#[derive(Clone, Debug)]
pub struct Qemu {
    name: String,
    arguments: Vec<String>,
}

impl Qemu {
    /// Of the guest of this name.
    ///
    /// # Panics
    /// When it does not run.
    #[track_caller]
    pub fn of(w: &World, name: &str) -> Self {
        let pid = w.qemu_pid(name).expect("a QEMU of this guest");
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).expect("its arguments");
        let words = line.split(|byte| *byte == 0);
        let arguments = words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        Qemu {
            name: name.to_owned(),
            arguments,
        }
    }

    /// One of the arguments has all of these.
    ///
    /// # Panics
    /// When none has.
    #[track_caller]
    pub fn told(&self, parts: &[&str]) -> &Self {
        let told = { self.arguments.iter() }.any(|argument| parts.iter().all(|part| argument.contains(part)));
        assert!(told, "no argument with {parts:?} in {:#?}", self.arguments);
        self
    }

    /// A monitor's answer.
    ///
    /// # Panics
    /// When there is none, or an error.
    #[track_caller]
    pub fn ask(&self, command: &str, arguments: &Value) -> Value {
        let path = format!("/run/world/{}.qmp", self.name);
        let stream = UnixStream::connect(path).expect("the monitor");
        let mut lines = BufReader::new(stream.try_clone().expect("a second descriptor")).lines();
        let say = |words: Value| (&stream).write_all(format!("{words}\n").as_bytes());
        say(json!({"execute": "qmp_capabilities"})).expect("a monitor that listens");
        let mut question = json!({"execute": command, "id": 1});
        if !arguments.is_null() {
            question["arguments"] = arguments.clone();
        }
        say(question).expect("a monitor that listens");
        let answer = loop {
            let line = lines.next().expect("an answer").expect("a line");
            let answer: Value = serde_json::from_str(&line).expect("JSON");
            if answer["id"] == 1 {
                break answer;
            }
        };
        assert!(answer.get("error").is_none(), "{command} {arguments}: {answer}");
        answer["return"].clone()
    }

    /// A property of an object of QEMU's.
    ///
    /// # Panics
    /// When it has none of this name.
    #[track_caller]
    pub fn property(&self, object: &str, name: &str) -> Value {
        self.ask("qom-get", &json!({"path": object, "property": name}))
    }

    /// A property of the device of this alias.
    ///
    /// # Panics
    /// As [`Qemu::property`].
    #[track_caller]
    pub fn of_device(&self, alias: &str, name: &str) -> Value {
        self.property(&format!("/machine/peripheral/{alias}"), name)
    }

    /// What kind of device the one of this alias is.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn kind(&self, alias: &str) -> String {
        self.of_device(alias, "type")
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
