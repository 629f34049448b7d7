//! Enums of unit variants: values by their words.

use crate::options::variant_name;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput};

pub fn expand(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let ty = &input.ident;
    let names = data
        .variants
        .iter()
        .map(variant_name)
        .collect::<syn::Result<Vec<_>>>()?;
    let variants: Vec<_> = data.variants.iter().map(|variant| &variant.ident).collect();
    Ok(quote! {
        impl #ty {
            /// The words of all values, as documents have them.
            pub const NAMES: &'static [&'static str] = &[#(#names),*];

            /// The word, as documents have it.
            pub const fn as_str(&self) -> &'static str {
                match self { #(Self::#variants => #names,)* }
            }
        }

        impl ::core::fmt::Display for #ty {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::core::str::FromStr for #ty {
            type Err = ::std::string::String;
            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                match text {
                    #(#names => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(::ferrovirt_xml::not_one_of(Self::NAMES)),
                }
            }
        }
    })
}
