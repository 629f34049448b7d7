//! Scripts with a user, a directory and a sandbox of their own.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::{fs, io};

use ferrovirt_sys::keeper::{Ended, Identity, Report, Sandbox, Step, Surroundings};
use ferrovirt_sys::users;

use crate::support::{Home, Running, can, ended, is_root};

fn nobody() -> Identity {
    users::lookup("nobody").unwrap().identity
}

fn with_user(user: Identity) -> Surroundings {
    Surroundings {
        user: Some(user),
        ..Surroundings::default()
    }
}

fn in_directory(path: impl Into<PathBuf>) -> Surroundings {
    Surroundings {
        cwd: Some(path.into()),
        ..Surroundings::default()
    }
}

fn shut_in(sandbox: Sandbox) -> Surroundings {
    Surroundings {
        sandbox: Some(sandbox),
        ..Surroundings::default()
    }
}

fn read_only(writable: &[PathBuf]) -> Surroundings {
    shut_in(Sandbox {
        read_only_root: true,
        writable: writable.to_vec(),
        ..Sandbox::default()
    })
}

fn not_started(errno: i32, step: Step) -> Report {
    Report::NotStarted { errno, step }
}

/// Whether the kernel has a Landlock that is new enough.
fn has_landlock() -> bool {
    const VERSION_FLAG: u32 = 1;
    const NEEDED: libc::c_long = 3;
    // SAFETY: with this flag the call only returns a number.
    #[allow(unsafe_code, reason = "there is no other way to ask")]
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, VERSION_FLAG) };
    can(version >= NEEDED, "the kernel has no Landlock, or an old one")
}

/// A directory that everybody may enter.
fn open_directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

#[tokio::test]
async fn a_script_runs_as_the_user_that_is_asked_for() {
    if !is_root() {
        return;
    }
    let user = Identity {
        groups: vec![4711, 4712],
        ..nobody()
    };
    let text = "id -u; id -g; id -G; \
        grep -E '^(CapEff|NoNewPrivs):' /proc/self/status; echo again > /dev/stdout; echo error > /dev/stderr";
    let mut it = Running::within(text, with_user(user.clone())).await;
    let (report, out, error) = it.finished().await;
    assert_eq!(report, ended(Ended::Exit(0)), "{error}");
    let (uid, gid) = (user.uid, user.gid);
    let expected =
        format!("{uid}\n{gid}\n{gid} 4711 4712\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nagain\n");
    assert_eq!(out, expected);
    assert_eq!(error, "error\n", "the pipe is the user's");
    // The keeper itself is who it was.
    let mut again = Running::on(it.keeper, "id -u", Surroundings::default()).await;
    assert_eq!(again.finished().await.1, "0\n");
}

#[tokio::test]
async fn a_script_of_another_user_is_ended_like_any_other() {
    if !is_root() {
        return;
    }
    let mut it = Running::within("trap '' TERM; echo ready; sleep 1000", with_user(nobody())).await;
    crate::support::started(it.next().await);
    assert_eq!(it.stdout.read(&mut [0; 10]).await.unwrap(), 6);
    it.keeper.end(std::time::Duration::from_millis(20)).await.unwrap();
    it.until_empty(Ended::Signal(9)).await;
}

#[tokio::test]
async fn who_may_not_become_that_user_is_told_so() {
    if !is_root() {
        return;
    }
    let me = nobody();
    let text = format!(
        "exec setpriv --reuid {} --regid {} --clear-groups env -i $K",
        me.uid, me.gid
    );
    let home = Home::new(&text);
    let own = Identity {
        groups: vec![me.gid],
        ..me.clone()
    };
    let mut it = Running::on(home.keeper().await, "id -u", with_user(own)).await;
    let (report, out, _) = it.finished().await;
    assert_eq!(report, ended(Ended::Exit(0)), "it is that user already");
    assert_eq!(out, format!("{}\n", me.uid));
    let root = Identity::default();
    let mut it = Running::on(it.keeper, "id -u", with_user(root)).await;
    assert_eq!(it.next().await, not_started(libc::EPERM, Step::User));
    let no_network = shut_in(Sandbox {
        network: false,
        ..Sandbox::default()
    });
    let mut it = Running::on(it.keeper, "true", no_network).await;
    assert_eq!(it.next().await, not_started(libc::EPERM, Step::Sandbox));
    assert!(it.keeper.is_there());
}

#[tokio::test]
async fn a_script_runs_in_the_directory_that_is_asked_for() {
    let mut it = Running::within("pwd", in_directory("/usr/bin")).await;
    assert_eq!(it.finished().await.1, "/usr/bin\n");
    let mut it = Running::on(it.keeper, "pwd", in_directory("/no/such")).await;
    assert_eq!(it.next().await, not_started(libc::ENOENT, Step::Directory));
    let mut it = Running::on(it.keeper, "pwd", in_directory("/etc/passwd")).await;
    assert_eq!(it.next().await, not_started(libc::ENOTDIR, Step::Directory));
    let mut it = Running::on(it.keeper, "pwd", Surroundings::default()).await;
    let own = std::env::current_dir().unwrap();
    assert_eq!(it.finished().await.1.trim_end(), own.to_str().unwrap());
    if is_root() {
        let closed = tempfile::tempdir().unwrap();
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let both = Surroundings {
            user: Some(nobody()),
            ..in_directory(closed.path())
        };
        let mut it = Running::on(it.keeper, "pwd", both).await;
        assert_eq!(
            it.next().await,
            not_started(libc::EACCES, Step::Directory),
            "with the user's rights"
        );
    }
}

