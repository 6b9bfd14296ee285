//! Reads the filter language, and says which token it cannot read.
//!
//! A small hand-written descent: tokens first, each with its place, then `or` over `and` over
//! `not`. Refuses to know rows.
//!
//! ```text
//! any  := all ("or" all)*
//! all  := one ("and"? one)*
//! one  := "not" one | "(" any ")" | field sign value | word
//! sign := ":" "=" "!=" "<" "<=" ">" ">="
//! ```

use tollgate_shared::money::Usd;

use super::{Filter, FilterError, Name, Order, Pattern};

/// Reads a filter; an empty text is no filter.
pub(super) fn read(text: &str) -> Result<Option<Filter>, FilterError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader { tokens, next: 0, depth: 0 };
    let filter = reader.any()?;
    match reader.peek() {
        Some(token) => Err(token.error("nothing opened this bracket")),
        None => Ok(Some(filter)),
    }
}

/// A word as it was typed, with its place, so that an error can point at it.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    start: usize,
    length: usize,
    quoted: bool,
}

impl Token {
    /// The error that points here.
    fn error(&self, why: impl Into<String>) -> FilterError {
        FilterError { start: self.start, length: self.length, why: why.into() }
    }

    /// Whether it is a word of the language; in quotes it is only text.
    fn is(&self, word: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(word)
    }
}

/// Splits at spaces and brackets; quotes keep both.
fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().enumerate().peekable();
    while let Some((start, letter)) = letters.next() {
        if letter.is_whitespace() {
            continue;
        }
        if letter == '(' || letter == ')' {
            tokens.push(Token { text: letter.into(), start, length: 1, quoted: false });
            continue;
        }
        let mut token = Token { text: String::new(), start, length: 0, quoted: letter == '"' };
        let mut within = false;
        let mut current = Some((start, letter));
        while let Some((at, letter)) = current {
            token.length = at + 1 - start;
            match letter {
                '"' => within = !within,
                _ => token.text.push(letter),
            }
            let ends = |next: char| !within && (next.is_whitespace() || next == '(' || next == ')');
            current = letters.next_if(|(_, next)| !ends(*next));
        }
        if within {
            return Err(token.error("the quote is not closed"));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

/// Where the descent has come to.
struct Reader {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Reader {
    /// The token that comes next, left where it is.
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    /// Takes the next token if it is this word.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(word));
        self.next += usize::from(found);
        found
    }

    /// `a or b or c`.
    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.take("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Filter::Any))
    }

    /// `a and b`, and the same without the word.
    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.one()?];
        loop {
            let joined = self.take("and");
            let ends = self.peek().is_none_or(|token| token.is("or") || token.is(")"));
            if ends && !joined {
                return Ok(one_or(parts, Filter::All));
            }
            parts.push(self.one()?);
        }
    }

    /// A term, `not` a term, or something in brackets.
    fn one(&mut self) -> Result<Filter, FilterError> {
        let Some(token) = self.peek().cloned() else {
            let last = self.tokens.last().cloned();
            return Err(last.map_or_else(
                || FilterError { start: 0, length: 0, why: "nothing to look for".into() },
                |token| token.error("something must follow"),
            ));
        };
        self.next += 1;
        if token.is("not") || token.is("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(token.error(format!("deeper than {DEPTH_MAX} brackets")));
            }
            let inner =
                if token.is("not") { Filter::Not(Box::new(self.one()?)) } else { self.any()? };
            if token.is("(") && !self.take(")") {
                return Err(token.error("the bracket is not closed"));
            }
            self.depth -= 1;
            return Ok(inner);
        }
        if token.is(")") || token.is("or") || token.is("and") {
            return Err(token.error("something must come before"));
        }
        term(&token)
    }
}

