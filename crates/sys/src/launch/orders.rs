//! What the daemon tells the launcher, and what it hears back.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::frame::{Broken, Reader, Writer};
use crate::private_dev::Node;
use crate::process::ProcessId;

/// The word, from the daemon and to the child, that the program may be started: who it will be is written down.
pub(super) const GO: u8 = 1;

/// What is to be started, and how.
#[derive(Debug, Default)]
pub struct Orders {
    /// What is executed, an absolute path; also argv\[0\].
    pub program: PathBuf,
    /// The arguments after argv\[0\].
    pub args: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `/` when not given.
    pub cwd: Option<PathBuf>,
    /// User to become.
    pub uid: Option<u32>,
    /// Group to become.
    pub gid: Option<u32>,
    /// Supplementary groups; where a user or group is given and this is not, there are none.
    pub groups: Option<Vec<u32>>,
    /// File mode mask; the daemon's when not given.
    pub umask: Option<u32>,
    /// Keep root's capabilities; otherwise the program has none and can get none, also as root.
    pub keep_capabilities: bool,
    /// Standard output; `/dev/null` when not given.
    pub stdout: Option<OwnedFd>,
    /// Standard error; `/dev/null` when not given.
    pub stderr: Option<OwnedFd>,
    /// Further descriptors and the numbers (3 or more) that they have in the program.
    pub fds: Vec<(OwnedFd, i32)>,
    /// The files through which the control groups are entered.
    pub cgroups: Vec<PathBuf>,
    /// The nodes of a `/dev` of its own; none: it has the host's.
    pub dev: Option<Vec<Node>>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Limit of locked memory, bytes.
    pub memlock: Option<u64>,
    /// Limit of core files, bytes.
    pub core: Option<u64>,
    /// How willingly the kernel kills the program when memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

const KIND_ORDERS: u8 = 1;
const KIND_STARTED: u8 = 2;
const KIND_NO_EXEC: u8 = 3;
const KIND_FAILED: u8 = 4;
const KIND_READY: u8 = 5;

impl Orders {
    /// Orders with nothing set but the program.
    pub fn new(program: impl Into<PathBuf>) -> Orders {
        Orders {
            program: program.into(),
            ..Orders::default()
        }
    }

    /// The descriptors in the order in which they travel.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.stdout
            .iter()
            .chain(&self.stderr)
            .chain(self.fds.iter().map(|(fd, _)| fd))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Broken> {
        let path = |w: Writer, path: &PathBuf| w.os(&path.clone().into_os_string());
        let numbers: Vec<i32> = self.fds.iter().map(|(_, number)| *number).collect();
        path(Writer::new(KIND_ORDERS), &self.program)
            .list(&self.args, Writer::os)
            .list(&self.env, |w, (name, value)| w.os(name).os(value))
            .option(self.cwd.as_ref(), path)
            .option(self.uid, Writer::u32)
            .option(self.gid, Writer::u32)
            .option(self.groups.as_ref(), |w, groups| {
                w.list(groups, |w, group| w.u32(*group))
            })
            .option(self.umask, Writer::u32)
            .byte(self.keep_capabilities.into())
            .byte(self.stdout.is_some().into())
            .byte(self.stderr.is_some().into())
            .list(&numbers, |w, number| w.i32(*number))
            .list(&self.cgroups, path)
            .option(self.dev.as_ref(), |w, nodes| w.list(nodes, put_node))
            .option(self.nofile, Writer::u64)
            .option(self.memlock, Writer::u64)
            .option(self.core, Writer::u64)
            .option(self.oom_score_adj, Writer::i32)
            .finish()
    }

