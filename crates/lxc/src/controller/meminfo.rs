//! `/proc/meminfo` with the container's limits: a file system that is one file, which the controller answers for.
//!
//! The kernel's side of FUSE is asked for the attributes of its only inode and for what is in it, and for nothing else:
//! whatever else it wants is refused. Numbers are those of `linux/fuse.h`.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ferrovirt_sys::mount::Forbid;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::protocol::Memory;

use super::system::virtual_fs;
use super::{Named, Step};

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// The version that is spoken; the kernel understands all before its own.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;

/// `struct fuse_in_header`, `struct fuse_out_header`.
const IN_HEADER: usize = 40;
const OUT_HEADER: usize = 16;

/// What one request may take; more than all that are answered for.
const LARGEST: usize = 64 << 10;

/// Each reading is new: the kernel shall keep nothing.
const DIRECT_IO: u32 = 1;

const MODE: u32 = 0o100_444;

/// Makes the file system; returns the connection to the kernel, and the mount.
pub(super) fn make() -> Step<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let connection = rustix::fs::open("/dev/fuse", flags, Mode::empty())
        .named(|| "cannot open /dev/fuse for the container's /proc/meminfo".to_owned())?;
    let (number, mode) = (connection.as_raw_fd().to_string(), format!("{MODE:o}"));
    let options = [
        ("fd", Some(number.as_str())),
        ("rootmode", Some(mode.as_str())),
        ("user_id", Some("0")),
        ("group_id", Some("0")),
        ("allow_other", None),
        // Makes the kernel ask for the attributes, and so for the length, whenever the file is opened.
        ("default_permissions", None),
    ];
    let what = Forbid {
        suid: true,
        devices: true,
        ..Forbid::default()
    };
    let mount = virtual_fs("fuse", "libvirt", &options, what)?;
    Ok((connection, mount))
}

/// The controller's end.
#[derive(Debug)]
pub(super) struct Meminfo {
    connection: OwnedFd,
    memory: Memory,
}

/// A question of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    operation: u32,
    unique: u64,
    body: &'a [u8],
}

impl Meminfo {
    pub(super) fn new(connection: OwnedFd, memory: Memory) -> Meminfo {
        Meminfo { connection, memory }
    }

    /// What to wait for.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Answers what the kernel asks. `false`: the file system is gone.
    pub(super) fn serve(&self) -> bool {
        let mut buffer = vec![0; LARGEST];
        loop {
            match rustix::io::read(&self.connection, &mut buffer) {
                Ok(length) => {
                    let reply =
                        question(&buffer[..length]).and_then(|question| answer(&question, || self.text()));
                    if let Some(reply) = reply {
                        // The one who asked may be gone by now.
                        let _ = rustix::io::write(&self.connection, &reply);
                    }
                }
                Err(Errno::AGAIN) => return true,
                // A question was taken back before it could be read.
                Err(Errno::INTR | Errno::NOENT) => {}
                Err(_) => return false,
            }
        }
    }

    fn text(&self) -> String {
        let host = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        render(&host, &self.memory, &Usage::of(&self.memory.group))
    }
}

fn question(bytes: &[u8]) -> Option<Question<'_>> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let unique = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some(Question {
        operation: number(4)?,
        unique,
        body: bytes.get(IN_HEADER..)?,
    })
}

/// The answer with its header; `None` where the kernel wants none.
fn answer(question: &Question<'_>, text: impl FnOnce() -> String) -> Option<Vec<u8>> {
    let result = match question.operation {
        FORGET | BATCH_FORGET | INTERRUPT => return None,
        INIT => Ok(init()),
        GETATTR => Ok(attributes(text().len())),
        // struct fuse_open_out: handle, flags, padding.
        OPEN => Ok([0u32, 0, DIRECT_IO, 0]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect()),
        READ => Ok(part(&text(), question.body)),
        RELEASE | FLUSH => Ok(Vec::new()),
        LOOKUP => Err(Errno::NOTDIR),
        _ => Err(Errno::NOSYS),
    };
    let (error, body) = match result {
        Ok(body) => (0, body),
        Err(errno) => (-errno.raw_os_error(), Vec::new()),
    };
    let length = u32::try_from(OUT_HEADER + body.len()).ok()?;
    let mut reply = length.to_ne_bytes().to_vec();
    reply.extend(error.to_ne_bytes());
    reply.extend(question.unique.to_ne_bytes());
    reply.extend(body);
    Some(reply)
}

/// `struct fuse_init_out`: version, read-ahead, flags, limits of background requests, largest write, granularity of time.
fn init() -> Vec<u8> {
    let mut bytes: Vec<u8> = [MAJOR, MINOR, 0, 0, 0, 4096, 1]
        .iter()
        .flat_map(|n| n.to_ne_bytes())
        .collect();
    bytes.resize(64, 0);
    bytes
}

/// `struct fuse_attr_out`: how long it holds (not at all), then `struct fuse_attr` of a file of root's. It has a length, unlike other files in
/// `/proc`, because `sendfile` (the `cat` of busybox) would find nothing in it.
fn attributes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; 16];
    // Inode and size; blocks and times are nothing.
    bytes.extend(1u64.to_ne_bytes());
    bytes.extend((length as u64).to_ne_bytes());
    bytes.extend([0u8; 8 * 4 + 4 * 3]);
    for field in [MODE, 1, 0, 0, 0, 4096, 0] {
        bytes.extend(field.to_ne_bytes());
    }
    bytes
}

