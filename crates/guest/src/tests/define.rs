//! Definitions: who may have which name, what is on disk, what a running guest notices.

use std::fs;

use ferrovirt_hook::Origin;

use super::*;
use crate::{Affect, Lifecycle, Metadata, What};

fn define(daemon: &Daemon, xml: &str) -> Result<GuestHandle, Error> {
    daemon.run(daemon.guests.define(parse(xml), Origin::client()))
}

#[test]
fn a_definition_is_on_disk_in_libvirts_layout_when_it_is_acknowledged() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &["net1"], ""));
    let text = fs::read_to_string(world.path("etc").join("g1.xml")).unwrap();
    assert!(
        text.starts_with("<!--\nWARNING") && text.contains("\n  virsh edit g1\n"),
        "{text}"
    );
    assert!(
        text.contains("-->\n\n<domain type='qemu'>\n  <name>g1</name>\n  <uuid>"),
        "{text}"
    );
    assert!(
        text.contains("\n      <source network='net1'/>\n") && text.ends_with("</domain>\n"),
        "{text}"
    );
    // What the hypervisor fills in is in it.
    assert!(text.contains("<emulator>/bin/sleep</emulator>"), "{text}");
    daemon.die();
    let daemon = world.boot();
    let seen = daemon.guest("g1").snapshot();
    assert!(seen.persistent && !seen.autostart && !seen.is_active());
    assert_eq!(seen.config.as_ref().unwrap().devices.interfaces.len(), 1);
}

#[test]
fn a_name_and_a_uuid_belong_to_one_guest() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    let uuid = daemon.guest("g1").snapshot().uuid;
    let other = uuid.to_string().replace("8111", "9111");
    let error = define(&daemon, &plain("g1").replace(&uuid.to_string(), &other)).unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if *text == format!("domain 'g1' already exists with uuid {uuid}"))
    );
    let error = define(&daemon, &plain("g1").replace("<name>g1", "<name>g2")).unwrap_err();
    let expected = format!("domain 'g1' is already defined with uuid {uuid}");
    assert!(
        matches!(&error, Error::Failed(text) if *text == expected),
        "{error:?}"
    );
    assert_eq!(daemon.guests.list().len(), 1);
    assert!(!world.path("etc").join("g2.xml").exists());
    assert_eq!(daemon.guests.by_uuid(&uuid).unwrap().snapshot().name, "g1");
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let world = World::new();
    let daemon = world.boot();
    for name in ["a/b", "..", ".", " "] {
        let mut doc = parse(&plain("g1"));
        doc.name = name.to_owned();
        let error = daemon
            .run(daemon.guests.define(doc, Origin::client()))
            .err()
            .unwrap();
        assert!(matches!(error, Error::Xml(_)), "{error:?}");
    }
    for (name, shown) in [
        ("a b'c", "'a b'\\''c'"),
        ("-x", "'-x'"),
        ("ä日", "ä日"),
        ("a--b", "NAME"),
    ] {
        let mut doc = parse(&plain("g1"));
        (doc.name, doc.uuid) = (name.to_owned(), None);
        daemon.run(daemon.guests.define(doc, Origin::client())).unwrap();
        let text = fs::read_to_string(world.path("etc").join(format!("{name}.xml"))).unwrap();
        assert!(text.contains(&format!("virsh edit {shown}\n")), "{text}");
    }
    daemon.die();
    assert_eq!(world.boot().guests.list().len(), 4);
}

#[test]
fn two_who_define_the_same_guest_at_once_define_one() {
    let world = World::new();
    let daemon = world.boot();
    let many: Vec<_> = (0..8)
        .map(|_| {
            let guests = daemon.guests.clone();
            daemon.spawn(async move {
                guests
                    .define(parse(&plain("g1")), Origin::client())
                    .await
                    .map(drop)
            })
        })
        .collect();
    for define in many {
        daemon.run(define).unwrap().unwrap();
    }
    assert_eq!(daemon.guests.list().len(), 1);
}

