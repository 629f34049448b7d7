//! Enums whose variants hold elements: chosen by the element's name, or by one of its attributes.

use crate::options::{about, variant_name};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields, Type, Variant};

/// `#[xml(choice)]`: each variant is an element of its own name.
pub fn by_name(input: &DeriveInput, data: &DataEnum) -> syn::Result<TokenStream> {
    let ty = &input.ident;
    let names = data
        .variants
        .iter()
        .map(variant_name)
        .collect::<syn::Result<Vec<_>>>()?;
    let (mut decode, mut encode, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for (variant, name) in data.variants.iter().zip(&names) {
        let (ident, about) = (&variant.ident, about(&variant.attrs));
        shapes.push(match inner(variant)? {
            Some(inner) => quote!(shape.child::<#inner>(#name, #about);),
            None => quote!(shape.flag(#name, #about);),
        });
        if inner(variant)?.is_some() {
            decode.push(quote! { #name => ::core::option::Option::Some(cursor.read().map(Self::#ident)), });
            encode.push(quote! { Self::#ident(value) => out.element(#name, value), });
        } else {
            decode.push(quote! { #name => {
                cursor.finish();
                ::core::option::Option::Some(::core::result::Result::Ok(Self::#ident))
            } });
            encode.push(quote! { Self::#ident => out.flag(#name), });
        }
    }
    Ok(quote! {
        impl ::ferrovirt_xml::Choice for #ty {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            fn decode(name: &str, cursor: ::ferrovirt_xml::Cursor<'_>)
                -> ::core::option::Option<::core::result::Result<Self, ::ferrovirt_xml::XmlError>>
            {
                match name { #(#decode)* _ => ::core::option::Option::None }
            }

            fn encode(&self, out: &mut ::ferrovirt_xml::Writer) {
                match self { #(#encode)* }
            }

            fn shape(shape: &mut ::ferrovirt_xml::Shape) {
                #(#shapes)*
            }
        }
    })
}

/// `#[xml(tag = "type")]`: an attribute says which variant the element is.
pub fn by_tag(input: &DeriveInput, data: &DataEnum, tag: &str) -> syn::Result<TokenStream> {
    let ty = &input.ident;
    let names = data
        .variants
        .iter()
        .map(variant_name)
        .collect::<syn::Result<Vec<_>>>()?;
    let (mut decode, mut attributes, mut content, mut words, mut shapes) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (variant, name) in data.variants.iter().zip(&names) {
        let ident = &variant.ident;
        if let Some(inner) = inner(variant)? {
            let element = quote!(<#inner as ::ferrovirt_xml::Element>);
            decode.push(quote! { #name => Self::#ident(#element::decode(cursor)?), });
            shapes.push(quote! { #element::shape(shape); });
            attributes.push(quote! { Self::#ident(value) => #element::attributes(value, out), });
            content.push(quote! { Self::#ident(value) => #element::content(value, out), });
            words.push(quote! { Self::#ident(_) => #name, });
        } else {
            decode.push(quote! { #name => Self::#ident, });
            attributes.push(quote! { Self::#ident => {} });
            content.push(quote! { Self::#ident => {} });
            words.push(quote! { Self::#ident => #name, });
        }
    }
    Ok(quote! {
        impl #ty {
            /// The words of all variants, as documents have them.
            pub const NAMES: &'static [&'static str] = &[#(#names),*];

            /// The word of this variant, as documents have it.
            pub const fn as_str(&self) -> &'static str {
                match self { #(#words)* }
            }
        }

        impl ::ferrovirt_xml::Element for #ty {
            fn decode(cursor: &mut ::ferrovirt_xml::Cursor<'_>)
                -> ::core::result::Result<Self, ::ferrovirt_xml::XmlError>
            {
                fn known(word: &str) -> ::core::result::Result<&'static str, ::std::string::String> {
                    let known = #ty::NAMES.iter().find(|name| **name == word);
                    known.copied().ok_or_else(|| ::ferrovirt_xml::not_one_of(#ty::NAMES))
                }
                ::core::result::Result::Ok(match cursor.required_attribute(#tag, known)? {
                    #(#decode)*
                    _ => return ::core::result::Result::Err(cursor.invalid(::ferrovirt_xml::not_one_of(#ty::NAMES))),
                })
            }

            fn attributes(&self, out: &mut ::ferrovirt_xml::Writer) {
                out.attribute(#tag, self.as_str());
                match self { #(#attributes)* }
            }

            fn content(&self, out: &mut ::ferrovirt_xml::Writer) {
                match self { #(#content)* }
            }

            fn shape(shape: &mut ::ferrovirt_xml::Shape) {
                shape.attribute(#tag, "Which of its kinds.");
                #(#shapes)*
            }
        }
    })
}

/// The type that a variant holds, if any.
fn inner(variant: &Variant) -> syn::Result<Option<&Type>> {
    match &variant.fields {
        Fields::Unit => Ok(None),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            Ok(fields.unnamed.first().map(|field| &field.ty))
        }
        _ => Err(syn::Error::new_spanned(
            variant,
            "a variant holds one element or nothing",
        )),
    }
}
