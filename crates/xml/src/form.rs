//! The forms of one document.

/// What a document is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form {
    /// Leaves out what only exists while the object runs (id, aliases, tap devices, …).
    pub inactive: bool,
    /// Writes secrets (the VNC password) too.
    pub secure: bool,
    /// For another, possibly older daemon: leaves out what is implied.
    pub migratable: bool,
}

impl Form {
    /// The running object, without secrets.
    pub const LIVE: Form = Form {
        inactive: false,
        secure: false,
        migratable: false,
    };
    /// The definition, without secrets.
    pub const INACTIVE: Form = Form {
        inactive: true,
        secure: false,
        migratable: false,
    };
    /// The definition as it is stored on disk: with its secrets.
    pub const STORED: Form = Form {
        inactive: true,
        secure: true,
        migratable: false,
    };
    /// The running object as it is stored on disk: with its secrets.
    pub const STATUS: Form = Form {
        inactive: false,
        secure: true,
        migratable: false,
    };
}
