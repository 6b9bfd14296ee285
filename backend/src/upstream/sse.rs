//! Server-sent events, read from bytes as they come.
//!
//! For the streams of every provider. Refuses to know what an event means, and to reconnect: a
//! second connection would be a second bill. The one idea: the reader keeps only the unfinished
//! line and the unfinished event, both capped, so the pieces in which bytes arrive never show.

use std::mem;

/// One event: its name, empty where it has none, and its data lines joined by `\n`.
///
/// Data stays bytes: an event split inside a UTF-8 character is whole again here, and whether
/// it is UTF-8 at all is for whoever parses it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Event {
    /// What stood after `event:`.
    pub name: String,
    /// What stood after `data:`.
    pub data: Vec<u8>,
}

/// A line or an event that grew beyond its cap; the stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an SSE {what} is longer than {limit} bytes")]
pub struct TooLong {
    /// `line` or `event`.
    pub what: &'static str,
    /// Its cap.
    pub limit: usize,
}

/// The state between two pieces of a stream.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was CR: an LF that follows belongs to it.
    after_cr: bool,
    /// The first line is over, so a byte order mark is no longer looked for.
    past_first_line: bool,
}

impl Reader {
    /// Takes the next bytes and adds the events they complete to `events`; those stay there when
    /// a later line is too long.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), TooLong> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend_line(&bytes[..end])?;
            let is_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if is_cr && bytes.is_empty() {
                self.after_cr = true;
            } else if is_cr {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            events.extend(self.end_line()?);
        }
        self.extend_line(bytes)
    }

    /// Ends the stream: a last event whose blank line never came counts as well.
    pub fn finish(&mut self) -> Result<Option<Event>, TooLong> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.dispatch())
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(TooLong { what: "line", limit: LINE_BYTES_MAX });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads the finished line; an empty one completes the event.
    fn end_line(&mut self) -> Result<Option<Event>, TooLong> {
        let mut line = mem::take(&mut self.line);
        let event = self.read_line(&line)?;
        // The buffer goes back, so that a stream of many lines allocates once.
        line.clear();
        self.line = line;
        Ok(event)
    }

    fn read_line(&mut self, mut line: &[u8]) -> Result<Option<Event>, TooLong> {
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        // A comment begins with the colon: its field has no name and matches nothing below.
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => self.extend_data(value)?,
            b"event" => self.event.name = String::from_utf8_lossy(value).trim_end().to_owned(),
            // `id` and `retry` serve reconnection, which we refuse.
            _ => {}
        }
        Ok(None)
    }

    fn extend_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if self.event.data.len() + value.len() >= EVENT_BYTES_MAX {
            return Err(TooLong { what: "event", limit: EVENT_BYTES_MAX });
        }
        if mem::replace(&mut self.has_data, true) {
            self.event.data.push(b'\n');
        }
        self.event.data.extend_from_slice(value);
        Ok(())
    }

    /// The event so far; none where no data line came, as the standard has it.
    fn dispatch(&mut self) -> Option<Event> {
        let event = mem::take(&mut self.event);
        mem::take(&mut self.has_data).then_some(event)
    }
}

/// Longest line, in bytes: 1 MiB. Providers send a few hundred bytes a line; an image inline may
/// take most of a megabyte. Beyond it the stream is an error, never a larger buffer.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Longest data of one event, in bytes: four lines of the longest kind.
pub const EVENT_BYTES_MAX: usize = 4 * LINE_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in pieces {
            reader.push(piece, &mut events).unwrap();
        }
        events.extend(reader.finish().unwrap());
        events
            .into_iter()
            .map(|event| (event.name, String::from_utf8_lossy(&event.data).into_owned()))
            .collect()
    }

    #[test]
    fn lines_become_events() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("data: a\n\n", &[("", "a")]),
            ("data:a\r\n\r\n", &[("", "a")]),
            ("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            ("data: a\ndata: b\n\n", &[("", "a\nb")]),
            ("data\n\n", &[("", "")]),
            ("data:\ndata:\n\n", &[("", "\n")]),
            (": hello\n\ndata: a\n: x\n\n", &[("", "a")]),
            ("event: ping\ndata: {}\n\ndata: b\n\n", &[("ping", "{}"), ("", "b")]),
            ("event: lonely\n\ndata: a\n\n", &[("", "a")]),
            ("\u{feff}data: a\n\n", &[("", "a")]),
            ("data: a   \n\n", &[("", "a   ")]),
            ("data:  a\n\n", &[("", " a")]),
            ("event: stop  \ndata: a\n\n", &[("stop", "a")]),
            ("id: 1\nretry: 5\ndata: a\n\n", &[("", "a")]),
            ("data: a", &[("", "a")]),
            ("data: a\n", &[("", "a")]),
            ("event: end\ndata: a", &[("end", "a")]),
            ("", &[]),
            ("\n\n\n", &[]),
        ];
        for (text, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
            assert_eq!(read([text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_of_a_megabyte_passes_and_a_longer_one_is_an_error() {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        reader.push(b"data: first\n\ndata: ", &mut events).unwrap();
        reader.push(&vec![b'x'; 1_000_000], &mut events).unwrap();
        reader.push(b"\n\n", &mut events).unwrap();
        assert_eq!(events.len(), 2);
        let piece = vec![b'x'; 64 << 10];
        let error = (0..32).find_map(|_| reader.push(&piece, &mut events).err()).unwrap();
        assert_eq!(error.what, "line");
        assert!(reader.line.len() <= LINE_BYTES_MAX);
    }

    #[test]
    fn an_event_of_endless_lines_is_an_error() {
        let mut reader = Reader::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 1 << 19], b"\n"].concat();
        let error = (0..32).find_map(|_| reader.push(&line, &mut Vec::new()).err()).unwrap();
        assert_eq!(error.what, "event");
        assert!(reader.event.data.len() <= EVENT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_events(
            lines in prop::collection::vec(
                ("(data: ?|event: |: |data|)[a-zé😀 ]{0,6}", "\r\n|\n|\r"),
                0..12,
            ),
            cuts in prop::collection::vec(0_usize..200, 0..20),
        ) {
            let text: String = lines.iter().flat_map(|(line, end)| [line.as_str(), end]).collect();
            let whole = read([text.as_bytes()]);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]);
            prop_assert_eq!(&read(pieces), &whole);
            prop_assert_eq!(&read(text.as_bytes().chunks(1)), &whole);
        }
    }
}