    pub(super) fn decode(message: &[u8], fds: Vec<OwnedFd>) -> Result<Orders, Broken> {
        let mut reader = Reader::new(message);
        let r = &mut reader;
        if r.byte()? != KIND_ORDERS {
            return Err(Broken("not orders"));
        }
        let path = |r: &mut Reader<'_>| r.os().map(PathBuf::from);
        let mut orders = Orders {
            program: path(r)?,
            args: r.list(Reader::os)?,
            env: r.list(|r| Ok((r.os()?, r.os()?)))?,
            cwd: r.option(path)?,
            uid: r.option(Reader::u32)?,
            gid: r.option(Reader::u32)?,
            groups: r.option(|r| r.list(Reader::u32))?,
            umask: r.option(Reader::u32)?,
            keep_capabilities: r.flag()?,
            ..Orders::default()
        };
        let mut fds = fds.into_iter();
        let mut given = |wanted: bool| match wanted {
            true => fds.next().ok_or(Broken("a descriptor is missing")).map(Some),
            false => Ok(None),
        };
        orders.stdout = given(r.flag()?)?;
        orders.stderr = given(r.flag()?)?;
        for number in r.list(Reader::i32)? {
            orders.fds.extend(given(true)?.map(|fd| (fd, number)));
        }
        orders.cgroups = r.list(path)?;
        orders.dev = r.option(|r| r.list(get_node))?;
        orders.nofile = r.option(Reader::u64)?;
        orders.memlock = r.option(Reader::u64)?;
        orders.core = r.option(Reader::u64)?;
        orders.oom_score_adj = r.option(Reader::i32)?;
        reader.end()?;
        Ok(orders)
    }
}

fn put_node(w: Writer, node: &Node) -> Writer {
    let owner = |w: Writer, (uid, gid): (u32, u32)| w.u32(uid).u32(gid);
    w.os(&node.path.as_os_str().to_owned()).option(node.owner, owner)
}

fn get_node(r: &mut Reader<'_>) -> Result<Node, Broken> {
    Ok(Node {
        path: r.os()?.into(),
        owner: r.option(|r| Ok((r.u32()?, r.u32()?)))?,
    })
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The process is there, and becomes the program when it is told to.
    Ready(ProcessId),
    /// The program runs.
    Started(ProcessId),
    /// `execve` failed.
    NoExec(i32),
    /// Something before it failed.
    Failed { step: String, errno: i32 },
}

impl Answer {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Broken> {
        match self {
            Answer::Ready(id) => Writer::new(KIND_READY).i32(id.pid).u64(id.start_time),
            Answer::Started(id) => Writer::new(KIND_STARTED).i32(id.pid).u64(id.start_time),
            Answer::NoExec(errno) => Writer::new(KIND_NO_EXEC).i32(*errno),
            Answer::Failed { step, errno } => Writer::new(KIND_FAILED).bytes(step.as_bytes()).i32(*errno),
        }
        .finish()
    }

    pub(super) fn decode(message: &[u8]) -> Result<Answer, Broken> {
        let mut r = Reader::new(message);
        let process = |r: &mut Reader<'_>| {
            Ok(ProcessId {
                pid: r.i32()?,
                start_time: r.u64()?,
            })
        };
        let answer = match r.byte()? {
            KIND_READY => Answer::Ready(process(&mut r)?),
            KIND_STARTED => Answer::Started(process(&mut r)?),
            KIND_NO_EXEC => Answer::NoExec(r.i32()?),
            KIND_FAILED => {
                let step = String::from_utf8_lossy(r.bytes()?).into_owned();
                Answer::Failed {
                    step,
                    errno: r.i32()?,
                }
            }
            _ => return Err(Broken("not an answer")),
        };
        r.end()?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_come_back_as_they_went() {
        let id = ProcessId {
            pid: 5,
            start_time: 77,
        };
        let all = [
            Answer::Ready(id),
            Answer::Started(id),
            Answer::NoExec(2),
            Answer::Failed {
                step: "setgroups".to_owned(),
                errno: 1,
            },
        ];
        for answer in all {
            let message = answer.encode().unwrap();
            assert_eq!(Answer::decode(&message[4..]), Ok(answer));
        }
        assert!(Answer::decode(&[9]).is_err());
    }

    #[test]
    fn orders_need_all_their_descriptors() {
        let mut orders = Orders::new("/bin/true");
        orders.fds.push((crate::socket::dev_null().unwrap(), 7));
        orders.stderr = Some(crate::socket::dev_null().unwrap());
        let node = |path: &str, owner| Node {
            path: path.into(),
            owner,
        };
        orders.dev = Some(vec![
            node("/dev/null", None),
            node("/dev/vfio/7", Some((64055, 105))),
        ]);
        let message = orders.encode().unwrap();
        assert_eq!(orders.descriptors().count(), 2);
        assert!(Orders::decode(&message[4..], Vec::new()).is_err());
        let fds = vec![
            crate::socket::dev_null().unwrap(),
            crate::socket::dev_null().unwrap(),
        ];
        let back = Orders::decode(&message[4..], fds).unwrap();
        assert!(back.stdout.is_none() && back.stderr.is_some());
        assert_eq!(back.fds[0].1, 7);
        assert_eq!(back.dev, orders.dev);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Answer::decode(&bytes);
            let mut orders = bytes;
            orders.insert(0, KIND_ORDERS);
            let _ = Orders::decode(&orders, Vec::new());
        }
    }
}
