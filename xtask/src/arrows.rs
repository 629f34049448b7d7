//! `cargo xtask arrows`: the crates' dependencies against the plan. The plan is the table below; the
//! truth is `cargo metadata`. An arrow that the plan lacks, a crate that it does not know, and a
//! dependency from outside whose reason `docs/architecture.md` does not give are findings.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// One crate of the plan.
struct Room {
    /// Package name.
    name: &'static str,
    /// Arrows only run to a lower floor; crates of one floor do not know each other.
    floor: u8,
    /// Packages of ours that it may use.
    may_use: &'static [&'static str],
}

/// The plan. Floors as drawn in `docs/architecture.md`.
const PLAN: &[Room] = &[
    Room {
        name: "ferrovirt-xml-derive",
        floor: 0,
        may_use: &[],
    },
    Room {
        name: "ferrovirt-xml",
        floor: 1,
        may_use: &["ferrovirt-xml-derive"],
    },
    Room {
        name: "ferrovirt-wire",
        floor: 1,
        may_use: &[],
    },
    Room {
        name: "ferrovirt-sys",
        floor: 1,
        may_use: &[],
    },
    Room {
        name: "ferrovirt-model",
        floor: 2,
        may_use: &["ferrovirt-xml"],
    },
    Room {
        name: "ferrovirt-link",
        floor: 2,
        may_use: &["ferrovirt-sys"],
    },
    Room {
        name: "ferrovirt-hook",
        floor: 2,
        may_use: &["ferrovirt-sys"],
    },
    Room {
        name: "ferrovirt-host",
        floor: 3,
        may_use: &[
            "ferrovirt-model",
            "ferrovirt-link",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-network",
        floor: 3,
        may_use: &[
            "ferrovirt-model",
            "ferrovirt-hook",
            "ferrovirt-link",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-guest",
        floor: 4,
        may_use: &[
            "ferrovirt-model",
            "ferrovirt-hook",
            "ferrovirt-network",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-qemu",
        floor: 5,
        may_use: &[
            "ferrovirt-guest",
            "ferrovirt-host",
            "ferrovirt-model",
            "ferrovirt-link",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-lxc",
        floor: 5,
        may_use: &[
            "ferrovirt-guest",
            "ferrovirt-model",
            "ferrovirt-link",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-daemon",
        floor: 6,
        may_use: &[
            "ferrovirt-qemu",
            "ferrovirt-lxc",
            "ferrovirt-guest",
            "ferrovirt-host",
            "ferrovirt-network",
            "ferrovirt-model",
            "ferrovirt-hook",
            "ferrovirt-link",
            "ferrovirt-wire",
            "ferrovirt-sys",
            "ferrovirt-xml",
        ],
    },
    Room {
        name: "ferrovirt-cli",
        floor: 6,
        may_use: &["ferrovirt-hook", "ferrovirt-model", "ferrovirt-wire"],
    },
    // these two know the programs only, from outside
    Room {
        name: "ferrovirt-tests",
        floor: 7,
        may_use: &[],
    },
    Room {
        name: "xtask",
        floor: 7,
        may_use: &["ferrovirt-model", "ferrovirt-xml"],
    },
];

/// What is wrong with the crates' arrows, one line each.
///
/// # Errors
/// The text to print when cargo or the documentation cannot be read.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let path = root.join("docs/architecture.md");
    let reasons = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut found = findings(PLAN, &metadata, &reasons);
    let sequence = root.join(SEQUENCE);
    let text = std::fs::read_to_string(&sequence).map_err(|e| format!("{}: {e}", sequence.display()))?;
    found.extend(drivers_in(SEQUENCE, &text));
    Ok(found)
}

/// The order of hooks and work, one for all hypervisors: it must not know any of them.
const SEQUENCE: &str = "crates/guest/src/sequence.rs";

/// What hypervisors are called.
const DRIVERS: [&str; 6] = ["qemu", "lxc", "libxl", "xen", "container", "Driver::"];

/// Lines that name a driver.
fn drivers_in(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let lower = line.to_lowercase();
        let named = DRIVERS
            .iter()
            .find(|driver| lower.contains(&driver.to_lowercase()));
        found.extend(named.map(|driver| format!("{file}:{number}: names a driver ({driver})")));
    }
    found
}

/// The comparison itself, on data.
fn findings(plan: &[Room], metadata: &Value, reasons: &str) -> Vec<String> {
    let mut found = broken_plan(plan);
    let packages: Vec<(&str, Vec<&str>)> = packages(metadata);
    let ours: BTreeSet<&str> = packages.iter().map(|(name, _)| *name).collect();
    for (name, uses) in &packages {
        let Some(room) = plan.iter().find(|room| room.name == *name) else {
            found.push(format!("{name}: not in the plan (xtask/src/arrows.rs)"));
            continue;
        };
        for used in uses {
            if ours.contains(used) {
                if used != name && !room.may_use.contains(used) {
                    found.push(format!("{name}: may not use {used}"));
                }
            } else if !reasons.contains(&format!("`{used}`")) {
                found.push(format!(
                    "{name}: uses {used}, and docs/architecture.md does not say why"
                ));
            }
        }
    }
    for room in plan.iter().filter(|room| !ours.contains(room.name)) {
        found.push(format!("{}: in the plan, but not in the workspace", room.name));
    }
    found
}

/// Name and dependencies (of every kind, tests included) of each package of the workspace.
fn packages(metadata: &Value) -> Vec<(&str, Vec<&str>)> {
    let list = metadata["packages"].as_array().into_iter().flatten();
    list.map(|package| {
        let uses: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .map(name)
            .collect();
        (name(package), uses.into_iter().collect())
    })
    .collect()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// The plan holds to its own rule: arrows run down.
fn broken_plan(plan: &[Room]) -> Vec<String> {
    let mut found = Vec::new();
    for room in plan {
        for used in room.may_use {
            match plan.iter().find(|other| other.name == *used) {
                None => found.push(format!(
                    "plan: {} uses {used}, which the plan does not know",
                    room.name
                )),
                Some(other) if other.floor >= room.floor => {
                    found.push(format!("plan: {} -> {used} does not run down", room.name));
                }
                Some(_) => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_that_knows_a_driver_is_found() {
        let text = "//! For all.\nif B::DRIVER == Driver::Lxc {\n    // as QEMU does\n}\n";
        assert_eq!(
            drivers_in("s.rs", text),
            ["s.rs:2: names a driver (lxc)", "s.rs:3: names a driver (qemu)"]
        );
        assert!(drivers_in("s.rs", "walk.hook(run, GuestOperation::Start).await?;").is_empty());
    }

    const SMALL: &[Room] = &[
        Room {
            name: "low",
            floor: 0,
            may_use: &[],
        },
        Room {
            name: "beside",
            floor: 0,
            may_use: &[],
        },
        Room {
            name: "high",
            floor: 1,
            may_use: &["low"],
        },
    ];

    fn metadata(arrows: &[(&str, &[&str])]) -> Value {
        let packages: Vec<Value> = arrows
            .iter()
            .map(|(name, uses)| {
                let uses: Vec<Value> = uses
                    .iter()
                    .map(|used| serde_json::json!({ "name": used }))
                    .collect();
                serde_json::json!({ "name": name, "dependencies": uses })
            })
            .collect();
        serde_json::json!({ "packages": packages })
    }

    #[test]
    fn the_plan_runs_down() {
        assert_eq!(broken_plan(PLAN), Vec::<String>::new());
    }

    #[test]
    fn planned_arrows_are_fine() {
        let truth = metadata(&[("low", &[]), ("beside", &["libc"]), ("high", &["low", "libc"])]);
        assert_eq!(
            findings(SMALL, &truth, "`libc`: system calls"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn an_arrow_that_is_not_planned_is_found() {
        let truth = metadata(&[("low", &["high"]), ("beside", &[]), ("high", &["beside"])]);
        assert_eq!(
            findings(SMALL, &truth, ""),
            ["low: may not use high", "high: may not use beside"]
        );
    }

    #[test]
    fn unknown_and_missing_crates_are_found() {
        let truth = metadata(&[("low", &[]), ("beside", &[]), ("new", &[])]);
        assert_eq!(
            findings(SMALL, &truth, ""),
            [
                "new: not in the plan (xtask/src/arrows.rs)",
                "high: in the plan, but not in the workspace"
            ]
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let truth = metadata(&[("low", &["leftpad"]), ("beside", &[]), ("high", &[])]);
        assert_eq!(
            findings(SMALL, &truth, "no word"),
            ["low: uses leftpad, and docs/architecture.md does not say why"]
        );
    }

    #[test]
    fn a_plan_that_runs_up_is_found() {
        let plan = [
            Room {
                name: "a",
                floor: 0,
                may_use: &["b", "c"],
            },
            Room {
                name: "b",
                floor: 0,
                may_use: &[],
            },
        ];
        assert_eq!(
            broken_plan(&plan),
            [
                "plan: a -> b does not run down",
                "plan: a uses c, which the plan does not know"
            ]
        );
    }
}
