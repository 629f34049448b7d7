//! The clock: which attribute belongs to which offset, and which to which timer.

use super::{inconsistent, unsupported};
use crate::domain::{Clock, ClockBasis, ClockOffset, TickPolicy, Timer, TimerCatchup, TimerName};
use ferrovirt_xml::XmlError;

/// What is forgotten at the guest's end.
const RESET: &str = "reset";

/// The last second of the year 9999.
const END: u64 = 253_402_300_799;

/// Completes `<clock>`.
pub(super) fn normalize(clock: &mut Clock) -> Result<(), XmlError> {
    let seconds = match clock.adjustment.as_deref() {
        None => None,
        Some(RESET) if clock.offset != ClockOffset::Variable => None,
        Some(text) => match text.trim().parse::<i64>() {
            Ok(seconds) => Some(seconds),
            Err(_) => return Err(inconsistent(format!("unknown clock adjustment '{text}'"))),
        },
    };
    let basis = match clock.offset {
        ClockOffset::Utc => ClockBasis::Utc,
        ClockOffset::Localtime => ClockBasis::Localtime,
        ClockOffset::Variable => clock.basis.unwrap_or_default(),
        ClockOffset::Timezone | ClockOffset::Absolute => ClockBasis::Utc,
    };
    check_attributes(clock)?;
    // So many seconds from UTC are a variable offset by another name.
    if seconds.is_some() || clock.offset == ClockOffset::Variable {
        clock.offset = ClockOffset::Variable;
        clock.basis = Some(basis);
        clock.adjustment = Some(seconds.unwrap_or(0).to_string());
    }
    clock.timers.iter_mut().try_for_each(normalize_timer)
}

fn check_attributes(clock: &Clock) -> Result<(), XmlError> {
    let offset = clock.offset;
    let needs = |attribute: &str, needed: bool, there: bool| {
        if needed && !there {
            return Err(inconsistent(format!(
                "missing '{attribute}' attribute for clock with offset='{offset}'"
            )));
        }
        if !needed && there {
            return Err(unsupported(format!(
                "attribute '{attribute}' means nothing for clock with offset='{offset}'"
            )));
        }
        Ok(())
    };
    needs(
        "timezone",
        offset == ClockOffset::Timezone,
        clock.timezone.is_some(),
    )?;
    needs("start", offset == ClockOffset::Absolute, clock.start.is_some())?;
    if clock.start.is_some_and(|start| start > END) {
        return Err(unsupported(format!(
            "The maximum 'start' value for <clock offset='absolute'> is {END}"
        )));
    }
    if offset != ClockOffset::Variable {
        needs("basis", false, clock.basis.is_some())?;
    }
    if matches!(offset, ClockOffset::Timezone | ClockOffset::Absolute) {
        needs("adjustment", false, clock.adjustment.is_some())?;
    }
    Ok(())
}

fn normalize_timer(timer: &mut Timer) -> Result<(), XmlError> {
    timer.frequency.take_if(|frequency| *frequency == 0);
    if let Some(catchup) = &mut timer.catchup {
        for amount in [&mut catchup.threshold, &mut catchup.slew, &mut catchup.limit] {
            amount.take_if(|amount| *amount == 0);
        }
    }
    if timer.catchup.is_some() && timer.tick_policy != Some(TickPolicy::Catchup) {
        return Err(inconsistent(
            "setting of timer catchup policies is only supported with tickpolicy='catchup'",
        ));
    }
    timer
        .catchup
        .take_if(|catchup| *catchup == TimerCatchup::default());
    let name = timer.name;
    let ticks = matches!(
        name,
        TimerName::Platform | TimerName::Pit | TimerName::Rtc | TimerName::Hpet | TimerName::Armvtimer
    );
    let tracks = matches!(name, TimerName::Platform | TimerName::Rtc);
    for (what, there, fits) in [
        ("tickpolicy", timer.tick_policy.is_some(), ticks),
        ("track", timer.track.is_some(), tracks),
        ("frequency", timer.frequency.is_some(), name == TimerName::Tsc),
        ("mode", timer.mode.is_some(), name == TimerName::Tsc),
    ] {
        if there && !fits {
            return Err(unsupported(format!(
                "timer {name} doesn't support setting of timer {what}"
            )));
        }
    }
    Ok(())
}
