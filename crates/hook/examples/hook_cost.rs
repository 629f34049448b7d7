//! What a hook call costs, with its keeper, its control group and the history, beside a bare `posix_spawn` of the same
//! script with the same document: one at a time, many at once, and in memory over many calls. Prints JSON; `make bench` runs it and knows the budgets.
//!
//! `hook_cost KEEPER [CALLS]`: the path of `ferrovirt-keeper`; how many calls the memory is watched over (100000).

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrovirt_hook::history::{History, Settings};
use ferrovirt_hook::{Call, Driver, Engine, EngineConfig, GuestOperation, HookEvent};

/// Bytes of the document.
const DOCUMENT: usize = 8192;

/// Calls of one kind that are timed one at a time.
const SINGLE: usize = 900;

/// Ours and bare ones take turns after so many of them, so that both meet the same machine.
const BATCH: usize = 10;

/// Calls of each of the workers that run at once.
const EACH: usize = 1200;

/// How often ours and bare ones take turns at that.
const TURNS: usize = 6;

/// Workers that run at once: enough to keep two cores busy.
const WORKERS: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let keeper = args.next().ok_or("hook_cost KEEPER [CALLS]")?;
    let calls: usize = args.next().map_or(Ok(100_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut report = Vec::new();
    for (name, text) in [("true", None), ("sh", Some("#!/bin/sh\ncat > /dev/null\n"))] {
        let hooks = dir.path().join(name);
        std::fs::create_dir(&hooks)?;
        let script = hooks.join("qemu");
        match text {
            Some(text) => {
                std::fs::write(&script, text)?;
                std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
            }
            None => std::os::unix::fs::symlink("/bin/true", &script)?,
        }
        let engine = {
            let _inside = runtime.enter();
            let mut config = EngineConfig::new(&hooks, &keeper);
            config.history = History::open(Settings::new(
                dir.path().join(format!("{name}.history/history.db")),
            ))?;
            Engine::new(config)
        };
        let (ours, bare) = singles(&runtime, &engine, &script)?;
        let (our_rate, bare_rate) = rates(&runtime, &engine, &script)?;
        report.push(format!(
            "\"{name}\": {{\"ours\": {ours}, \"bare\": {bare}, \"our_rate\": {our_rate}, \"bare_rate\": {bare_rate}}}"
        ));
        if name == "true" {
            let (before, after) = runtime.block_on(memory(&engine, calls));
            report.push(format!(
                "\"memory\": {{\"calls\": {calls}, \"before_kib\": {before}, \"after_kib\": {after}}}"
            ));
        }
    }
    println!("{{{}}}", report.join(", "));
    Ok(())
}

fn call() -> Result<Call, ferrovirt_hook::UnknownOperation> {
    let event = HookEvent::guest(Driver::Qemu, "bench", GuestOperation::Prepare)?;
    let document: Arc<str> = "x".repeat(DOCUMENT).into();
    Ok(Call::new(event, Some(document)))
}

fn bare(script: &Path, document: &[u8]) -> std::io::Result<()> {
    let mut child = Command::new(script)
        .args(["bench", "prepare", "begin", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read has closed its end.
        let _ = stdin.write_all(document);
    }
    let mut text = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut text)?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_end(&mut text)?;
    }
    child.wait().map(drop)
}

/// Median seconds of one call, ours and bare.
fn singles(
    runtime: &tokio::runtime::Runtime,
    engine: &Engine,
    script: &Path,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let document = vec![b'x'; DOCUMENT];
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for _ in 0..SINGLE / BATCH {
        let engine = engine.clone();
        // In a task, as the daemon's operations are.
        let task = runtime.spawn(async move {
            let (mut times, call) = (Vec::new(), call().ok()?);
            for _ in 0..BATCH {
                let begin = Instant::now();
                engine.call(call.clone()).await.ok()?;
                times.push(begin.elapsed());
            }
            Some(times)
        });
        ours.extend(runtime.block_on(task)?.ok_or("a call failed")?);
        for _ in 0..BATCH {
            let begin = Instant::now();
            bare(script, &document)?;
            others.push(begin.elapsed());
        }
    }
    Ok((median(ours), median(others)))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// Calls per second of all workers together, ours and bare.
fn rates(
    runtime: &tokio::runtime::Runtime,
    engine: &Engine,
    script: &Path,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let begin = Instant::now();
        let done = runtime.block_on(async {
            let mut workers = tokio::task::JoinSet::new();
            for _ in 0..WORKERS {
                let (engine, call) = (engine.clone(), call());
                workers.spawn(async move {
                    let call = call.ok()?;
                    for _ in 0..EACH / TURNS {
                        engine.call(call.clone()).await.ok()?;
                    }
                    Some(())
                });
            }
            workers.join_all().await
        });
        ours.push(begin.elapsed());
        if !done.iter().all(Option::is_some) {
            return Err("a call failed".into());
        }
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let document = vec![b'x'; DOCUMENT];
                    (0..EACH / TURNS).try_for_each(|_| bare(script, &document))
                });
            }
        });
        others.push(begin.elapsed());
    }
    let calls = (WORKERS * EACH / TURNS) as f64;
    Ok((calls / median(ours), calls / median(others)))
}

/// Resident memory of this process, KiB, after a tenth of the calls and after all of them.
async fn memory(engine: &Engine, calls: usize) -> (u64, u64) {
    let mut before = 0;
    for number in 0..calls {
        if number == calls / 10 {
            before = resident();
        }
        if let Ok(call) = call() {
            // What a call costs does not depend on how it ends.
            let _ = engine.call(call).await;
        }
    }
    (before, resident())
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
