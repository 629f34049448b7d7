//! Numbers that only the kernel and QEMU know. They have a short deadline: a guest that is slow to answer must not
//! make a listing slow (R90).

use std::time::Duration;

use ferrovirt_guest::Figures;

use crate::error::{Error, Plain, Result};
use crate::machine::Machine;
use crate::qmp::commands;

const DEADLINE: Duration = Duration::from_secs(2);

/// Asks kernel and QEMU.
///
/// # Errors
/// The process is gone.
pub async fn figures(guest: &Machine) -> Result<Figures> {
    let pid = guest.process().pid;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| {
        Error::Invalid(format!(
            "cannot read the CPU time of guest '{}': {}",
            guest.name(),
            Plain(&e)
        ))
    })?;
    let cpu_time = cpu_nanoseconds(&stat, rustix::param::clock_ticks_per_second()).unwrap_or(0);
    let balloon = if guest.has_balloon() {
        match guest
            .monitor()
            .execute(&commands::QueryBalloon {}, DEADLINE)
            .await
        {
            Ok(balloon) => Some(balloon.actual / 1024),
            Err(error) => {
                tracing::debug!(guest = guest.name(), %error, "no balloon");
                None
            }
        }
    } else {
        None
    };
    Ok(Figures { cpu_time, balloon })
}

/// User and system time, fields 14 and 15; the name in field 2 may hold anything.
fn cpu_nanoseconds(stat: &str, ticks_per_second: u64) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    (user + system).checked_mul(1_000_000_000 / ticks_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_of_a_process_with_any_name() {
        let stat = "5 (a ) b) S 1 5 5 0 -1 4194560 1 0 0 0 7 3 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_nanoseconds(stat, 100), Some(100_000_000));
        assert_eq!(cpu_nanoseconds("", 100), None);
    }
}
