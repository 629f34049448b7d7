//! `ferrovirt why`: why a guest or network is as it is.

use std::io::Write;

use ferrovirt_wire::own::WhyQuestion;

use crate::daemon::{Error, Where};
use crate::output;

/// What is explained.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The guest or network (name or uuid)
    object: String,
    /// Its driver, where a guest and a network have the same name
    #[arg(long)]
    driver: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the daemon's answer.
pub(crate) fn why(at: &Where, options: &Options) -> Result<(), Error> {
    let story = at.ask(&WhyQuestion {
        driver: options.driver.clone(),
        object: options.object.clone(),
    })?;
    let mut out = std::io::stdout().lock();
    if options.json {
        return output::json(&mut out, &story);
    }
    let text = story
        .get("text")
        .and_then(|text| text.as_str())
        .unwrap_or_default();
    writeln!(out, "{}", text.trim_end())?;
    Ok(())
}