#[test]
fn a_document_that_the_hypervisor_refuses_is_not_defined() {
    let world = World::new();
    let daemon = world.boot();
    daemon.backend.fail("complete", "no such machine");
    let error = define(&daemon, &plain("g1")).unwrap_err();
    assert!(matches!(error, Error::Backend(_)) && daemon.guests.list().is_empty());
    daemon.backend.mend("complete");
    // And its name is free.
    daemon.define(&plain("g1"));
}

#[test]
fn a_definition_that_cannot_be_written_is_an_error() {
    let world = World::new();
    let daemon = world.boot();
    fs::remove_dir_all(world.path("etc")).unwrap();
    let error = define(&daemon, &plain("g1")).unwrap_err();
    assert!(matches!(error, Error::File { action: "write", .. }), "{error:?}");
    assert!(daemon.guests.list().is_empty());
    fs::create_dir(world.path("etc")).unwrap();
    daemon.define(&plain("g1"));
}

#[test]
fn a_running_guest_keeps_its_document_when_it_is_defined_anew() {
    let world = World::new();
    let daemon = world.boot();
    let mut events = daemon.guests.events();
    daemon.define(&guest("g1", &[], "<description>old</description>"));
    daemon.start("g1").unwrap();
    daemon.define(&guest("g1", &[], "<description>new</description>"));
    let seen = daemon.guest("g1").snapshot();
    assert!(seen.updated);
    assert!(seen.to_xml(&ferrovirt_xml::Form::LIVE).contains("old"));
    assert!(seen.to_xml(&ferrovirt_xml::Form::INACTIVE).contains("new"));
    daemon.destroy("g1").unwrap();
    assert!(world.hooks.document("qemu", "release").contains("old"));
    let seen = daemon.guest("g1").snapshot();
    assert!(!seen.updated && seen.to_xml(&ferrovirt_xml::Form::LIVE).contains("new"));
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|e| e.what)
        .collect();
    use Lifecycle::{DefinedAdded, DefinedUpdated, ResumedUnpaused, StartedBooted, StoppedDestroyed};
    assert_eq!(
        told,
        [
            DefinedAdded,
            ResumedUnpaused,
            StartedBooted,
            DefinedUpdated,
            StoppedDestroyed
        ]
    );
}

#[test]
fn an_undefined_guest_that_runs_becomes_transient() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon
        .run(daemon.guest("g1").set_autostart(true, Origin::client()))
        .unwrap();
    daemon.start("g1").unwrap();
    let handle = daemon.guest("g1");
    daemon.run(handle.undefine(Origin::client())).unwrap();
    let seen = handle.snapshot();
    assert!(!seen.persistent && !seen.autostart && seen.is_active());
    assert!(!world.path("etc").join("g1.xml").exists());
    assert!(!world.path("etc").join("autostart/g1.xml").is_symlink());
    let again = daemon.run(handle.undefine(Origin::client()));
    assert!(matches!(again, Err(Error::Invalid(text)) if text == "cannot undefine transient domain"));
    let mark = daemon.run(handle.set_autostart(true, Origin::client()));
    assert!(matches!(mark, Err(Error::Invalid(text)) if text == "cannot set autostart for transient domain"));
    // And persistent again.
    daemon.define(&plain("g1"));
    assert!(handle.snapshot().persistent);
    daemon.run(handle.undefine(Origin::client())).unwrap();
    daemon.destroy("g1").unwrap();
    assert!(daemon.guests.list().is_empty());
}

#[test]
fn an_undefined_guest_that_is_off_is_gone() {
    let world = World::new();
    let daemon = world.boot();
    let handle = daemon.define(&plain("g1"));
    daemon.run(handle.undefine(Origin::client())).unwrap();
    assert!(daemon.guests.list().is_empty() && !world.path("etc").join("g1.xml").exists());
    let error = daemon
        .run(handle.start(StartFlags::default(), Origin::client()))
        .unwrap_err();
    let expected = format!("no domain with matching uuid '{}' (g1)", handle.snapshot().uuid);
    assert!(
        matches!(&error, Error::NoDomain(text) if *text == expected),
        "{error:?}"
    );
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
}

