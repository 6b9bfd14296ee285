//! The filter language: which receipts to show.
//!
//! ```text
//! run:R-2* cost>0.05 lat>2s status!=ok prov:azure,openai (agent:Worker* or model:gpt-4) since:15m
//! ```
//!
//! Terms beside each other must all hold; `and`, `or`, `not` and brackets do what they say; a word
//! alone is looked for in every name. Refuses to know the screen: it is given a row and the time.

use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::model::{Row, What};

mod parse;

pub(crate) use parse::span_ms;

/// A filter that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Both sides hold; the list is never empty.
    All(Vec<Filter>),
    /// One side holds.
    Any(Vec<Filter>),
    /// The inner one does not hold.
    Not(Box<Filter>),
    /// A name fits one of some patterns.
    Name(Name, Vec<Pattern>),
    /// An amount compares.
    Cost(Order, Usd),
    /// A latency compares, in milliseconds.
    Latency(Order, u64),
    /// A count of tokens compares.
    Tokens(Order, u64),
    /// It happened within this many milliseconds.
    Since(i64),
    /// Some name contains the word.
    Word(String),
}

/// The names that a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Its run.
    Run,
    /// Its agent.
    Agent,
    /// Its provider.
    Provider,
    /// Its model.
    Model,
    /// Its request.
    Request,
    /// Its status.
    Status,
    /// Why its provider was chosen.
    Why,
}

/// How amounts compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `<`.
    Less,
    /// `<=`.
    AtMost,
    /// `=` or `:`.
    Equal,
    /// `>=`.
    AtLeast,
    /// `>`.
    More,
}

/// Text with `*` for anything, in lower case; a plain text also fits as a beginning of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// First letter of the bad token, counted in characters.
    pub start: usize,
    /// Its length in characters.
    pub length: usize,
    /// Why.
    pub why: String,
}

impl Filter {
    /// Reads a filter; an empty text is no filter.
    pub fn read(text: &str) -> Result<Option<Self>, FilterError> {
        parse::read(text)
    }

    /// Whether the row fits, as of `now`.
    pub fn fits(&self, row: &Row, now: Timestamp) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.fits(row, now)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(row, now)),
            Self::Not(part) => !part.fits(row, now),
            Self::Name(name, patterns) => {
                name.of(row).is_some_and(|text| patterns.iter().any(|pattern| pattern.fits(text)))
            }
            Self::Cost(order, amount) => {
                row.sent().is_some_and(|sent| order.holds(sent.cost_usd, *amount))
            }
            Self::Latency(order, ms) => {
                row.sent().is_some_and(|sent| order.holds(sent.latency_ms, *ms))
            }
            Self::Tokens(order, count) => row.sent().is_some_and(|sent| {
                let usage = &sent.usage;
                order.holds(usage.input_tokens().saturating_add(usage.output_tokens()), *count)
            }),
            Self::Since(ms) => now.millis_since(row.at) <= *ms,
            Self::Word(word) => {
                Name::ALL.iter().any(|name| name.of(row).is_some_and(|text| contains(text, word)))
            }
        }
    }
}

impl Name {
    const ALL: [Self; 7] = [
        Self::Run,
        Self::Agent,
        Self::Provider,
        Self::Model,
        Self::Request,
        Self::Status,
        Self::Why,
    ];

    /// The row's text under this name; a refusal has neither provider nor model.
    fn of(self, row: &Row) -> Option<&str> {
        match self {
            Self::Run => Some(row.run.as_str()),
            Self::Agent => Some(row.agent.as_str()),
            Self::Request => Some(row.request.as_str()),
            Self::Status => Some(row.status()),
            Self::Provider => row.sent().map(|sent| sent.provider.as_str()),
            Self::Model => row.sent().map(|sent| sent.model.as_str()),
            Self::Why => match &row.what {
                What::Sent(sent) => Some(&sent.why),
                What::Refused { code, .. } => Some(code),
            },
        }
    }
}

impl Order {
    /// Compares what was found with what was asked for.
    fn holds<T: Ord>(self, found: T, wanted: T) -> bool {
        match self {
            Self::Less => found < wanted,
            Self::AtMost => found <= wanted,
            Self::Equal => found == wanted,
            Self::AtLeast => found >= wanted,
            Self::More => found > wanted,
        }
    }
}

impl Pattern {
    /// Reads a pattern; names are compared without regard to case.
    fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// Walks the pieces between stars from left to right; each must come after the one before.
    fn fits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut pieces = pieces.peekable();
        if pieces.peek().is_none() {
            // `prov:azure` finds `azure-gpt4o`, but `run:R-2` is not meant to find `R-20`.
            return rest.is_empty() || rest.starts_with(['-', '.', '_', ' ', ':']);
        }
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return rest.ends_with(piece);
            }
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

/// Whether a name holds a word that is in lower case already.
fn contains(text: &str, word: &str) -> bool {
    text.to_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names_and_stars_fit_anything() {
        let rows = [
            ("R-2*", "R-207", true),
            ("R-2", "R-207", false),
            ("azure", "azure-gpt4o", true),
            ("*gpt*", "azure-gpt4o", true),
            ("a*4o", "azure-gpt4o", true),
            ("a*4x", "azure-gpt4o", false),
            ("WORKER*", "Worker-CPE-5", true),
            ("*", "anything", true),
            ("cut", "cut off", true),
        ];
        for (pattern, text, fits) in rows {
            assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
        }
    }
}
