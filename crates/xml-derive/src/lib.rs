//! `#[derive(Xml)]`: one declaration of an element gives its reader and its writer. What the attributes mean is told,
//! with an example, in the crate `ferrovirt-xml`, which re-exports the macro.

mod choice;
mod options;
mod record;
mod words;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use syn::{Data, DeriveInput, Fields};

/// See the documentation of `ferrovirt_xml`.
#[proc_macro_derive(Xml, attributes(xml))]
pub fn derive_xml(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

fn expand(input: &DeriveInput) -> syn::Result<Tokens> {
    let kind = options::Kind::of(input)?;
    match (&input.data, kind) {
        (Data::Struct(data), options::Kind::Plain) => record::expand(input, data, false),
        (Data::Struct(data), options::Kind::StayOpen) => record::expand(input, data, true),
        (Data::Enum(data), options::Kind::Choice) => choice::by_name(input, data),
        (Data::Enum(data), options::Kind::Tag(attribute)) => choice::by_tag(input, data, &attribute),
        (Data::Enum(data), options::Kind::Plain)
            if data.variants.iter().all(|v| matches!(v.fields, Fields::Unit)) =>
        {
            words::expand(input, data)
        }
        _ => Err(syn::Error::new_spanned(
            &input.ident,
            "Xml is for structs, enums of unit variants, and enums marked #[xml(choice)] or #[xml(tag = \"…\")]",
        )),
    }
}
