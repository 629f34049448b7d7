//! dnsmasq's script: writes each DHCP lease of a network down where libvirt's users look for it, and gives dnsmasq its
//! leases back when it starts.
//!
//! dnsmasq runs one script at a time, so the file needs no lock. The environment says which file it is
//! (`FERROVIRT_LEASES`); it comes from whoever started dnsmasq.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use ferrovirt_network::lease::{Book, Event};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let env = std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    });
    match run(&args, &env.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("ferrovirt-lease: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String], env: &HashMap<String, String>) -> Result<(), String> {
    let path = env
        .get("FERROVIRT_LEASES")
        .ok_or("FERROVIRT_LEASES does not say which file it is")?;
    let path = Path::new(path);
    let mut book = Book::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match Event::read(args, env, &book)? {
        None => return Ok(()),
        Some(Event::Init) => {
            print!("{}", book.to_dnsmasq(now()));
            return Ok(());
        }
        Some(Event::Put(entry)) => book.put(entry),
        Some(Event::Delete(ip)) => book.remove(&ip),
    }
    ferrovirt_sys::durable::write(path, book.to_text().as_bytes(), 0o644)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
