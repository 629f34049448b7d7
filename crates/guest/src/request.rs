//! What a handle sends to the owner of its guest.

use ferrovirt_hook::Origin;
use ferrovirt_model::domain::Domain;
use tokio::sync::oneshot;

use crate::admission::Ask;
use crate::definition::Edit;
use crate::error::Result;
use crate::flags::{Affect, DestroyFlags, Metadata, StartFlags};
use crate::operation::Word;
use crate::plug::DeviceChange;
use crate::tuning::Tuning;

/// Where the answer goes. A client that is gone does not end what it asked for.
pub(crate) type Reply = oneshot::Sender<Result<()>>;

/// A change that is asked for.
pub(crate) enum Request {
    /// With another document than the definition, when there is one.
    Start(StartFlags, Option<Box<Domain>>),
    Destroy(DestroyFlags),
    Say(Word),
    Edit(Edit),
    Describe(Metadata, Affect),
    Tune(Tuning, Affect),
    Device(Box<DeviceChange>, Affect),
}

impl Request {
    /// The row of the admission table; `active` decides which document a change without further words is for.
    pub(crate) fn ask(&self, active: bool) -> Ask {
        match self {
            Request::Start(..) => Ask::Start,
            Request::Destroy(_) => Ask::Destroy,
            Request::Say(_) => Ask::Power,
            Request::Edit(Edit::Undefine(_)) => Ask::Undefine,
            Request::Edit(Edit::Rename(_)) => Ask::Rename,
            Request::Edit(_) => Ask::Define,
            Request::Describe(_, affect) | Request::Tune(_, affect) | Request::Device(_, affect) => {
                match affect.is_live(active) {
                    true => Ask::LiveChange,
                    false => Ask::Define,
                }
            }
        }
    }

    /// What the client called it, for texts.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Request::Start(..) => "start",
            Request::Destroy(_) => "destroy",
            Request::Say(Word::Suspend) => "suspend",
            Request::Say(Word::Resume) => "resume",
            Request::Say(Word::Shutdown(_)) => "shutdown",
            Request::Say(Word::Reboot(_)) => "reboot",
            Request::Say(Word::Reset | Word::Again(_)) => "reset",
            Request::Edit(Edit::Define(_)) => "define",
            Request::Edit(Edit::Undefine(_)) => "undefine",
            Request::Edit(Edit::Autostart(_)) => "autostart",
            Request::Edit(Edit::Rename(_)) => "rename",
            Request::Edit(Edit::Describe(_)) | Request::Describe(..) => "change of metadata",
            Request::Edit(Edit::Tune(_)) | Request::Tune(..) => "change of limits",
            Request::Edit(Edit::Device(change)) | Request::Device(change, _) => change.verb(),
        }
    }
}

/// A request on its way.
pub(crate) struct Envelope {
    pub(crate) request: Request,
    pub(crate) origin: Origin,
    pub(crate) reply: Reply,
}
