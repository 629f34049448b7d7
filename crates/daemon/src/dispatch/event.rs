//! Registering for events, and taking that back. The events themselves go out by [`crate::bulletin`].

use ferrovirt_model::Uuid;
use ferrovirt_wire::procedures::*;
use ferrovirt_wire::{ErrorCode, ErrorDomain, ErrorReply};

use super::Session;
use crate::bulletin::{About, Refusal, Topic};

type Answer<T> = Result<T, ErrorReply>;

pub(super) fn register_domain(
    session: &Session,
    args: ConnectDomainEventCallbackRegisterAnyArgs,
) -> Answer<ConnectDomainEventCallbackRegisterAnyResults> {
    let about = args.dom.map(|dom| About::Uuid(Uuid(dom.uuid)));
    let callback_id = register(session, guests(session)?, args.event_id, about)?;
    Ok(ConnectDomainEventCallbackRegisterAnyResults { callback_id })
}

pub(super) fn deregister_domain(
    session: &Session,
    args: ConnectDomainEventCallbackDeregisterAnyArgs,
) -> Answer<ConnectDomainEventCallbackDeregisterAnyResults> {
    deregister(session, guests(session)?, args.callback_id)?;
    Ok(ConnectDomainEventCallbackDeregisterAnyResults {})
}

pub(super) fn register_network(
    session: &Session,
    args: ConnectNetworkEventRegisterAnyArgs,
) -> Answer<ConnectNetworkEventRegisterAnyResults> {
    let about = args.net.map(|net| About::Uuid(Uuid(net.uuid)));
    let callback_id = register(session, Topic::Network, args.event_id, about)?;
    Ok(ConnectNetworkEventRegisterAnyResults { callback_id })
}

pub(super) fn deregister_network(
    session: &Session,
    args: ConnectNetworkEventDeregisterAnyArgs,
) -> Answer<ConnectNetworkEventDeregisterAnyResults> {
    deregister(session, Topic::Network, args.callback_id)?;
    Ok(ConnectNetworkEventDeregisterAnyResults {})
}

pub(super) fn register_device(
    session: &Session,
    args: ConnectNodeDeviceEventRegisterAnyArgs,
) -> Answer<ConnectNodeDeviceEventRegisterAnyResults> {
    let about = args.dev.map(|dev| About::Name(dev.name));
    let callback_id = register(session, Topic::NodeDevice, args.event_id, about)?;
    // The tree follows the news from the first look at it.
    session.host.devices.snapshot();
    Ok(ConnectNodeDeviceEventRegisterAnyResults { callback_id })
}

pub(super) fn deregister_device(
    session: &Session,
    args: ConnectNodeDeviceEventDeregisterAnyArgs,
) -> Answer<ConnectNodeDeviceEventDeregisterAnyResults> {
    deregister(session, Topic::NodeDevice, args.callback_id)?;
    Ok(ConnectNodeDeviceEventDeregisterAnyResults {})
}

/// The guests that this connection is about.
fn guests(session: &Session) -> Answer<Topic> {
    Ok(Topic::of_guests(session.guests()?.driver()))
}

/// The object need not be there: it may be defined later, with the same uuid.
fn register(session: &Session, topic: Topic, event: i32, about: Option<About>) -> Answer<i32> {
    let registered = session.host.bulletin.register(topic, &session.peer, event, about);
    registered.map_err(|refusal| match (refusal, topic) {
        (Refusal::Unknown, Topic::Domain | Topic::Container) => {
            ErrorReply::internal(ErrorDomain::Rpc, format!("unsupported event ID {event}"))
        }
        (Refusal::Unknown, Topic::Network) => {
            ErrorReply::internal(ErrorDomain::Rpc, format!("unsupported network event ID {event}"))
        }
        (Refusal::Unknown, Topic::NodeDevice) => ErrorReply::internal(
            ErrorDomain::Rpc,
            format!("unsupported node device event ID {event}"),
        ),
        (Refusal::Twice, _) => ErrorReply::new(
            ErrorCode::InvalidArg,
            ErrorDomain::None,
            "event callback already tracked",
        ),
        (Refusal::TooMany, _) => ErrorReply::internal(
            ErrorDomain::Rpc,
            "this connection has too many event callbacks already",
        ),
    })
}

fn deregister(session: &Session, topic: Topic, callback: i32) -> Answer<()> {
    let kind = match topic {
        Topic::Domain | Topic::Container => "domain",
        Topic::Network => "network",
        Topic::NodeDevice => "node device",
    };
    if session.host.bulletin.deregister(topic, &session.peer, callback) {
        Ok(())
    } else {
        let text = format!("{kind} event callback {callback} not registered");
        Err(ErrorReply::internal(ErrorDomain::Rpc, text))
    }
}
