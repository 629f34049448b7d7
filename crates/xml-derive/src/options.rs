//! What stands in `#[xml(…)]`.

use syn::{
    Attribute, DeriveInput, Expr, ExprPath, Field, GenericArgument, LitStr, PathArguments, Type, Variant,
};

/// What a type as a whole is.
pub enum Kind {
    /// A struct, or an enum of words.
    Plain,
    /// A struct whose element keeps its end tag even if it is empty.
    StayOpen,
    /// An enum of unlike elements.
    Choice,
    /// An enum whose variant is named by an attribute of the element.
    Tag(String),
}

impl Kind {
    pub fn of(input: &DeriveInput) -> syn::Result<Self> {
        let mut kind = Self::Plain;
        each(&input.attrs, |meta| {
            if meta.path.is_ident("choice") {
                kind = Self::Choice;
            } else if meta.path.is_ident("stay_open") {
                kind = Self::StayOpen;
            } else if meta.path.is_ident("tag") {
                kind = Self::Tag(meta.value()?.parse::<LitStr>()?.value());
            } else {
                return Err(meta.error("expected `choice`, `tag = \"…\"` or `stay_open`"));
            }
            Ok(())
        })?;
        Ok(kind)
    }
}

/// What a field is in the element.
pub enum Role {
    Attribute(String),
    Child(String),
    /// A child that is there for the sake of one attribute.
    ChildAttribute {
        child: String,
        attribute: String,
    },
    Flag(String),
    Text,
    Choices,
    Flatten,
    Raw(String),
    Rest,
    Skip,
}

/// How often it can be there.
#[derive(PartialEq, Eq, Clone, Copy)]
pub enum Count {
    One,
    Optional,
    OptionalBoxed,
    Many,
}

/// All that is said about a field.
pub struct Options {
    pub role: Role,
    pub count: Count,
    /// The value where the document has none.
    pub default: Option<Expr>,
    /// Module with `parse` and `format`.
    pub with: Option<ExprPath>,
    /// Only in the live, only in the inactive form, only with secrets.
    pub live: bool,
    pub inactive: bool,
    pub secret: bool,
    /// Not in the migratable form.
    pub local: bool,
    /// `fn(&Self, &Form) -> bool`
    pub when: Option<ExprPath>,
    /// `fn(&Self, &Form) -> Option<T>`
    pub shown: Option<ExprPath>,
    /// Name of the element around a list.
    pub within: Option<String>,
    /// Prefix and URI of the child's namespace.
    pub namespace: Option<(String, String)>,
}

#[derive(Default)]
struct Named {
    attr: Option<Option<String>>,
    child: Option<String>,
    flag: Option<Option<String>>,
    name: Option<String>,
    text: bool,
    any: bool,
    flatten: bool,
    raw: bool,
    rest: bool,
    skip: bool,
}

impl Options {
    pub fn of(field: &Field) -> syn::Result<Self> {
        let mut named = Named::default();
        let mut options = Self {
            role: Role::Skip,
            count: count_of(&field.ty),
            default: None,
            with: None,
            live: false,
            inactive: false,
            secret: false,
            local: false,
            when: None,
            shown: None,
            within: None,
            namespace: None,
        };
        each(&field.attrs, |meta| {
            if named.read(&meta)? || options.read(&meta)? {
                Ok(())
            } else {
                Err(meta.error("not known to #[derive(Xml)]"))
            }
        })?;
        options.role = named.role(field)?;
        options.check(field)?;
        Ok(options)
    }

