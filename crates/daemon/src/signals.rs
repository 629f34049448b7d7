//! What the administrator asks by signals (R21, R22).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM, SIGINT, SIGQUIT: end; with the signal's name.
    Stop(&'static str),
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals of this process, from [`Signals::install`] on.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    int: Signal,
    quit: Signal,
    hup: Signal,
}

impl Signals {
    /// From now on signals are requests and do not end the process.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next request. Several of a kind that came since the last call are one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            name = stop(&mut self.term, &mut self.int, &mut self.quit) => Request::Stop(name),
            _ = self.hup.recv() => Request::Reload,
        }
    }

    /// The next request to end; a SIGHUP waits until [`Signals::next`] is asked.
    pub async fn next_stop(&mut self) -> &'static str {
        stop(&mut self.term, &mut self.int, &mut self.quit).await
    }
}

async fn stop(term: &mut Signal, int: &mut Signal, quit: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
        _ = quit.recv() => "SIGQUIT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Number, getpid, kill_process};

    /// One test, since signals go to the process.
    #[tokio::test]
    async fn r21_r22_each_signal_is_its_request() {
        let mut signals = Signals::install().unwrap();
        for (number, wanted) in [
            (Number::TERM, Request::Stop("SIGTERM")),
            (Number::INT, Request::Stop("SIGINT")),
            (Number::QUIT, Request::Stop("SIGQUIT")),
            (Number::HUP, Request::Reload),
        ] {
            kill_process(getpid(), number).unwrap();
            assert_eq!(signals.next().await, wanted);
        }
        kill_process(getpid(), Number::HUP).unwrap();
        kill_process(getpid(), Number::INT).unwrap();
        assert_eq!(signals.next_stop().await, "SIGINT");
        assert_eq!(signals.next().await, Request::Reload);
    }
}
