//! Structs: one element with its attributes, text and children. Each field gives one expression for reading and one
//! statement for writing; what is written first (attributes) and later (text, children) is told apart by its role.

use crate::options::{self, Count, Options, Role};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{DataStruct, DeriveInput, Field, Fields};

/// What one field adds to the functions.
#[derive(Default)]
struct Parts {
    decode: TokenStream,
    /// Evaluated after all other fields: it takes what they left.
    decode_last: bool,
    attributes: TokenStream,
    namespaces: TokenStream,
    content: TokenStream,
}

pub fn expand(input: &DeriveInput, data: &DataStruct, stay_open: bool) -> syn::Result<TokenStream> {
    let ty = &input.ident;
    let Fields::Named(fields) = &data.fields else {
        return Err(syn::Error::new_spanned(ty, "the fields of an element have names"));
    };
    let idents: Vec<&Ident> = fields
        .named
        .iter()
        .filter_map(|field| field.ident.as_ref())
        .collect();
    let (mut parts, mut shapes) = (Vec::new(), Vec::new());
    for (field, ident) in fields.named.iter().zip(&idents) {
        let options = Options::of(field)?;
        parts.push(expand_field(ident, &options));
        shapes.push(shape(field, &options));
    }
    let reading = |last: bool| {
        let chosen = parts
            .iter()
            .zip(&idents)
            .filter(move |(part, _)| part.decode_last == last);
        chosen.map(|(part, ident)| {
            let decode = &part.decode;
            quote! { let #ident = #decode; }
        })
    };
    let (first, last) = (reading(false), reading(true));
    let attributes = parts.iter().map(|part| &part.attributes);
    let namespaces = parts.iter().map(|part| &part.namespaces);
    let content = parts.iter().map(|part| &part.content);
    let stay_open = stay_open.then(|| quote! { out.stay_open(); });
    Ok(quote! {
        impl ::ferrovirt_xml::Element for #ty {
            fn decode(cursor: &mut ::ferrovirt_xml::Cursor<'_>)
                -> ::core::result::Result<Self, ::ferrovirt_xml::XmlError>
            {
                let begin = cursor.begin();
                // Not every element has an attribute, a namespace or content.
                let _ = &begin;
                #(#first)*
                #(#last)*
                ::core::result::Result::Ok(Self { #(#idents),* })
            }

            fn attributes(&self, out: &mut ::ferrovirt_xml::Writer) {
                let _ = &out;
                #(#attributes)*
                #(#namespaces)*
                #stay_open
            }

            fn content(&self, out: &mut ::ferrovirt_xml::Writer) {
                let _ = &out;
                #(#content)*
            }

            fn shape(shape: &mut ::ferrovirt_xml::Shape) {
                let _ = &shape;
                #(#shapes)*
            }
        }
    })
}

/// The statement that says what the field is in the document.
fn shape(field: &Field, options: &Options) -> TokenStream {
    let (about, ty) = (options::about(&field.attrs), options::bare(&field.ty));
    match &options.role {
        Role::Attribute(name) => quote!(shape.attribute(#name, #about);),
        Role::ChildAttribute { child, attribute } => {
            quote!(shape.child_attribute(#child, #attribute, #about);)
        }
        Role::Text => quote!(shape.text();),
        Role::Child(name) => {
            let name = options.write_name(name);
            let child = quote!(shape.child::<#ty>(#name, #about););
            match &options.within {
                Some(outer) => quote!(shape.around(#outer, |shape| { #child });),
                None => child,
            }
        }
        Role::Flag(name) | Role::Raw(name) => quote!(shape.flag(#name, #about);),
        Role::Choices => quote!(<#ty as ::ferrovirt_xml::Choice>::shape(shape);),
        Role::Flatten => {
            let ty = &field.ty;
            quote!(<#ty as ::ferrovirt_xml::Element>::shape(shape);)
        }
        Role::Rest | Role::Skip => TokenStream::new(),
    }
}

fn expand_field(ident: &Ident, options: &Options) -> Parts {
    let mut parts = match &options.role {
        Role::Attribute(name) => attribute(ident, name, options),
        Role::ChildAttribute { child, attribute } => child_attribute(ident, child, attribute, options),
        Role::Text => text(ident, options),
        Role::Child(name) => child(ident, name, options),
        Role::Flag(name) => Parts {
            decode: quote!(cursor.flag(#name)),
            content: quote! { if self.#ident { out.flag(#name); } },
            ..Parts::default()
        },
        Role::Choices => Parts {
            decode: quote!(cursor.choices()?),
            content: quote! { for item in &self.#ident { ::ferrovirt_xml::Choice::encode(item, out); } },
            ..Parts::default()
        },
        Role::Flatten => Parts {
            decode: quote!(::ferrovirt_xml::Element::decode(cursor)?),
            attributes: quote! { ::ferrovirt_xml::Element::attributes(&self.#ident, out); },
            content: quote! { ::ferrovirt_xml::Element::content(&self.#ident, out); },
            ..Parts::default()
        },
        Role::Raw(name) => Parts {
            decode: quote!(cursor.raw(#name)),
            content: quote! { if let ::core::option::Option::Some(source) = &self.#ident { out.raw(source); } },
            ..Parts::default()
        },
        Role::Rest => Parts {
            decode: quote!(cursor.rest(begin)),
            decode_last: true,
            attributes: quote! { out.hold(&self.#ident); },
            ..Parts::default()
        },
        Role::Skip => Parts {
            decode: quote!(::core::default::Default::default()),
            ..Parts::default()
        },
    };
    parts.attributes = guarded(parts.attributes, options);
    parts.content = guarded(parts.content, options);
    parts
}

/// The field's function from text to value.
fn parser(options: &Options) -> TokenStream {
    options
        .with
        .as_ref()
        .map_or_else(|| quote!(::ferrovirt_xml::parse), |with| quote!(#with::parse))
}

/// The value as it is written.
fn formatted(options: &Options) -> TokenStream {
    options
        .with
        .as_ref()
        .map_or_else(|| quote!(value), |with| quote!(&#with::format(value)))
}

/// Calls `write` (a statement about `value: &T`) for the value or values to be written.
fn for_value(ident: &Ident, options: &Options, write: &TokenStream) -> TokenStream {
    if let Some(shown) = &options.shown {
        return quote! {
            if let ::core::option::Option::Some(value) = &#shown(self, out.form()) { #write }
        };
    }
    match options.count {
        Count::One => quote! { { let value = &self.#ident; #write } },
        Count::Optional => quote! { if let ::core::option::Option::Some(value) = &self.#ident { #write } },
        Count::OptionalBoxed => {
            quote! { if let ::core::option::Option::Some(value) = self.#ident.as_deref() { #write } }
        }
        Count::Many => quote! { for value in &self.#ident { #write } },
    }
}

/// An expression of `Option<T>` becomes one of the field's type.
fn settled(optional: &TokenStream, required: &TokenStream, options: &Options) -> TokenStream {
    match (options.count, &options.default) {
        (Count::One, Some(default)) => quote!(#optional.unwrap_or_else(|| #default)),
        (Count::One, None) => required.clone(),
        (Count::OptionalBoxed, _) => quote!(#optional.map(::std::boxed::Box::new)),
        (Count::Optional | Count::Many, _) => optional.clone(),
    }
}

fn attribute(ident: &Ident, name: &str, options: &Options) -> Parts {
    let (parse, value) = (parser(options), formatted(options));
    let decode = settled(
        &quote!(cursor.attribute(#name, #parse)?),
        &quote!(cursor.required_attribute(#name, #parse)?),
        options,
    );
    let attributes = for_value(ident, options, &quote!(out.attribute(#name, #value);));
    Parts {
        decode,
        attributes,
        ..Parts::default()
    }
}

fn child_attribute(ident: &Ident, child: &str, attribute: &str, options: &Options) -> Parts {
    let (parse, value) = (parser(options), formatted(options));
    let decode = if options.count == Count::Many {
        quote!(cursor.child_attributes(#child, #attribute, #parse)?)
    } else {
        let optional = quote!(cursor.child_attribute(#child, #attribute, #parse)?);
        let required = quote!(cursor.required_child_attribute(#child, #attribute, #parse)?);
        settled(&optional, &required, options)
    };
    let content = for_value(
        ident,
        options,
        &quote!(out.child_attribute(#child, #attribute, #value);),
    );
    Parts {
        decode,
        content,
        ..Parts::default()
    }
}

fn text(ident: &Ident, options: &Options) -> Parts {
    let (parse, value) = (parser(options), formatted(options));
    let decode = settled(
        &quote!(cursor.optional_text(#parse)?),
        &quote!(cursor.text_value(#parse)?),
        options,
    );
    let content = for_value(ident, options, &quote!(out.text(#value);));
    Parts {
        decode,
        content,
        ..Parts::default()
    }
}

fn child(ident: &Ident, name: &str, options: &Options) -> Parts {
    let (read, write) = (options.read_name(name), options.write_name(name));
    let decode = match (&options.within, options.count) {
        (Some(outer), _) => quote!(cursor.many_within(#outer, #read)?),
        (None, Count::Many) => quote!(cursor.many(#read)?),
        (None, _) => settled(
            &quote!(cursor.optional(#read)?),
            &quote!(cursor.required(#read)?),
            options,
        ),
    };
    let element = if options.count == Count::Many || options.count == Count::One {
        quote!(out.element(#write, value);)
    } else {
        quote!(out.optional(#write, ::core::option::Option::Some(value));)
    };
    let mut content = for_value(ident, options, &element);
    if let Some(outer) = &options.within {
        content = quote! { if !self.#ident.is_empty() { out.start(#outer); #content out.end(); } };
    }
    let namespaces = options
        .namespace
        .as_ref()
        .map_or_else(TokenStream::new, |(prefix, uri)| {
            let declare = quote!(out.namespace(#prefix, #uri););
            guarded(
                for_value(ident, options, &quote!(let _ = value; #declare)),
                options,
            )
        });
    Parts {
        decode,
        content,
        namespaces,
        ..Parts::default()
    }
}

/// The statement, only in the forms that the field belongs to.
fn guarded(statement: TokenStream, options: &Options) -> TokenStream {
    if statement.is_empty() {
        return statement;
    }
    let mut conditions = Vec::new();
    if options.live {
        conditions.push(quote!(!out.form().inactive));
    }
    if options.inactive {
        conditions.push(quote!(out.form().inactive));
    }
    if options.secret {
        conditions.push(quote!(out.form().secure));
    }
    if options.local {
        conditions.push(quote!(!out.form().migratable));
    }
    if let Some(when) = &options.when {
        conditions.push(quote!(#when(self, out.form())));
    }
    if conditions.is_empty() {
        statement
    } else {
        quote! { if #(#conditions)&&* { #statement } }
    }
}