    fn read(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<bool> {
        let text = || -> syn::Result<LitStr> { meta.value()?.parse() };
        let path = &meta.path;
        if path.is_ident("live") {
            self.live = true;
        } else if path.is_ident("inactive") {
            self.inactive = true;
        } else if path.is_ident("secret") {
            self.secret = true;
        } else if path.is_ident("local") {
            self.local = true;
        } else if path.is_ident("default") {
            self.default = Some(match meta.value() {
                Ok(value) => value.parse::<LitStr>()?.parse()?,
                Err(_) => syn::parse_quote!(::core::default::Default::default()),
            });
        } else if path.is_ident("with") {
            self.with = Some(text()?.parse()?);
        } else if path.is_ident("when") {
            self.when = Some(text()?.parse()?);
        } else if path.is_ident("shown") {
            self.shown = Some(text()?.parse()?);
        } else if path.is_ident("within") {
            self.within = Some(text()?.value());
        } else if path.is_ident("namespace") {
            let text = text()?;
            let (prefix, uri) = text
                .value()
                .split_once('=')
                .map(|(p, u)| (p.to_owned(), u.to_owned()))
                .ok_or_else(|| syn::Error::new_spanned(&text, "expected `namespace = \"prefix=uri\"`"))?;
            self.namespace = Some((prefix, uri));
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Combinations that would be ignored in silence are errors.
    fn check(&self, field: &Field) -> syn::Result<()> {
        let value = matches!(
            self.role,
            Role::Attribute(_) | Role::ChildAttribute { .. } | Role::Text
        );
        let child = matches!(self.role, Role::Child(_));
        let wrong = if self.with.is_some() && !value {
            "`with` is for attributes and text"
        } else if self.within.is_some() && !(child && self.count == Count::Many) {
            "`within` is for lists of children"
        } else if self.namespace.is_some() && !child {
            "`namespace` is for children"
        } else if self.shown.is_some() && self.count == Count::Many {
            "`shown` is for single values"
        } else if self.count == Count::Many && matches!(self.role, Role::Attribute(_) | Role::Text) {
            "an attribute or text is not a list; give the list a type of its own"
        } else if self.default.is_some() && self.count != Count::One {
            "`default` is for values that are always there"
        } else {
            return Ok(());
        };
        Err(syn::Error::new_spanned(field, wrong))
    }

    /// The child's name for reading: `{uri}name` in a namespace.
    pub fn read_name(&self, name: &str) -> String {
        self.namespace
            .as_ref()
            .map_or_else(|| name.to_owned(), |(_, uri)| format!("{{{uri}}}{name}"))
    }

    /// The child's name for writing: `prefix:name` in a namespace.
    pub fn write_name(&self, name: &str) -> String {
        self.namespace
            .as_ref()
            .map_or_else(|| name.to_owned(), |(prefix, _)| format!("{prefix}:{name}"))
    }
}

impl Named {
    fn read(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<bool> {
        let optional = || -> syn::Result<Option<String>> {
            if meta.input.peek(syn::Token![=]) {
                Ok(Some(meta.value()?.parse::<LitStr>()?.value()))
            } else {
                Ok(None)
            }
        };
        let path = &meta.path;
        if path.is_ident("attr") {
            self.attr = Some(optional()?);
        } else if path.is_ident("flag") {
            self.flag = Some(optional()?);
        } else if path.is_ident("child") {
            self.child = Some(meta.value()?.parse::<LitStr>()?.value());
        } else if path.is_ident("name") {
            self.name = Some(meta.value()?.parse::<LitStr>()?.value());
        } else {
            let switch = [
                ("text", &mut self.text),
                ("any", &mut self.any),
                ("flatten", &mut self.flatten),
                ("raw", &mut self.raw),
                ("rest", &mut self.rest),
                ("skip", &mut self.skip),
            ];
            let Some((_, switch)) = switch.into_iter().find(|(name, _)| path.is_ident(name)) else {
                return Ok(false);
            };
            *switch = true;
        }
        Ok(true)
    }

    fn role(self, field: &Field) -> syn::Result<Role> {
        let ident = field
            .ident
            .as_ref()
            .map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
        let name = || self.name.clone().or(ident.clone()).unwrap_or_default();
        let plain = [self.text, self.any, self.flatten, self.raw, self.rest, self.skip];
        if plain.iter().filter(|set| **set).count() + usize::from(self.flag.is_some()) > 1 {
            return Err(syn::Error::new_spanned(field, "a field has one role"));
        }
        Ok(match (&self.child, &self.attr) {
            (Some(child), Some(Some(attribute))) => Role::ChildAttribute {
                child: child.clone(),
                attribute: attribute.clone(),
            },
            (Some(child), None) => Role::Child(child.clone()),
            (Some(_), Some(None)) => {
                return Err(syn::Error::new_spanned(
                    field,
                    "`child` with `attr` needs the attribute's name",
                ));
            }
            (None, Some(attribute)) => Role::Attribute(attribute.clone().unwrap_or_else(name)),
            (None, None) if self.flag.is_some() => {
                Role::Flag(self.flag.clone().flatten().unwrap_or_else(name))
            }
            (None, None) if self.text => Role::Text,
            (None, None) if self.any => Role::Choices,
            (None, None) if self.flatten => Role::Flatten,
            (None, None) if self.raw => Role::Raw(name()),
            (None, None) if self.rest => Role::Rest,
            (None, None) if self.skip => Role::Skip,
            (None, None) => Role::Child(name()),
        })
    }
}

/// What the documentation of a field or variant says, in one line.
pub fn about(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|a| a.path().is_ident("doc")).filter_map(|a| {
        let syn::Meta::NameValue(meta) = &a.meta else {
            return None;
        };
        let Expr::Lit(literal) = &meta.value else {
            return None;
        };
        let syn::Lit::Str(text) = &literal.lit else {
            return None;
        };
        Some(text.value().trim().to_owned())
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The type in `Option`, `Vec` or `Box`, or the type itself.
pub fn bare(ty: &Type) -> &Type {
    generic(ty).map_or(ty, |(_, inner)| bare(inner))
}

/// The name of a variant: `name`, or its identifier in kebab case.
pub fn variant_name(variant: &Variant) -> syn::Result<String> {
    let mut name = None;
    each(&variant.attrs, |meta| {
        if meta.path.is_ident("name") {
            name = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        } else {
            Err(meta.error("expected `name = \"…\"`"))
        }
    })?;
    Ok(name.unwrap_or_else(|| kebab(&variant.ident.to_string())))
}

fn kebab(ident: &str) -> String {
    let mut out = String::new();
    for (position, c) in ident.chars().enumerate() {
        if c.is_ascii_uppercase() && position > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(syn::meta::ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attributes
        .iter()
        .filter(|a| a.path().is_ident("xml"))
        .try_for_each(|a| a.parse_nested_meta(&mut read))
}

fn count_of(ty: &Type) -> Count {
    match generic(ty) {
        Some(("Option", inner)) if matches!(generic(inner), Some(("Box", _))) => Count::OptionalBoxed,
        Some(("Option", _)) => Count::Optional,
        Some(("Vec", _)) => Count::Many,
        _ => Count::One,
    }
}

/// `Option<T>` as `("Option", T)`; also `Vec` and `Box`.
fn generic(ty: &Type) -> Option<(&'static str, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let name = ["Option", "Vec", "Box"]
        .into_iter()
        .find(|name| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some((name, inner)),
        _ => None,
    }
}
