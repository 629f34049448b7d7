//! What network hooks get on standard input (R11): `<hookData>` with the network in full and, for ports, the port.

use std::sync::Arc;

use ferrovirt_model::network::{Network, NetworkPort};
use ferrovirt_xml::{Form, Writer};

/// The document of one call. `connections` is how many ports are plugged in. No newline at the end (R9).
pub(crate) fn hook_data(network: &Network, connections: usize, port: Option<&NetworkPort>) -> Arc<str> {
    let mut writer = Writer::new(Form::LIVE);
    writer.start("hookData");
    writer.element("network", &with_connections(network, connections));
    if let Some(port) = port {
        writer.element("networkport", port);
    }
    writer.end();
    writer.finish().trim_end().into()
}

/// The live document with the number of ports in it.
pub(crate) fn with_connections(network: &Network, connections: usize) -> Network {
    let connections = u32::try_from(connections).ok().filter(|count| *count > 0);
    Network {
        connections,
        ..network.clone()
    }
}

#[cfg(test)]
mod tests {
    use ferrovirt_model::UnknownPolicy;

    use super::*;

    #[test]
    fn r11_a_port_stands_after_its_network_and_no_newline_at_the_end() {
        let network = "<network><name>n1</name><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>\
                       <bridge name='virbr7'/></network>";
        let network = Network::parse(network, UnknownPolicy::Refuse)
            .expect("a network")
            .value;
        let port = "<networkport><uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f2</uuid><owner><name>g</name>\
                    <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f3</uuid></owner><mac address='52:54:00:11:22:33'/>\
                    <plug type='network' bridge='virbr7'/></networkport>";
        let port = NetworkPort::parse(port, UnknownPolicy::Refuse)
            .expect("a port")
            .value;
        assert_eq!(
            &*hook_data(&network, 1, Some(&port)),
            "<hookData>
  <network connections='1'>
    <name>n1</name>
    <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f1</uuid>
    <bridge name='virbr7' stp='on' delay='0'/>
  </network>
  <networkport>
    <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f2</uuid>
    <owner>
      <name>g</name>
      <uuid>5d6c8c5e-0f0a-4a53-9d5c-2f6ac2a0b7f3</uuid>
    </owner>
    <mac address='52:54:00:11:22:33'/>
    <plug type='network' bridge='virbr7'/>
  </networkport>
</hookData>"
        );
        assert!(hook_data(&network, 0, None).starts_with("<hookData>\n  <network>\n"));
    }
}