#[tokio::test]
async fn a_read_only_script_writes_where_it_may_and_nowhere_else() {
    if !has_landlock() {
        return;
    }
    let (open, shut) = (open_directory(), open_directory());
    let file = shut.path().join("file");
    let one = shut.path().join("one");
    fs::write(&file, "kept").unwrap();
    fs::write(&one, "old").unwrap();
    let text = format!(
        "try() {{ if sh -c \"$1\" 2>/dev/null; then echo \"yes $1\"; else echo \"no  $1\"; fi; }}
        O={} S={}; export O S
        try 'echo x > $O/file'; try 'mkdir $O/dir'; try 'rm $O/file'; try 'echo new > $S/one'
        try 'echo x > $S/new'; try 'echo x > $S/file'; try 'echo x >> $S/file'; try 'rm $S/file'
        try 'truncate -s 0 $S/file'; try 'mkdir $S/dir'; try 'ln $S/file $O/link'; try 'mv $S/file $O/'
        try 'mkfifo $S/fifo'; try 'ln -s x $S/symbolic'; try 'echo x > /dev/null'; try 'cat $S/file > /dev/zero'
        try 'cat /etc/passwd > /dev/null'; echo x > /proc/$$/comm && echo own; echo out > /dev/stdout
        grep NoNewPrivs /proc/self/status",
        open.path().display(),
        shut.path().display()
    );
    let surroundings = read_only(&[open.path().to_owned(), one.clone()]);
    let mut it = Running::within(&text, surroundings).await;
    let (report, out, error) = it.finished().await;
    assert_eq!((report, error.as_str()), (ended(Ended::Exit(0)), ""), "{out}");
    let expected = "\
yes echo x > $O/file
yes mkdir $O/dir
yes rm $O/file
yes echo new > $S/one
no  echo x > $S/new
no  echo x > $S/file
no  echo x >> $S/file
no  rm $S/file
no  truncate -s 0 $S/file
no  mkdir $S/dir
no  ln $S/file $O/link
no  mv $S/file $O/
no  mkfifo $S/fifo
no  ln -s x $S/symbolic
yes echo x > /dev/null
yes cat $S/file > /dev/zero
yes cat /etc/passwd > /dev/null
own
out
NoNewPrivs:\t1
";
    assert_eq!(out, expected);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_to_string(&one).unwrap(), "new\n");
    // The next one of the same keeper is free again.
    let mut it = Running::on(it.keeper, "echo x > $D/file", Surroundings::default()).await;
    assert_eq!(it.finished().await.0, ended(Ended::Exit(0)));
}

#[tokio::test]
async fn what_is_to_stay_writable_must_be_there() {
    if !has_landlock() {
        return;
    }
    let mut it = Running::within("true", read_only(&["/no/such".into()])).await;
    assert_eq!(it.next().await, not_started(libc::ENOENT, Step::Sandbox));
    assert!(it.keeper.is_there());
}

#[tokio::test]
async fn a_script_without_network_has_none() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox {
        network: false,
        ..Sandbox::default()
    };
    let text = "readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1; grep -c NoNewPrivs:.1 /proc/self/status";
    let mut it = Running::within(text, shut_in(sandbox)).await;
    let (report, out, _) = it.finished().await;
    assert_eq!(report, ended(Ended::Exit(0)));
    let mut lines = out.lines().map(str::trim);
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(lines.next(), own.to_str());
    assert!(
        lines
            .next_back()
            .is_some_and(|routes| routes == "0" || routes == "1")
    );
    assert!(lines.any(|device| device == "lo"));
}

#[tokio::test]
async fn everything_at_once() {
    if !is_root() || !has_landlock() {
        return;
    }
    let open = open_directory();
    let surroundings = Surroundings {
        user: Some(nobody()),
        cwd: Some(open.path().to_owned()),
        sandbox: Some(Sandbox {
            read_only_root: true,
            writable: vec![open.path().to_owned()],
            network: false,
            ..Sandbox::default()
        }),
    };
    let text = "echo mine > file; sh -c 'echo x > /tmp/not-here' 2>/dev/null || echo refused; echo error > /dev/stderr";
    let mut it = Running::within(text, surroundings).await;
    let (report, out, error) = it.finished().await;
    assert_eq!(
        (report, out.as_str(), error.as_str()),
        (ended(Ended::Exit(0)), "refused\n", "error\n")
    );
    let owner = |path: PathBuf| -> io::Result<u32> {
        use std::os::unix::fs::MetadataExt;
        Ok(fs::metadata(path)?.uid())
    };
    assert_eq!(owner(open.path().join("file")).unwrap(), nobody().uid);
}

#[tokio::test]
async fn r6_a_script_that_is_no_program_is_told_apart_from_its_surroundings() {
    let mut keeper = crate::support::keeper().await;
    let script = ferrovirt_sys::keeper::Script {
        program: "/no/such".into(),
        surroundings: in_directory("/usr"),
        ..Default::default()
    };
    let _ends = crate::support::run(&mut keeper, script).await;
    assert_eq!(
        keeper.next().await.unwrap(),
        not_started(libc::ENOENT, Step::Exec)
    );
}