#[test]
fn a_guest_is_created_from_another_document_than_its_definition() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&guest("g1", &[], "<description>kept</description>"));
    let other = parse(&guest("g1", &[], "<description>for once</description>"));
    daemon
        .run(
            daemon
                .guests
                .create(other, StartFlags::default(), Origin::client()),
        )
        .unwrap();
    assert!(world.hooks.document("qemu", "prepare").contains("for once"));
    daemon.destroy("g1").unwrap();
    let seen = daemon.guest("g1").snapshot();
    assert!(seen.persistent && seen.to_xml(&ferrovirt_xml::Form::LIVE).contains("kept"));
}

#[test]
fn a_transient_guest_can_be_kept() {
    let world = World::new();
    let daemon = world.boot();
    daemon
        .run(
            daemon
                .guests
                .create(parse(&plain("g1")), StartFlags::default(), Origin::client()),
        )
        .unwrap();
    assert!(!world.path("etc").join("g1.xml").exists());
    daemon.define(&plain("g1"));
    daemon.destroy("g1").unwrap();
    assert_eq!(daemon.guests.list().len(), 1);
}

#[test]
fn a_definition_beside_the_end_of_a_transient_guest_is_not_lost() {
    let world = World::new();
    let daemon = world.boot();
    daemon
        .run(
            daemon
                .guests
                .create(parse(&plain("g1")), StartFlags::default(), Origin::client()),
        )
        .unwrap();
    world.hooks.on("qemu", "release", "sleep 1");
    let handle = daemon.guest("g1");
    let destroy =
        daemon.spawn(async move { handle.destroy(DestroyFlags::default(), Origin::client()).await });
    daemon.run(world.trace.wait("qemu g1 release"));
    daemon.define(&plain("g1"));
    daemon.run(destroy).unwrap().unwrap();
    let seen = daemon.guest("g1").snapshot();
    assert!(seen.persistent && !seen.is_active());
    daemon.start("g1").unwrap();
    daemon.destroy("g1").unwrap();
}

#[test]
fn autostart_is_a_link_to_the_definition() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    let link = world.path("etc").join("autostart/g1.xml");
    daemon
        .run(daemon.guest("g1").set_autostart(true, Origin::client()))
        .unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), world.path("etc").join("g1.xml"));
    assert!(daemon.guest("g1").snapshot().autostart);
    daemon.die();
    let daemon = world.boot();
    assert!(daemon.guest("g1").snapshot().autostart);
    daemon
        .run(daemon.guest("g1").set_autostart(false, Origin::client()))
        .unwrap();
    assert!(!link.is_symlink() && !daemon.guest("g1").snapshot().autostart);
}

#[test]
fn a_guest_gets_another_name() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.define(&plain("g2"));
    daemon
        .run(daemon.guest("g1").set_autostart(true, Origin::client()))
        .unwrap();
    let handle = daemon.guest("g1");
    let refused = |name: &str| daemon.run(handle.rename(name, Origin::client())).unwrap_err();
    assert!(matches!(refused("g2"), Error::Failed(text) if text == "domain with name 'g2' already exists"));
    assert!(matches!(refused("g1"), Error::Invalid(text) if text == "Can't rename domain to itself"));
    assert!(matches!(refused("a/b"), Error::Xml(_)));
    let mut events = daemon.guests.events();
    daemon.run(handle.rename("g3", Origin::client())).unwrap();
    assert!(daemon.guests.by_name("g1").is_none());
    let seen = daemon.guest("g3").snapshot();
    assert!(seen.autostart && seen.config.as_ref().unwrap().name == "g3" && seen.name == "g3");
    for (name, there) in [("g1", false), ("g3", true)] {
        assert_eq!(world.path("etc").join(format!("{name}.xml")).exists(), there);
        assert_eq!(
            world
                .path("etc")
                .join(format!("autostart/{name}.xml"))
                .is_symlink(),
            there
        );
    }
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|e| (e.name, e.what))
        .collect();
    assert_eq!(
        told,
        [
            ("g1".to_owned(), Lifecycle::UndefinedRenamed.into()),
            ("g3".to_owned(), Lifecycle::DefinedRenamed.into())
        ]
    );
    daemon.start("g3").unwrap();
    assert!(
        world
            .hooks
            .document("qemu", "prepare")
            .contains("<name>g3</name>")
    );
    let error = daemon.run(handle.rename("g4", Origin::client())).unwrap_err();
    assert!(matches!(error, Error::Invalid(text) if text == "cannot rename active domain"));
    daemon.destroy("g3").unwrap();
    // The old name is free.
    daemon.define(&plain("g1").replace("1111-4111", "2222-4111"));
    daemon.die();
    assert_eq!(world.boot().guests.list().len(), 3);
}

