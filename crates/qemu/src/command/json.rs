//! JSON objects in the order in which they were put together: QEMU does not care, people who compare command
//! lines with libvirt's do.

use std::fmt::Write;

/// An object under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object(String);

impl Object {
    /// `{"driver": name`
    pub(crate) fn driver(name: &str) -> Self {
        Self::default().text("driver", name)
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
    }

    /// A string.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.0.push_str(&quoted(value));
        self
    }

    /// A string, if there is one.
    pub(crate) fn maybe_text(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// A number.
    pub(crate) fn number(mut self, key: &str, value: impl Into<i64>) -> Self {
        self.key(key);
        // Writing to a string does not fail.
        let _ = write!(self.0, "{}", value.into());
        self
    }

    /// A number that may be larger than what has a sign.
    pub(crate) fn unsigned(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        // Writing to a string does not fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// The same, if there is one.
    pub(crate) fn maybe_unsigned(self, key: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.unsigned(key, value),
            None => self,
        }
    }

    /// A number, if there is one.
    pub(crate) fn maybe_number(self, key: &str, value: Option<impl Into<i64>>) -> Self {
        match value {
            Some(value) => self.number(key, value),
            None => self,
        }
    }

    /// true or false.
    pub(crate) fn boolean(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// true or false, if said.
    pub(crate) fn maybe_boolean(self, key: &str, value: Option<bool>) -> Self {
        match value {
            Some(value) => self.boolean(key, value),
            None => self,
        }
    }

    /// A list of numbers.
    pub(crate) fn numbers(mut self, key: &str, values: impl IntoIterator<Item = u32>) -> Self {
        self.key(key);
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        let _ = write!(self.0, "[{}]", values.join(","));
        self
    }

    /// null.
    pub(crate) fn null(mut self, key: &str) -> Self {
        self.key(key);
        self.0.push_str("null");
        self
    }

    /// An object within.
    pub(crate) fn object(mut self, key: &str, value: &Object) -> Self {
        self.key(key);
        self.0.push_str(&value.clone().finish());
        self
    }

    /// An object within, if there is one.
    pub(crate) fn maybe_object(self, key: &str, value: Option<&Object>) -> Self {
        match value {
            Some(value) => self.object(key, value),
            None => self,
        }
    }

    fn items(mut self, key: &str, items: impl Iterator<Item = String>) -> Self {
        self.key(key);
        let texts: Vec<String> = items.collect();
        // Writing to a string does not fail.
        let _ = write!(self.0, "[{}]", texts.join(","));
        self
    }

    /// A list of objects.
    pub(crate) fn list(self, key: &str, values: &[Object]) -> Self {
        self.items(key, values.iter().map(|value| value.clone().finish()))
    }

    /// The same, unless it is empty.
    pub(crate) fn maybe_list(self, key: &str, values: &[Object]) -> Self {
        match values {
            [] => self,
            values => self.list(key, values),
        }
    }

    /// A list of numbers, unless it is empty.
    pub(crate) fn maybe_numbers(self, key: &str, values: &[u32]) -> Self {
        match values {
            [] => self,
            values => self.items(key, values.iter().map(u32::to_string)),
        }
    }

    /// All of another object's members.
    pub(crate) fn append(mut self, other: &Object) -> Self {
        if !self.0.is_empty() && !other.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0);
        self
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_escapes() {
        let inner = Object::default().boolean("direct", true);
        let text = Object::driver("a\"b\\")
            .number("z", 1)
            .null("y")
            .object("c", &inner)
            .maybe_text("x", None)
            .finish();
        assert_eq!(text, r#"{"driver":"a\"b\\","z":1,"y":null,"c":{"direct":true}}"#);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
