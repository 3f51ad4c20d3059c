//! Where in a config something stands.

use std::fmt;

use serde_json::Value;

/// A place in a JSON value, such as `linux.namespaces[2].path`. Made on the stack on the way down, written out
/// only when something is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

/// From one place to one below it.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    /// The value as a whole.
    Whole,
    /// A field of an object of the specification.
    Field(&'a str),
    /// An item of a list.
    Item(usize),
    /// An entry of an object whose names the config chooses.
    Entry(&'a str),
}

impl Place<'_> {
    /// The value as a whole.
    pub const ROOT: Place<'static> = Place { above: None, step: Step::Whole };

    pub(super) fn field<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place { above: Some(self), step: Step::Field(name) }
    }

    pub(super) fn item(&self, number: usize) -> Place<'_> {
        Place { above: Some(self), step: Step::Item(number) }
    }

    pub(super) fn entry<'a>(&'a self, name: &'a str) -> Place<'a> {
        Place { above: Some(self), step: Step::Entry(name) }
    }

    /// The fault of a value that is something else than what belongs here.
    #[cold]
    pub(super) fn unlike(&self, value: &Value, wanted: &str) -> Fault {
        /// How much of a string is shown.
        const SHOWN: usize = 40;
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::String(text) => {
                let cut = text.char_indices().nth(SHOWN).and_then(|(end, _)| text.get(..end));
                format!("the string `{}`", cut.unwrap_or(text))
            }
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        Fault::new(&self.to_string(), &format_args!("is {found}, must be {wanted}"))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Whole => Ok(()),
            Step::Field(name) => {
                let first = self.above.is_none_or(|above| matches!(above.step, Step::Whole));
                write!(f, "{}{name}", if first { "" } else { "." })
            }
            Step::Item(number) => write!(f, "[{number}]"),
            Step::Entry(name) => write!(f, "[\"{}\"]", name.escape_default()),
        }
    }
}

/// What is wrong with a JSON value, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    path: String,
    why: String,
}

impl Fault {
    pub(super) fn new(path: &str, why: &dyn fmt::Display) -> Self {
        // The value as a whole has no name.
        let path = if path.is_empty() { "syntax" } else { path };
        Self { path: path.to_owned(), why: why.to_string() }
    }

    /// The path of the field, such as `linux.namespaces[2].path`; `syntax` for what is no JSON.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for crate::Error {
    fn from(fault: Fault) -> Self {
        Self::config(&fault.path, &fault.why)
    }
}
