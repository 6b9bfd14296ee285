//! A JSON object read field by field, at the door.
//!
//! For every body the APIs take. Each mistake gets an error that names its field; a field that
//! stands twice is refused, because two readers could believe two different values. Refuses to
//! know routes and status codes. The one idea: values stay raw text until somebody asks for them,
//! so numbers keep their digits and what is only forwarded is never rebuilt.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The top level of a JSON object, in its order, each value as its text.
#[derive(Clone, Debug, Default)]
pub struct Body {
    fields: Vec<(String, Box<RawValue>)>,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The bytes are not one JSON object.
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(String),
    /// Two fields of one name.
    #[error("field `{0}` stands twice")]
    Duplicate(String),
    /// A field nobody reads, so a misspelt one is never ignored.
    #[error("unknown field `{0}`")]
    Unknown(String),
    /// A field that must be there is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field is there but its value is not what it should be.
    #[error("field `{field}` is wrong: {reason}")]
    Invalid {
        /// Which one.
        field: String,
        /// In words, with the value.
        reason: String,
    },
}

impl Body {
    /// Reads one JSON object and nothing after it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyError> {
        let body: Self = serde_json::from_slice(bytes)
            .map_err(|error| BodyError::NotAnObject(error.to_string()))?;
        let mut names: Vec<&str> = body.fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(BodyError::Duplicate(shown(pair[0]))),
            None => Ok(body),
        }
    }

    /// The text of a field's value.
    pub fn raw(&self, name: &str) -> Option<&RawValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The names of the fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The value of a field that may be absent; `null` is absent too. The field stays.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, BodyError> {
        self.raw(name).map_or(Ok(None), |raw| decode(name, raw))
    }

    /// Takes a field that may be absent; `null` is absent too.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, BodyError> {
        self.remove(name).map_or(Ok(None), |raw| decode(name, &raw))
    }

    /// Takes a field that must be there.
    pub fn require<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, BodyError> {
        self.take(name)?.ok_or(BodyError::Missing(name))
    }

    /// Takes a field and parses its text with the type's own grammar and error.
    pub fn take_parsed<T>(&mut self, name: &str) -> Result<Option<T>, BodyError>
    where
        T: std::str::FromStr,
        T::Err: fmt::Display,
    {
        self.take::<String>(name)?.map(|text| parsed(name, &text)).transpose()
    }

    /// Takes a field and keeps it as text.
    pub fn remove(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(index).1)
    }

    /// Puts `value` at `name`: in its old place, or at the end.
    pub fn set<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), BodyError> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| invalid(name, error.to_string()))?;
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, old)) => *old = raw,
            None => self.fields.push((name.to_owned(), raw)),
        }
        Ok(())
    }

    /// Ends the reading: whatever was not taken is unknown.
    pub fn finish(self) -> Result<(), BodyError> {
        match self.fields.into_iter().next() {
            Some((name, _)) => Err(BodyError::Unknown(shown(&name))),
            None => Ok(()),
        }
    }
}

/// An error about one field.
pub fn invalid(field: &str, reason: impl fmt::Display) -> BodyError {
    BodyError::Invalid { field: shown(field), reason: reason.to_string() }
}

/// Parses a text found at `field` with the type's own grammar and error.
pub fn parsed<T>(field: &str, text: &str) -> Result<T, BodyError>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| invalid(field, error))
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Body { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn decode<T: DeserializeOwned>(name: &str, raw: &RawValue) -> Result<Option<T>, BodyError> {
    serde_json::from_str(raw.get()).map_err(|error| {
        // The position is within the value and would mislead; the reason is enough.
        let text = error.to_string();
        invalid(name, text.split(" at line ").next().unwrap_or_default())
    })
}

fn shown(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;

    #[test]
    fn mistakes_are_named() {
        let parse = |text: &str| Body::parse(text.as_bytes());
        assert!(matches!(parse("[1]"), Err(BodyError::NotAnObject(_))));
        assert!(matches!(parse("{} {}"), Err(BodyError::NotAnObject(_))));
        assert!(matches!(parse("{\"a\":NaN}"), Err(BodyError::NotAnObject(_))));
        assert_eq!(
            parse("{\"a\":1,\"b\":2,\"a\":1}").unwrap_err(),
            BodyError::Duplicate("a".into())
        );
        let mut body = parse("{\"name\":7,\"price\":\"x\"}").unwrap();
        let error = body.take::<String>("name").unwrap_err().to_string();
        assert!(error.contains("`name`") && !error.contains("line"), "{error}");
        assert!(body.take::<Usd>("price").unwrap_err().to_string().contains("`x`"));
        assert_eq!(body.require::<u64>("size"), Err(BodyError::Missing("size")));
        assert_eq!(parse("{\"nmae\":1}").unwrap().finish(), Err(BodyError::Unknown("nmae".into())));
    }

    #[test]
    fn what_is_not_read_keeps_its_bytes() {
        let text = "{\"n\":12345678901234567890123,\"cap\":1.10,\"z\":{\"b\":1, \"a\":2}}";
        let mut body = Body::parse(text.as_bytes()).unwrap();
        body.set("cap", &7).unwrap();
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            "{\"n\":12345678901234567890123,\"cap\":7,\"z\":{\"b\":1, \"a\":2}}"
        );
    }

    #[test]
    fn null_is_absent() {
        let mut body = Body::parse(b"{\"features\":null}").unwrap();
        assert_eq!(body.take::<Vec<String>>("features").unwrap(), None);
        assert!(body.finish().is_ok());
    }
}
