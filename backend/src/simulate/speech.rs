//! What a simulated provider says, whole or in frames, in the words of its dialect.
//!
//! Refuses to know connections and bills; it only says how many tokens each frame is worth. The
//! one idea: a token is a word, so a token never takes less than a byte, and what was delivered
//! can be counted by anybody.

mod anthropic;
mod gemini;
mod openai;

use tollgate_shared::provider::Dialect;

use super::fault::Fault;
use super::question::Question;

/// One answer, before it is spoken.
#[derive(Clone, Debug)]
pub(super) struct Speech {
    dialect: Dialect,
    /// The number of the answer; its id is made of it.
    number: u64,
    /// Seconds since 1970.
    created: i64,
    /// The model as a JSON string, quotes and all.
    model: String,
    /// Whether an OpenAI stream tells its usage.
    include_usage: bool,
    choices: u64,
    /// Tokens of the question.
    input: u64,
    /// Tokens of each choice.
    said: u64,
    /// The cap cut it short, and it says so.
    is_capped: bool,
    /// What it does wrong.
    fault: Option<Fault>,
}

/// The next thing that happens on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This leaves; it is worth so many tokens.
    Send { text: String, tokens: u64 },
    /// Nothing happens any more.
    Hang,
    /// The connection breaks.
    Break,
    /// The stream is over.
    End,
}

impl Speech {
    /// The answer number `number` to a question.
    pub fn new(
        dialect: Dialect,
        question: &Question,
        fault: Option<Fault>,
        number: u64,
        created: i64,
    ) -> Self {
        let said = match (fault, question.cap) {
            (Some(Fault::OverCap), Some(cap)) => cap + cap / 2 + 1,
            _ => question.said_tokens(),
        };
        Self {
            dialect,
            number,
            created,
            // The only text of the caller's that is repeated, so the only one to escape.
            model: serde_json::Value::from(question.model.as_str()).to_string(),
            include_usage: question.include_usage,
            choices: question.choices,
            input: question.input_tokens,
            said,
            is_capped: question.is_capped(),
            fault,
        }
    }

    /// Output of all choices.
    pub fn tokens(&self) -> u64 {
        self.said.saturating_mul(self.choices)
    }

    /// Whether its stream comes in small pieces.
    pub fn is_split(&self) -> bool {
        self.fault == Some(Fault::Split)
    }

    /// The whole answer.
    pub fn whole(&self) -> String {
        match self.dialect {
            Dialect::Openai => openai::whole(self),
            Dialect::Anthropic => anthropic::whole(self),
            Dialect::Gemini => gemini::whole(self),
        }
    }

    /// The answer as a stream.
    pub fn frames(self) -> Frames {
        Frames { speech: self, spoken: 0, stage: Stage::Opening }
    }

    /// The text of one choice.
    fn text(&self) -> String {
        let mut text = String::new();
        for index in 0..self.said {
            text.push_str(word(index));
        }
        text
    }

    /// The output as the usage reports it; `None` where there is no report at all.
    fn reported(&self, honest: u64) -> Option<String> {
        match self.fault {
            Some(Fault::NoUsage) => None,
            Some(Fault::NegativeUsage) => Some("-5".to_owned()),
            Some(Fault::HugeUsage) => Some("1e308".to_owned()),
            Some(Fault::TextUsage) => Some("\"many\"".to_owned()),
            _ => Some(honest.to_string()),
        }
    }

    /// What comes before the first word.
    fn opening(&self) -> String {
        match self.dialect {
            Dialect::Openai => openai::opening(self),
            Dialect::Anthropic => anthropic::opening(self),
            Dialect::Gemini => String::new(),
        }
    }

    /// Word number `index` of a choice.
    fn frame(&self, choice: u64, index: u64) -> String {
        match self.dialect {
            Dialect::Openai => openai::frame(self, choice, word(index)),
            Dialect::Anthropic => anthropic::frame(word(index)),
            Dialect::Gemini => gemini::frame(self, index),
        }
    }

    /// What stands between the last word and the terminal event.
    fn closing(&self) -> String {
        match self.dialect {
            Dialect::Openai => openai::closing(self),
            Dialect::Anthropic => anthropic::closing(self),
            Dialect::Gemini => String::new(),
        }
    }

    /// The event after which nothing counts.
    fn terminal(&self) -> String {
        match self.dialect {
            Dialect::Openai => "data: [DONE]\n\n".to_owned(),
            Dialect::Anthropic => anthropic::TERMINAL.to_owned(),
            Dialect::Gemini => gemini::terminal(self),
        }
    }

