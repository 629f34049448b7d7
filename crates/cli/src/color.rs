//! Colours, only for people: on a terminal, and not where `NO_COLOR` is set.

use std::io::IsTerminal;

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Puts colours around texts, or leaves them as they are.
#[derive(Debug)]
pub(crate) struct Colors {
    on: bool,
}

impl Colors {
    /// For standard output.
    pub(crate) fn new(when: When) -> Colors {
        let wanted = || {
            let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            std::io::stdout().is_terminal() && !quiet
        };
        Colors {
            on: match when {
                When::Auto => wanted(),
                When::Always => true,
                When::Never => false,
            },
        }
    }

    /// None.
    #[cfg(test)]
    pub(crate) fn off() -> Colors {
        Colors { on: false }
    }

    fn around(&self, code: &str, text: &str) -> String {
        match self.on {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// A heading.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.around("1", text)
    }

    /// What went well, or was added.
    pub(crate) fn good(&self, text: &str) -> String {
        self.around("32", text)
    }

    /// What went wrong, or was taken away.
    pub(crate) fn bad(&self, text: &str) -> String {
        self.around("31", text)
    }
}
