use ferrovirt_model::domain::Domain;
use ferrovirt_model::{Form, UnknownPolicy};
fn main() {
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).unwrap();
        let out = Domain::parse(&text, UnknownPolicy::Refuse)
            .map_err(|e| e.to_string())
            .and_then(|p| {
                let mut d = p.value;
                ferrovirt_lxc::define::complete(&mut d, &ferrovirt_lxc::define::Host::this())
                    .map_err(|e| e.to_string())?;
                let stored = d.to_xml(&Form::STORED);
                let mut again = Domain::parse(&stored, UnknownPolicy::Refuse)
                    .map_err(|e| format!("AGAIN {e}"))?
                    .value;
                ferrovirt_lxc::define::complete(&mut again, &ferrovirt_lxc::define::Host::this())
                    .map_err(|e| format!("AGAIN {e}"))?;
                if again.to_xml(&Form::STORED) != stored {
                    return Err(format!("UNSTABLE"));
                }
                Ok(d.to_xml(&Form::INACTIVE))
            });
        let name = std::path::Path::new(&path)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace(".in.xml", "");
        match out {
            Ok(x) => println!("=== {name} OK\n{x}"),
            Err(e) => println!("=== {name} ERR\n{e}"),
        }
    }
}
