//! The two shapes that types of the specification have: objects with known fields, and words of a list.

/// Declares structs. Each field has the name that it has in JSON; `required` before it refuses an object without
/// it, and the others have their type's default then.
macro_rules! objects {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident {
            $( $(#[$doc:meta])* pub $field:ident: $kind:ty = $($required:ident)? $json:literal, )*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$doc])* pub $field: $kind, )*
        }

        impl $crate::spec::Json for $name {
            fn read(
                value: serde_json::Value,
                at: &$crate::spec::Place<'_>,
            ) -> Result<Self, $crate::spec::Fault> {
                let mut fields = $crate::spec::json::Fields::of(value, at)?;
                Ok(Self { $( $field: $crate::spec::shape::field!(fields $json $($required)?), )* })
            }

            fn write(&self) -> serde_json::Value {
                let mut map = serde_json::Map::new();
                $( $crate::spec::json::put(&mut map, $json, &self.$field); )*
                serde_json::Value::Object(map)
            }
        }

        $crate::spec::shape::serde!($name);
    )*};
}

macro_rules! field {
    ($fields:ident $json:literal) => {
        $fields.take($json)?
    };
    ($fields:ident $json:literal required) => {
        $fields.require($json)?
    };
}

/// Declares enums whose values are words.
macro_rules! words {
    ($(
        $(#[$about:meta])*
        pub enum $name:ident {
            $( $(#[$doc:meta])* $variant:ident = $word:literal, )*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $( $(#[$doc])* $variant, )*
        }

        impl $name {
            /// Every value with its word.
            pub const WORDS: &'static [(&'static str, $name)] = &[$( ($word, $name::$variant), )*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( $name::$variant => $word, )*
                }
            }
        }

        impl $crate::spec::Json for $name {
            fn read(
                value: serde_json::Value,
                at: &$crate::spec::Place<'_>,
            ) -> Result<Self, $crate::spec::Fault> {
                let word = value.as_str().unwrap_or_default();
                let found = Self::WORDS.iter().find(|(known, _)| *known == word);
                found.map(|(_, found)| *found).ok_or_else(|| {
                    at.unlike(&value, concat!("one of", $( " ", $word, )*))
                })
            }

            fn write(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }

        $crate::spec::shape::serde!($name);
    )*};
}

/// `serde`'s traits by way of a value, for callers that have these types in structs of their own.
macro_rules! serde {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::spec::Json::write(self).serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                $crate::spec::Json::read(value, &$crate::spec::Place::ROOT)
                    .map_err(<D::Error as serde::de::Error>::custom)
            }
        }
    };
}

pub(super) use {field, objects, serde, words};
