//! The command line of `ferrovirtd`. Options that libvirtd has keep their letters and meanings, so
//! that unit files and habits carry over.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Where the system's configuration lies unless the command line says otherwise (R1).
pub const DEFAULT_SYSCONFDIR: &str = match option_env!("FERROVIRT_SYSCONFDIR") {
    Some(dir) => dir,
    None => "/etc",
};

/// What was asked for on the command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "ferrovirtd",
    version,
    about = "Manages virtual machines and networks for clients of libvirt, and calls their hooks",
    after_help = "Signals: HUP reloads the configuration, TERM, INT and QUIT end the daemon; guests and networks \
                  stay up.\nSee ferrovirtd(8) and ferrovirtd.toml(5)."
)]
pub struct Args {
    /// Log what is going on, not only what goes wrong
    #[arg(short, long)]
    pub verbose: bool,
    /// Go into the background once clients can connect
    #[arg(short, long)]
    pub daemon: bool,
    /// End by itself after so many seconds without a client, a running guest or an active network
    #[arg(short, long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
    /// Read this file in place of libvirtd.conf
    #[arg(short = 'f', long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read this file in place of ferrovirtd.toml
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Write the process id here
    #[arg(short, long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Where the configuration of the system lies: hooks are in DIR/libvirt/hooks
    #[arg(long, value_name = "DIR", default_value = DEFAULT_SYSCONFDIR)]
    pub sysconfdir: PathBuf,
    /// Print a completion script for this shell and exit
    #[arg(long, value_name = "SHELL")]
    pub completions: Option<clap_complete::Shell>,
    /// This process was started by `--daemon` and is the one to stay
    #[arg(long, hide = true)]
    pub in_background: bool,
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(0) | Err(_) => Err("not a number of seconds above 0".to_owned()),
        Ok(seconds) => Ok(Duration::from_secs(u64::from(seconds))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("ferrovirtd").chain(words.iter().copied()))
    }

    #[test]
    fn options_of_libvirtd_keep_their_letters() {
        let args = parse(&["-v", "-d", "-t", "120", "-f", "/x.conf", "-p", "/x.pid"]).unwrap();
        assert!(args.verbose && args.daemon);
        assert_eq!(args.timeout, Some(Duration::from_secs(120)));
        assert_eq!(args.config, Some(PathBuf::from("/x.conf")));
        assert_eq!(args.pid_file, Some(PathBuf::from("/x.pid")));
    }

    #[test]
    fn r1_sysconfdir_is_set_at_build_time_and_on_the_command_line() {
        assert_eq!(parse(&[]).unwrap().sysconfdir, PathBuf::from(DEFAULT_SYSCONFDIR));
        assert_eq!(
            parse(&["--sysconfdir", "/usr/local/etc"]).unwrap().sysconfdir,
            PathBuf::from("/usr/local/etc")
        );
    }

    #[test]
    fn a_timeout_of_nothing_is_refused() {
        assert!(parse(&["-t", "0"]).is_err());
        assert!(parse(&["-t", "soon"]).is_err());
    }

    #[test]
    fn the_definition_holds_together() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