/// The part that `struct fuse_read_in` asks for: handle, offset, size.
fn part(text: &str, body: &[u8]) -> Vec<u8> {
    let offset = body
        .get(8..16)
        .and_then(|bytes| Some(u64::from_ne_bytes(bytes.try_into().ok()?)));
    let size = body
        .get(16..20)
        .and_then(|bytes| Some(u32::from_ne_bytes(bytes.try_into().ok()?)));
    let start = offset
        .and_then(|offset| usize::try_from(offset).ok())
        .unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let size = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    rest[..rest.len().min(size)].to_vec()
}

/// What the container uses, KiB.
#[derive(Debug, Default, PartialEq, Eq)]
struct Usage {
    used: u64,
    swap_used: u64,
    cached: u64,
    active_anon: u64,
    inactive_anon: u64,
    active_file: u64,
    inactive_file: u64,
    unevictable: u64,
}

impl Usage {
    /// Reads a memory control group, of either version. What is not there is nothing.
    fn of(group: &Path) -> Usage {
        let kib = |name: &str| {
            let text = fs::read_to_string(group.join(name)).ok()?;
            Some(text.trim().parse::<u64>().ok()? / 1024)
        };
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let used = kib("memory.current")
            .or_else(|| kib("memory.usage_in_bytes"))
            .unwrap_or(0);
        let with_swap = kib("memory.memsw.usage_in_bytes").map(|both| both.saturating_sub(used));
        Usage {
            used,
            swap_used: kib("memory.swap.current").or(with_swap).unwrap_or(0),
            ..Usage::from_stat(&stat)
        }
    }

    /// The hierarchical figures of `memory.stat`: version 1 calls them `total_…`.
    fn from_stat(text: &str) -> Usage {
        let field = |names: [&str; 2]| {
            let find = |name: &str| {
                text.lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<u64>().ok())
            };
            names.into_iter().find_map(find).unwrap_or(0) / 1024
        };
        Usage {
            cached: field(["total_cache", "file"]),
            active_anon: field(["total_active_anon", "active_anon"]),
            inactive_anon: field(["total_inactive_anon", "inactive_anon"]),
            active_file: field(["total_active_file", "active_file"]),
            inactive_file: field(["total_inactive_file", "inactive_file"]),
            unevictable: field(["total_unevictable", "unevictable"]),
            ..Usage::default()
        }
    }
}

/// The host's file with the container's figures: those that libvirt's containers show. Others stay the host's.
fn render(host: &str, memory: &Memory, usage: &Usage) -> String {
    let free = memory.total_kib.saturating_sub(usage.used);
    let swap_free = memory.swap_kib.saturating_sub(usage.swap_used);
    let figure = |name: &str| {
        Some(match name {
            "MemTotal" => memory.total_kib,
            "MemFree" => free,
            "MemAvailable" => memory.total_kib.min(free + usage.cached),
            "Buffers" | "SwapCached" | "Slab" | "SReclaimable" | "SUnreclaim" => 0,
            "Cached" => usage.cached,
            "Active" => usage.active_anon + usage.active_file,
            "Inactive" => usage.inactive_anon + usage.inactive_file,
            "Active(anon)" => usage.active_anon,
            "Inactive(anon)" => usage.inactive_anon,
            "Active(file)" => usage.active_file,
            "Inactive(file)" => usage.inactive_file,
            "Unevictable" => usage.unevictable,
            "SwapTotal" => memory.swap_kib,
            "SwapFree" => swap_free,
            _ => return None,
        })
    };
    host.lines().fold(String::new(), |mut text, line| {
        match line
            .split_once(':')
            .and_then(|(name, _)| Some((name, figure(name)?)))
        {
            Some((name, kib)) => text.push_str(&format!("{:<16}{kib:>8} kB\n", format!("{name}:"))),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn memory() -> Memory {
        Memory {
            group: "/nowhere".into(),
            total_kib: 65_536,
            swap_kib: 0,
        }
    }

    #[test]
    fn figures_of_the_host_give_way_to_the_containers() {
        let usage = Usage {
            used: 1000,
            cached: 200,
            ..Usage::default()
        };
        let host = "MemTotal:       49368188 kB\nMemFree:          100000 kB\nMemAvailable:   5 kB\nSwapTotal:       9 kB\nHugePages_Total:       0\n";
        assert_eq!(
            render(host, &memory(), &usage),
            "MemTotal:          65536 kB\nMemFree:           64536 kB\nMemAvailable:      64736 kB\n\
             SwapTotal:             0 kB\nHugePages_Total:       0\n"
        );
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let first = Usage::from_stat("cache 1\ntotal_cache 2048\ntotal_active_anon 4096\nactive_anon 1\n");
        assert_eq!((first.cached, first.active_anon), (2, 4));
        let second = Usage::from_stat("anon 7\nfile 10240\nactive_file 2048\n");
        assert_eq!((second.cached, second.active_file), (10, 2));
        assert_eq!(Usage::of("/nowhere".as_ref()), Usage::default());
    }

    #[test]
    fn structs_have_the_kernels_size() {
        assert_eq!((init().len(), attributes(5).len()), (64, 104));
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_asks_is_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(question) = question(&bytes)
                && let Some(reply) = answer(&question, || "some text\n".to_owned())
            {
                let length = u32::from_ne_bytes(reply[..4].try_into().unwrap());
                prop_assert_eq!(length as usize, reply.len());
            }
        }

        #[test]
        fn parts_make_up_the_whole(text in "[a-z]{0,60}", size in 1u32..20) {
            let mut whole = Vec::new();
            loop {
                let mut body = vec![0u8; 8];
                body.extend((whole.len() as u64).to_ne_bytes());
                body.extend(size.to_ne_bytes());
                let more = part(&text, &body);
                if more.is_empty() { break }
                whole.extend(more);
            }
            prop_assert_eq!(whole, text.into_bytes());
        }
    }
}