    /// An error in the middle of a stream.
    fn error_event(&self) -> String {
        let error = error_body(self.dialect, 529);
        match self.dialect {
            Dialect::Anthropic => format!("event: error\ndata: {error}\n\n"),
            Dialect::Openai | Dialect::Gemini => format!("data: {error}\n\n"),
        }
    }
}

/// A stream that is being spoken.
#[derive(Debug)]
pub(super) struct Frames {
    speech: Speech,
    /// Words so far, of all choices.
    spoken: u64,
    stage: Stage,
}

/// Where a stream is; faults shorten or lengthen the way.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Opening,
    Words,
    Closing,
    Terminal,
    /// A second terminal event.
    Again,
    Over,
}

impl Frames {
    /// What happens next.
    pub fn step(&mut self) -> Step {
        let sent = |text| Step::Send { text, tokens: 0 };
        match self.stage {
            Stage::Opening => {
                self.stage = Stage::Words;
                sent(self.speech.opening())
            }
            Stage::Words => self.word(),
            Stage::Closing => {
                self.stage = Stage::Terminal;
                sent(match self.speech.fault {
                    Some(Fault::LongLine) => format!("data: {}\n\n", "x".repeat(LONG_LINE_BYTES)),
                    _ => self.speech.closing(),
                })
            }
            Stage::Terminal => {
                self.stage = match self.speech.fault {
                    Some(Fault::TwoEnds) => Stage::Again,
                    _ => Stage::Over,
                };
                match self.speech.fault {
                    Some(Fault::NoEnd) => Step::End,
                    _ => sent(self.speech.terminal()),
                }
            }
            Stage::Again => {
                self.stage = Stage::Over;
                sent(self.speech.terminal())
            }
            Stage::Over => Step::End,
        }
    }

    /// The next word of the next choice; in the middle of them all, the fault that breaks them off.
    fn word(&mut self) -> Step {
        let total = self.speech.tokens();
        if self.spoken >= total / 2 {
            match self.speech.fault {
                Some(Fault::Cut) => return Step::Break,
                Some(Fault::Hang) => return Step::Hang,
                Some(Fault::Garbage) => return self.last_words("data: {garbage\n\n".to_owned()),
                Some(Fault::ErrorEvent) => return self.last_words(self.speech.error_event()),
                _ => {}
            }
        }
        if self.spoken >= total {
            self.stage = Stage::Closing;
            return self.step();
        }
        let (choice, index) = (self.spoken / self.speech.said, self.spoken % self.speech.said);
        self.spoken += 1;
        Step::Send { text: self.speech.frame(choice, index), tokens: 1 }
    }

    /// Says this instead of the rest.
    fn last_words(&mut self, text: String) -> Step {
        self.stage = Stage::Over;
        Step::Send { text, tokens: 0 }
    }
}

/// The body of an error: the words a client of the dialect expects with this status.
pub(super) fn error_body(dialect: Dialect, status: u16) -> String {
    // The same fault has another name in each dialect.
    let (openai, anthropic, gemini) = match status {
        401 => ("invalid_api_key", "authentication_error", "UNAUTHENTICATED"),
        404 => ("model_not_found", "not_found_error", "NOT_FOUND"),
        429 => ("rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        400..=499 => ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        503 | 529 => ("server_is_overloaded", "overloaded_error", "UNAVAILABLE"),
        _ => ("server_error", "api_error", "INTERNAL"),
    };
    match dialect {
        Dialect::Openai => format!(
            r#"{{"error":{{"message":"simulated {status}","type":"{openai}","param":null,"code":"{openai}"}}}}"#
        ),
        Dialect::Anthropic => format!(
            r#"{{"type":"error","error":{{"type":"{anthropic}","message":"simulated {status}"}}}}"#
        ),
        Dialect::Gemini => format!(
            r#"{{"error":{{"code":{status},"message":"simulated {status}","status":"{gemini}"}}}}"#
        ),
    }
}

/// The word that is token number `index`; every one but the first begins with its space.
fn word(index: u64) -> &'static str {
    let word = WORDS[usize::try_from(index % WORDS.len() as u64).unwrap_or_default()];
    if index == 0 { word.trim_start() } else { word }
}

/// What is said, over and over.
const WORDS: [&str; 16] = [
    " every", " agent", " pays", " its", " toll", " at", " the", " gate", " and", " keeps", " the",
    " receipt", " until", " the", " books", " agree",
];

/// Twice what a reader of lines should take.
const LONG_LINE_BYTES: usize = 2 << 20;