#[test]
fn a_rename_that_cannot_be_written_leaves_the_old_name() {
    let world = World::new();
    let daemon = world.boot();
    let handle = daemon.define(&plain("g1"));
    daemon.run(handle.set_autostart(true, Origin::client())).unwrap();
    // The place of the new link is taken by what cannot be replaced.
    fs::create_dir_all(world.path("etc").join("autostart/g2.xml/full")).unwrap();
    let error = daemon.run(handle.rename("g2", Origin::client())).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    assert_eq!(handle.snapshot().name, "g1");
    assert!(daemon.guests.by_name("g1").is_some() && daemon.guests.by_name("g2").is_none());
    fs::remove_dir_all(world.path("etc").join("autostart/g2.xml")).unwrap();
    daemon.run(handle.rename("g2", Origin::client())).unwrap();
    assert!(world.path("log").is_dir());
}

#[test]
fn of_two_files_left_by_a_rename_that_was_cut_short_the_newer_counts() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.die();
    let old = fs::read_to_string(world.path("etc").join("g1.xml")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(
        world.path("etc").join("g9.xml"),
        old.replace("<name>g1", "<name>g9"),
    )
    .unwrap();
    let daemon = world.boot();
    let names: Vec<_> = daemon
        .guests
        .list()
        .iter()
        .map(|seen| seen.name.clone())
        .collect();
    assert_eq!(names, ["g9"]);
    assert!(world.path("etc").join("g1.xml").exists());
}

#[test]
fn title_description_and_metadata_are_set_where_they_are_asked_for() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.start("g1").unwrap();
    let handle = daemon.guest("g1");
    let mut events = daemon.guests.events();
    let set = |what: Metadata, live: bool, config: bool| {
        daemon.run(handle.set_metadata(what, Affect { live, config }, Origin::client()))
    };
    let title = |text: &str| Metadata::Title(Some(text.to_owned()));
    set(title("both"), true, true).unwrap();
    let titles = || {
        let seen = handle.snapshot();
        let of = |doc: &Option<Arc<Domain>>| doc.as_ref().and_then(|doc| doc.title.clone());
        (of(&seen.live), of(&seen.config))
    };
    let both = |live: &str, config: &str| (Some(live.to_owned()), Some(config.to_owned()));
    assert_eq!(titles(), both("both", "both"));
    set(title("live"), true, false).unwrap();
    assert_eq!(titles(), both("live", "both"));
    assert_eq!(world.status("g1").unwrap().doc.title.as_deref(), Some("live"));
    set(title("config"), false, true).unwrap();
    assert_eq!(titles(), both("live", "config"));
    set(title("current"), false, false).unwrap();
    assert_eq!(titles(), both("current", "config"));
    assert!(matches!(set(title("a\nb"), true, false), Err(Error::Xml(_))));
    set(Metadata::Description(Some("words".to_owned())), false, true).unwrap();
    let file = || fs::read_to_string(world.path("etc").join("g1.xml")).unwrap();
    assert!(
        file().contains("<title>config</title>\n  <description>words</description>"),
        "{}",
        file()
    );
    let told = std::iter::from_fn(|| events.try_recv().ok()).map(|event| match event.what {
        What::Described { kind, uri: None } => kind,
        other => panic!("{other:?}"),
    });
    // Once for each that was done.
    assert_eq!(told.collect::<Vec<_>>(), [1, 1, 1, 1, 0]);
    daemon.destroy("g1").unwrap();
    assert!(
        matches!(set(title("x"), true, false), Err(Error::Invalid(text)) if text == "domain is not running")
    );
    set(Metadata::Title(None), false, false).unwrap();
    assert!(!file().contains("<title>"));
    daemon
        .run(
            daemon
                .guests
                .create(parse(&plain("g2")), StartFlags::default(), Origin::client()),
        )
        .unwrap();
    let transient = daemon.guest("g2");
    let affect = Affect {
        live: false,
        config: true,
    };
    let error = daemon
        .run(transient.set_metadata(title("x"), affect, Origin::client()))
        .unwrap_err();
    let expected = "transient domains do not have any persistent config";
    assert!(matches!(error, Error::Invalid(text) if text == expected));
    daemon.destroy("g2").unwrap();
}

