//! What the rows of the dialects' tests are made with.

use bytes::Bytes;
use serde_json::Value;
use tollgate_shared::body::Body;
use tollgate_shared::id::ModelName;
use tollgate_shared::provider::{Dialect, Endpoint};
use tollgate_shared::usage::Usage;

use super::{Ask, Stamp, StreamReader, Untranslatable, answer, outgoing};

/// The model of every row.
pub fn model() -> &'static ModelName {
    static MODEL: std::sync::OnceLock<ModelName> = std::sync::OnceLock::new();
    MODEL.get_or_init(|| "m-1".parse().unwrap())
}

pub fn payload(text: &str) -> Body {
    Body::parse(text.as_bytes()).unwrap()
}

pub fn ask(payload: &Body) -> Ask<'_> {
    Ask { payload, model: model(), cap: None, output_at_most: 4096, stream: false }
}

pub fn stamp() -> Stamp<'static> {
    Stamp { id: "req-1", created: 1_700_000_000, model: model() }
}

pub fn endpoint() -> Endpoint {
    "http://localhost:1".parse().unwrap()
}

/// The body that a payload becomes.
pub fn sent(dialect: Dialect, text: &str, cap: Option<u64>) -> Result<Value, Untranslatable> {
    let payload = payload(text);
    let ask = Ask { cap, ..ask(&payload) };
    let sent = outgoing(dialect, &endpoint(), &ask)?;
    Ok(serde_json::from_slice(&sent.body).unwrap())
}

/// The field for which a payload is refused.
pub fn refused(dialect: Dialect, fields: &str) -> String {
    let text = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
    sent(dialect, &text, None).map_or_else(|error| error.field, |body| format!("sent {body}"))
}

/// The answer in the OpenAI shape, and its usage.
pub fn answered(dialect: Dialect, body: &str) -> (Value, Option<Usage>) {
    let answer = answer(dialect, &stamp(), body.as_bytes()).unwrap();
    (serde_json::from_str(answer.response.get()).unwrap(), answer.usage)
}

/// A stream that was read to its end.
pub struct Read {
    pub reader: StreamReader,
    pub frames: Vec<Bytes>,
}

impl Read {
    /// What the frames and the tail say: chunks, and `[DONE]` last.
    pub fn chunks(&self, include_usage: bool) -> Vec<Value> {
        let tail = self.reader.tail(include_usage);
        let all: Vec<_> =
            self.frames.iter().chain(&tail).flat_map(|frame| frame.to_vec()).collect();
        let text = String::from_utf8(all).unwrap();
        let mut chunks: Vec<_> = text.split_terminator("\n\n").collect();
        assert_eq!(chunks.pop(), Some("data: [DONE]"));
        chunks
            .into_iter()
            .map(|chunk| serde_json::from_str(chunk.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    /// The text that a client puts together, and why it ended.
    pub fn said(&self) -> (String, Option<String>) {
        let mut text = String::new();
        let mut finish = None;
        for chunk in self.chunks(false) {
            let choice = &chunk["choices"][0];
            text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
        }
        (text, finish)
    }

    /// Name, id and arguments of each call that a client puts together.
    pub fn calls(&self) -> Vec<(String, String, String)> {
        let mut calls: Vec<(String, String, String)> = Vec::new();
        for chunk in self.chunks(false) {
            let call = &chunk["choices"][0]["delta"]["tool_calls"][0];
            let Some(index) = call["index"].as_u64() else { continue };
            let function = &call["function"];
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index as usize, calls.len());
                let name = function["name"].as_str().unwrap();
                calls.push((name.to_owned(), id.to_owned(), String::new()));
            }
            calls[index as usize].2.push_str(function["arguments"].as_str().unwrap());
        }
        calls
    }
}

/// Reads a stream that comes in these pieces.
pub fn read<'a>(dialect: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut reader = StreamReader::new(dialect, &stamp());
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut frames).unwrap();
    }
    reader.end(&mut frames).unwrap();
    Read { reader, frames }
}

/// Reads a stream whole, and byte by byte, which must give the same.
pub fn read_any_split(dialect: Dialect, text: &str) -> Read {
    let whole = read(dialect, [text.as_bytes()]);
    for size in [1, 2, 3, 7] {
        let split = read(dialect, text.as_bytes().chunks(size));
        assert_eq!(split.frames, whole.frames);
        assert_eq!(split.reader.usage(), whole.reader.usage());
        assert_eq!(split.reader.partial_usage(), whole.reader.partial_usage());
        assert_eq!(split.reader.delivered_bytes(), whole.reader.delivered_bytes());
        assert_eq!(split.reader.tail(true), whole.reader.tail(true));
    }
    whole
}

/// One event of a stream for each of these.
pub fn events(data: &[&str]) -> String {
    data.iter().map(|data| format!("data: {data}\n\n")).collect()
}
