fn main() {
    for e in ferrovirt_xml::Shape::of::<ferrovirt_model::domain::Domain>("domain") {
        println!(
            "{}\t{}\t{}",
            e.path,
            e.attributes
                .iter()
                .map(|a| format!("@{}", a.0))
                .collect::<Vec<_>>()
                .join(" "),
            e.about
        );
    }
}