#[test]
fn each_namespace_has_one_element_in_metadata() {
    let world = World::new();
    let daemon = world.boot();
    let handle = daemon.define(&plain("g1"));
    let set = |uri: &str, xml: Option<&str>| {
        let (uri, key) = (uri.to_owned(), "k".to_owned());
        let what = Metadata::Element {
            uri,
            key,
            xml: xml.map(str::to_owned),
        };
        daemon.run(handle.set_metadata(what, Affect::default(), Origin::client()))
    };
    let metadata = || {
        handle
            .snapshot()
            .config
            .as_ref()
            .unwrap()
            .metadata
            .clone()
            .unwrap_or_default()
    };
    set("urn:a", Some("<one x='1'>text</one>")).unwrap();
    set("urn:b", Some("<two/>")).unwrap();
    assert!(
        metadata().contains("<k:one xmlns:k=\"urn:a\" x='1'>text</k:one>"),
        "{}",
        metadata()
    );
    assert!(
        metadata().contains("<k:two xmlns:k=\"urn:b\"/>"),
        "{}",
        metadata()
    );
    set("urn:a", Some("<other/>")).unwrap();
    assert!(
        !metadata().contains("one") && metadata().contains("two"),
        "{}",
        metadata()
    );
    assert!(matches!(set("urn:a", Some("no xml")), Err(Error::Xml(_))));
    daemon.die();
    let daemon = world.boot();
    let seen = daemon.guest("g1").snapshot();
    let text = seen.to_xml(&ferrovirt_xml::Form::INACTIVE);
    assert!(
        text.contains("<k:other xmlns:k=\"urn:a\"/>") && text.contains("<k:two"),
        "{text}"
    );
    let handle = daemon.guest("g1");
    for uri in ["urn:a", "urn:b"] {
        let what = Metadata::Element {
            uri: uri.to_owned(),
            key: String::new(),
            xml: None,
        };
        daemon
            .run(handle.set_metadata(what, Affect::default(), Origin::client()))
            .unwrap();
    }
    assert_eq!(handle.snapshot().config.as_ref().unwrap().metadata, None);
}

#[test]
fn what_is_broken_on_disk_stays_there_and_stops_nobody() {
    let world = World::new();
    let daemon = world.boot();
    daemon.define(&plain("g1"));
    daemon.define(&plain("g2"));
    daemon.die();
    let etc = world.path("etc");
    fs::write(etc.join("broken.xml"), "<domain").unwrap();
    fs::write(etc.join("other.xml"), plain("another").as_str()).unwrap();
    fs::write(etc.join(".g3.xml.new"), plain("g3")).unwrap();
    fs::write(world.path("run").join("g2.xml"), "<domstatus state='running'/>").unwrap();
    // Unknown elements are kept (they are refused in what clients send).
    let text = fs::read_to_string(etc.join("g1.xml")).unwrap();
    fs::write(
        etc.join("g1.xml"),
        text.replace("<devices>", "<novelty x='1'/>\n  <devices>"),
    )
    .unwrap();
    let daemon = world.boot();
    let names: Vec<_> = daemon
        .guests
        .list()
        .iter()
        .map(|seen| seen.name.clone())
        .collect();
    assert_eq!(names, ["g1", "g2"]);
    assert!(etc.join("broken.xml").exists() && etc.join("other.xml").exists());
    assert!(
        daemon
            .guest("g1")
            .snapshot()
            .to_xml(&ferrovirt_xml::Form::INACTIVE)
            .contains("<novelty x='1'/>")
    );
    daemon
        .run(daemon.guest("g1").set_metadata(
            Metadata::Title(Some("t".to_owned())),
            Affect::default(),
            Origin::client(),
        ))
        .unwrap();
    assert!(
        fs::read_to_string(etc.join("g1.xml"))
            .unwrap()
            .contains("<novelty x='1'/>")
    );
}