/// A list of one is its only member: the tree shows what was meant, not how it was read.
fn one_or(mut parts: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// `field`, a sign, a value; without a sign the whole is a word to look for.
fn term(token: &Token) -> Result<Filter, FilterError> {
    let Some(at) = token.text.find([':', '=', '<', '>', '!']).filter(|_| !token.quoted) else {
        return Ok(Filter::Word(token.text.to_lowercase()));
    };
    let (field, rest) = token.text.split_at(at);
    let operators = ["!=", ">=", "<=", ":", "=", ">", "<"];
    let Some((operator, value)) = operators
        .iter()
        .find_map(|operator| rest.strip_prefix(operator).map(|value| (*operator, value)))
    else {
        return Err(token.error("`!` is written before `=`"));
    };
    if value.is_empty() {
        return Err(token.error("a value must follow"));
    }
    if let Some(name) = name(field) {
        return names(token, name, operator, value);
    }
    let order = match operator {
        "<" => Order::Less,
        "<=" => Order::AtMost,
        ">" => Order::More,
        ">=" => Order::AtLeast,
        _ => Order::Equal,
    };
    let filter = match field {
        "cost" => Filter::Cost(order, usd(value).ok_or_else(|| unit(token, "$0.05 or 5¢"))?),
        "lat" | "latency" => {
            Filter::Latency(order, span_ms(value).ok_or_else(|| unit(token, "2s or 800ms"))?)
        }
        "tok" | "tokens" => {
            Filter::Tokens(order, count(value).ok_or_else(|| unit(token, "5000 or 5k"))?)
        }
        "since" => {
            let ms = span_ms(value).ok_or_else(|| unit(token, "15m or 1h"))?;
            Filter::Since(i64::try_from(ms).unwrap_or(i64::MAX))
        }
        _ => return Err(token.error(format!("no field `{field}`; there are {FIELDS}"))),
    };
    Ok(if operator == "!=" { Filter::Not(Box::new(filter)) } else { filter })
}

/// The error that shows by example which unit is wanted.
fn unit(token: &Token, example: &str) -> FilterError {
    token.error(format!("a value such as {example}"))
}

/// The name that a field stands for.
fn name(field: &str) -> Option<Name> {
    Some(match field {
        "run" => Name::Run,
        "agent" => Name::Agent,
        "prov" | "provider" => Name::Provider,
        "model" => Name::Model,
        "req" | "request" => Name::Request,
        "status" => Name::Status,
        "why" => Name::Why,
        _ => return None,
    })
}

/// A name against one or more patterns, any of which may fit.
fn names(token: &Token, name: Name, operator: &str, value: &str) -> Result<Filter, FilterError> {
    let patterns = value.split(',').filter(|part| !part.is_empty()).map(Pattern::new).collect();
    let filter = Filter::Name(name, patterns);
    match operator {
        ":" | "=" => Ok(filter),
        "!=" => Ok(Filter::Not(Box::new(filter))),
        _ => Err(token.error("a name is compared with `:`, `=` or `!=`")),
    }
}

/// Dollars, or cents with `¢`.
fn usd(text: &str) -> Option<Usd> {
    match text.strip_suffix('¢') {
        Some(cents) => {
            let amount: Usd = cents.parse().ok()?;
            Some(Usd::from_picos(amount.picos() / 100))
        }
        None => text.strip_prefix('$').unwrap_or(text).parse().ok(),
    }
}

/// A count with `k` or `M`.
fn count(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    scaled(digits, factor)
}

/// Milliseconds of a span with its unit; a bare number is seconds.
pub(crate) fn span_ms(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let found = units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)));
    let (digits, factor) = found.unwrap_or((text, 1_000));
    scaled(digits, factor)
}

/// A decimal times a whole factor, without a float on the way.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    let amount: Usd = digits.parse().ok()?;
    let whole = amount.times(factor).picos() / tollgate_shared::money::PICOS_PER_USD;
    u64::try_from(whole).ok()
}

/// What may stand before a sign, for the message.
const FIELDS: &str = "run agent prov model req status why cost lat tok since";

/// Deepest nesting: no person writes more, and a machine must not fill the stack.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_module_is_read() {
        let text = "run:R-2* cost>0.05 lat>2s status!=ok prov:azure,openai \
                    (agent:Worker* or model:gpt-4) since:15m";
        let Ok(Some(Filter::All(parts))) = read(text) else { panic!("not read") };
        assert_eq!(parts.len(), 7);
        assert_eq!(parts[1], Filter::Cost(Order::More, "0.05".parse().unwrap()));
        assert_eq!(parts[2], Filter::Latency(Order::More, 2_000));
        assert!(matches!(parts[3], Filter::Not(_)));
        assert!(matches!(&parts[4], Filter::Name(Name::Provider, names) if names.len() == 2));
        assert!(matches!(parts[5], Filter::Any(_)));
        assert_eq!(parts[6], Filter::Since(900_000));
    }

    #[test]
    fn units_are_read_exactly() {
        assert_eq!(usd("5¢"), usd("$0.05"));
        assert_eq!(
            [span_ms("2"), span_ms("1.5s"), span_ms("800ms"), span_ms("2h")],
            [Some(2_000), Some(1_500), Some(800), Some(7_200_000)]
        );
        assert_eq!([count("5k"), count("1.5M"), count("x")], [Some(5_000), Some(1_500_000), None]);
    }

    #[test]
    fn a_bad_token_is_named_with_its_place() {
        let rows = [
            ("cost>", 0, "a value"),
            ("run:a cost>abc", 6, "a value such as"),
            ("run:a color:red", 6, "no field `color`"),
            ("(run:a", 0, "not closed"),
            ("run:a )", 6, "nothing opened"),
            ("or run:a", 0, "before"),
            ("run:a or", 6, "follow"),
            ("not", 0, "follow"),
            ("run:\"a", 0, "quote"),
            ("run>a", 0, "compared with"),
            ("run!a", 0, "before `=`"),
        ];
        for (text, start, why) in rows {
            let error = read(text).unwrap_err();
            assert_eq!(error.start, start, "{text}: {error:?}");
            assert!(error.why.contains(why), "{text}: {error:?}");
        }
    }

    #[test]
    fn words_quotes_and_nothing() {
        assert_eq!(read("  "), Ok(None));
        assert_eq!(read("Worker"), Ok(Some(Filter::Word("worker".into()))));
        assert_eq!(read("\"or\""), Ok(Some(Filter::Word("or".into()))));
        assert!(matches!(read("why:\"half open\""), Ok(Some(Filter::Name(Name::Why, _)))));
        assert!(read(&"(".repeat(1_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:<>=!()\" *,0-9.$]{0,40}") {
            if let Err(error) = read(&text) {
                prop_assert!(error.start + error.length <= text.chars().count());
            }
        }
    }
}
