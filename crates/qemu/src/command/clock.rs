//! `-rtc`, the options of timers, sleep states.

use ferrovirt_model::domain::{Clock, ClockBasis, ClockOffset, Domain, TickPolicy, TimerName, TimerTrack};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Arguments, Context};
use crate::define::Chipset;
use crate::error::{Error, Result};

/// Clock, timers, sleep states. QEMU never ends by itself: we end it when a power-off means the end.
pub(super) fn clock_and_power(context: &Context<'_>, args: &mut Arguments) -> Result<()> {
    let doc = context.doc;
    let mut rtc = format!("base={}", base(context)?);
    let mut clocks = doc
        .clock
        .timers
        .iter()
        .filter(|timer| timer.name == TimerName::Rtc);
    if let Some(timer) = clocks.next() {
        rtc += match timer.track {
            Some(TimerTrack::Guest) => ",clock=vm",
            Some(TimerTrack::Wall) => ",clock=host",
            Some(TimerTrack::Realtime) => ",clock=rt",
            Some(TimerTrack::Boot) | None => "",
        };
        if timer.tick_policy == Some(TickPolicy::Catchup) {
            rtc += ",driftfix=slew";
        }
    }
    args.add("-rtc", rtc);
    for timer in doc
        .clock
        .timers
        .iter()
        .filter(|timer| timer.name == TimerName::Pit)
    {
        match timer.tick_policy {
            None | Some(TickPolicy::Delay) => args.add("-global", "kvm-pit.lost_tick_policy=delay"),
            Some(TickPolicy::Discard) => args.add("-global", "kvm-pit.lost_tick_policy=discard"),
            Some(TickPolicy::Catchup | TickPolicy::Merge) => {}
        }
    }
    args.flag("-no-shutdown");
    power(context, args);
    Ok(())
}

/// What the clock shows at boot.
fn base(context: &Context<'_>) -> Result<String> {
    let clock = &context.doc.clock;
    match clock.offset {
        ClockOffset::Utc => Ok("utc".to_owned()),
        // The zone is a variable of QEMU's.
        ClockOffset::Localtime | ClockOffset::Timezone => Ok("localtime".to_owned()),
        ClockOffset::Absolute => {
            let start = i64::try_from(clock.start.unwrap_or(0)).unwrap_or(i64::MAX);
            moment(start, TimeZone::UTC, clock)
        }
        ClockOffset::Variable => {
            let now = context.given.now.unwrap_or_else(|| Timestamp::now().as_second());
            let zone = match clock.basis.unwrap_or_default() {
                ClockBasis::Utc => TimeZone::UTC,
                ClockBasis::Localtime => TimeZone::system(),
            };
            moment(now.saturating_add(clock.seconds()), zone, clock)
        }
    }
}

fn moment(second: i64, zone: TimeZone, clock: &Clock) -> Result<String> {
    let moment = Timestamp::from_second(second).map_err(|_| {
        Error::Xml(format!(
            "the time of clock with offset='{}' is beyond what a clock shows",
            clock.offset
        ))
    })?;
    Ok(moment.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

fn power(context: &Context<'_>, args: &mut Arguments) {
    let Some(pm) = &context.doc.pm else { return };
    let device = if context.chipset == Chipset::Q35 {
        "ICH9-LPC"
    } else {
        "PIIX4_PM"
    };
    for (state, power) in [("s3", pm.suspend_to_mem), ("s4", pm.suspend_to_disk)] {
        if let Some(enabled) = power.and_then(|power| power.enabled) {
            args.add(
                "-global",
                format!("{device}.disable_{state}={}", u8::from(!enabled)),
            );
        }
    }
}

/// QEMU's variables: its time zone, and those that the document names.
pub(super) fn variables(doc: &Domain) -> Vec<(String, String)> {
    let zone = doc.clock.timezone.clone().map(|zone| ("TZ".to_owned(), zone));
    let named = doc.qemu_commandline.iter().flat_map(|given| &given.env);
    let named = named.map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default()));
    zone.into_iter().chain(named).collect()
}
