//! What containers have: users, file systems, the host's devices.

use super::{inconsistent, unsupported};
use crate::Kib;
use crate::domain::{Filesystem, FilesystemDriver, FilesystemSource, FilesystemType, IdMap, IdRange, Os};
use ferrovirt_xml::XmlError;

/// Checks the first process: there is one, and what it is given is not empty.
pub(super) fn check_init(os: &Os) -> Result<(), XmlError> {
    if os.kind.kind == "exe" && os.init.as_deref().is_none_or(str::is_empty) {
        return Err(inconsistent("init binary must be specified"));
    }
    if os.init_args.iter().any(String::is_empty) {
        return Err(inconsistent("No data supplied for <initarg> element"));
    }
    match os
        .init_env
        .iter()
        .find(|variable| variable.name.is_empty() || variable.value.is_empty())
    {
        Some(variable) if variable.name.is_empty() => {
            Err(inconsistent("No name supplied for <initenv> element"))
        }
        Some(variable) => Err(inconsistent(format!(
            "No value supplied for <initenv name='{}'> element",
            variable.name
        ))),
        None => Ok(()),
    }
}

/// Sorts both lists; root must be mapped in each.
pub(super) fn normalize_id_map(map: &mut Option<IdMap>) -> Result<(), XmlError> {
    map.take_if(|map| *map == IdMap::default());
    let Some(map) = map else { return Ok(()) };
    if map.uids.is_empty() || map.gids.is_empty() {
        return Err(unsupported("uid and gid should be mapped both"));
    }
    for (element, list) in [("uid", &mut map.uids), ("gid", &mut map.gids)] {
        list.sort_unstable();
        if list.first().is_some_and(|range| range.start != 0) {
            return Err(unsupported("You must map the root user of container"));
        }
        check_ranges(element, list)?;
    }
    Ok(())
}

/// The kernel refuses ranges that overlap on either side, without saying which.
fn check_ranges(element: &str, list: &[IdRange]) -> Result<(), XmlError> {
    let ends = |first: u32, range: &IdRange| u64::from(first) + u64::from(range.count);
    for (at, range) in list.iter().enumerate() {
        let text = format!("<{element} start='{}'> of <idmap>", range.start);
        let beyond = u64::from(u32::MAX) + 1;
        if ends(range.start, range) > beyond || ends(range.target, range) > beyond {
            return Err(inconsistent(format!("{text}: there are no such ids")));
        }
        let meets =
            |a: u32, b: u32, other: &IdRange| u64::from(a) < ends(b, other) && u64::from(b) < ends(a, range);
        if list[..at]
            .iter()
            .any(|other| meets(range.start, other.start, other) || meets(range.target, other.target, other))
        {
            return Err(inconsistent(format!("{text} overlaps with another range")));
        }
    }
    Ok(())
}

/// Completes a file system; its source must fit its type.
pub(super) fn normalize_filesystem(filesystem: &mut Filesystem) -> Result<(), XmlError> {
    filesystem
        .driver
        .take_if(|driver| *driver == FilesystemDriver::default());
    let target = filesystem.target.clone().unwrap_or_default();
    let Some(source) = &mut filesystem.source else {
        return Err(match filesystem.kind {
            FilesystemType::Ram => inconsistent("missing 'usage' attribute for RAM filesystem"),
            _ => inconsistent(format!("missing source information for device {target}")),
        });
    };
    check_source(filesystem.kind, source, &target)?;
    if filesystem.kind == FilesystemType::Ram {
        normalize_ram(source)?;
    }
    if target.is_empty() {
        let what = [&source.dir, &source.file, &source.dev, &source.name];
        let what = what.into_iter().flatten().next().cloned().unwrap_or_default();
        return Err(inconsistent(format!(
            "missing target information for device {what}"
        )));
    }
    Ok(())
}

/// What each type takes of the source's attributes, all of which must be there but the unit.
fn check_source(kind: FilesystemType, source: &FilesystemSource, target: &str) -> Result<(), XmlError> {
    let wanted: &[&str] = match kind {
        FilesystemType::Mount | FilesystemType::Bind => &["dir"],
        FilesystemType::Block => &["dev"],
        FilesystemType::File => &["file"],
        FilesystemType::Template => &["name"],
        FilesystemType::Ram => &["usage", "units"],
        FilesystemType::Volume => &["pool", "volume"],
    };
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let attributes = [
        ("dir", given(&source.dir)),
        ("file", given(&source.file)),
        ("dev", given(&source.dev)),
        ("name", given(&source.name)),
        ("usage", source.usage.is_some()),
        ("units", source.units.is_some()),
        ("pool", given(&source.pool)),
        ("volume", given(&source.volume)),
    ];
    for (name, given) in attributes {
        match (wanted.contains(&name), given) {
            (false, true) => {
                return Err(unsupported(format!(
                    "attribute '{name}' in the <source> of a filesystem of type '{kind}'"
                )));
            }
            (true, false) if name == "usage" => {
                return Err(inconsistent("missing 'usage' attribute for RAM filesystem"));
            }
            (true, false) if kind == FilesystemType::Volume => {
                return Err(inconsistent(
                    "'pool' and 'volume' must be specified together for 'pool' type source",
                ));
            }
            (true, false) if name != "units" => {
                let text = format!("missing source information for device {target}");
                return Err(inconsistent(text));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Memory in KiB; what is left over is lost, as with libvirt.
fn normalize_ram(source: &mut FilesystemSource) -> Result<(), XmlError> {
    let (usage, unit) = (source.usage.unwrap_or(0), source.units.as_deref());
    let kib = Kib::whole_from_unit(usage, unit.unwrap_or("KiB")).map_err(inconsistent)?;
    if kib.0 == 0 && usage != 0 {
        let text = format!("usage '{usage}' of a RAM filesystem is less than 1 KiB");
        return Err(unsupported(text));
    }
    source.usage = Some(kib.0);
    source.units = Some("KiB".to_owned());
    Ok(())
}
