//! What a simulated provider does wrong, on purpose.
//!
//! Faults come by chance, from a seed, or by wish, from a marker in the message such as
//! `[fault:reset]`. Refuses to know HTTP. The one idea: each fault says for itself whether it is
//! billed, because that is what the gateway must find out from outside.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::bill::millionths;

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before any answer. Not billed.
    Reset,
    /// A complete answer with this status. Not billed.
    Status(u16),
    /// A redirect to another host. Not billed.
    Redirect,
    /// The request is taken and nothing ever comes. Not billed.
    Silence,
    /// Nothing comes, or half a stream and then nothing. Billed.
    Hang,
    /// A complete 500. Billed whole.
    BillThen500,
    /// The answer ends in the middle. Billed: what was made.
    Cut,
    /// A 200 whose body, or whose stream, is not of the dialect. Billed.
    Garbage,
    /// More output than the request allows. Billed, and reported.
    OverCap,
    /// The answer does not say what was used. Billed, as are all that follow.
    NoUsage,
    /// It says a number below zero.
    NegativeUsage,
    /// It says `1e308`.
    HugeUsage,
    /// It says a word.
    TextUsage,
    /// A stream breaks off with the dialect's error event.
    ErrorEvent,
    /// A stream ends well, but for its terminal event.
    NoEnd,
    /// A stream ends twice.
    TwoEnds,
    /// A stream has a line of two megabytes.
    LongLine,
    /// A stream comes in pieces of five bytes.
    Split,
}

/// Every fault by its name; `status` wants its number behind it.
const NAMES: [(&str, Fault); 17] = [
    ("reset", Fault::Reset),
    ("redirect", Fault::Redirect),
    ("silence", Fault::Silence),
    ("hang", Fault::Hang),
    ("bill_then_500", Fault::BillThen500),
    ("cut", Fault::Cut),
    ("garbage", Fault::Garbage),
    ("over_cap", Fault::OverCap),
    ("no_usage", Fault::NoUsage),
    ("negative_usage", Fault::NegativeUsage),
    ("huge_usage", Fault::HugeUsage),
    ("text_usage", Fault::TextUsage),
    ("error_event", Fault::ErrorEvent),
    ("no_end", Fault::NoEnd),
    ("two_ends", Fault::TwoEnds),
    ("long_line", Fault::LongLine),
    ("split", Fault::Split),
];

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status = text.strip_prefix("status").and_then(|code| code.parse::<u16>().ok());
        if let Some(code @ 400..=599) = status {
            return Ok(Self::Status(code));
        }
        let named = NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, fault)| *fault).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("`{text}` is none of status400 to status599, {}", names.join(", "))
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Status(code) = self {
            return write!(f, "status{code}");
        }
        let name = NAMES.iter().find(|(_, fault)| fault == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// A rule given at start: `reset:0.1` (a share of requests), `slow:2s` (all of them), or
/// `slow:2s:0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRule {
    what: What,
    /// Of a million requests, this many.
    ppm: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Fault(Fault),
    Slow(Duration),
}

impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let (what, share) = match name {
            "slow" => {
                let (span, share) = rest.split_once(':').unwrap_or((rest, ""));
                (What::Slow(self::span(span)?), share)
            }
            name => (What::Fault(name.parse()?), rest),
        };
        let ppm = if share.is_empty() { Some(1_000_000) } else { millionths(share) };
        let ppm = ppm.filter(|ppm| *ppm <= 1_000_000);
        let ppm = ppm.ok_or_else(|| format!("`{share}` is not a share from 0 to 1"))?;
        Ok(Self { what, ppm })
    }
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub fault: Option<Fault>,
    pub slow: Duration,
}

impl Fate {
    /// The fate of request number `count`: the same for the same seed. A draw decides among the
    /// faults, so their shares add up; slowness is drawn apart.
    pub fn draw(rules: &[FaultRule], seed: u64, count: u64) -> Self {
        let mut fate = Self::default();
        if rules.is_empty() {
            return fate;
        }
        let mut state = seed.wrapping_add(count.wrapping_mul(GOLDEN));
        let mut below = next(&mut state) % 1_000_000;
        for rule in rules {
            match rule.what {
                What::Slow(span) if next(&mut state) % 1_000_000 < rule.ppm => fate.slow += span,
                What::Slow(_) => {}
                What::Fault(fault) if fate.fault.is_none() => {
                    fate.fault = (below < rule.ppm).then_some(fault);
                    below = below.wrapping_sub(rule.ppm);
                }
                What::Fault(_) => {}
            }
        }
        fate
    }

    /// Lets what a text wishes for take the place of chance: `[fault:cut]`, `[slow:200ms]`.
    /// A wish that cannot be read is an error, so that a test never passes by a slip.
    pub fn wish(&mut self, text: &str) -> Result<(), String> {
        if let Some(name) = marker(text, "[fault:") {
            self.fault = if name == "none" { None } else { Some(name.parse()?) };
        }
        if let Some(span) = marker(text, "[slow:") {
            self.slow = self::span(span)?;
        }
        Ok(())
    }
}

/// What stands between `open` and the next `]`.
pub(super) fn marker<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    let rest = &text[text.find(open)? + open.len()..];
    rest.split_once(']').map(|(inside, _)| inside)
}

/// A span such as `200ms`, `2s` or `1m`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count = text[..digits].parse::<u32>().ok();
    match (count, &text[digits..]) {
        (Some(count), "ms") => Ok(Duration::from_millis(count.into())),
        (Some(count), "s") => Ok(Duration::from_secs(count.into())),
        (Some(count), "m") => Ok(Duration::from_secs(u64::from(count) * 60)),
        _ => Err(format!("`{text}` is no span such as 200ms, 2s or 1m")),
    }
}

/// The next number of a splitmix64 sequence: small, fast, and good enough for chance on purpose.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// 2^64 divided by the golden ratio: the step of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<FaultRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_name_is_read_and_printed() {
        for (name, fault) in NAMES {
            assert_eq!((name.parse(), fault.to_string().as_str()), (Ok(fault), name));
        }
        assert_eq!("status503".parse(), Ok(Fault::Status(503)));
        assert_eq!(Fault::Status(429).to_string(), "status429");
        for wrong in ["", "boom", "status", "status200", "status9999"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_are_shares() {
        let wrong = [
            "reset:2",
            "reset:-1",
            "slow",
            "slow:fast",
            "slow:2s:x",
            "boom:0.1",
            "slow:5",
            "reset:0.1:2",
        ];
        for wrong in wrong {
            assert!(wrong.parse::<FaultRule>().is_err(), "{wrong}");
        }
        assert_eq!("reset".parse::<FaultRule>().unwrap().ppm, 1_000_000);
        assert_eq!("status503:0.05".parse::<FaultRule>().unwrap().ppm, 50_000);
    }

    #[test]
    fn chance_keeps_its_shares_and_its_seed() {
        let rules = rules(&["reset:0.1", "status503:0.3", "slow:2s:0.5"]);
        let fates = |seed| (0..10_000).map(|n| Fate::draw(&rules, seed, n)).collect::<Vec<_>>();
        let first = fates(7);
        assert_eq!(first, fates(7));
        assert_ne!(first, fates(8));
        let share = |is: fn(&Fate) -> bool| first.iter().filter(|fate| is(fate)).count();
        assert!((900..1100).contains(&share(|fate| fate.fault == Some(Fault::Reset))));
        assert!((2800..3200).contains(&share(|fate| fate.fault == Some(Fault::Status(503)))));
        assert!((4800..5200).contains(&share(|fate| fate.slow == Duration::from_secs(2))));
    }

    #[test]
    fn a_certain_fault_befalls_all_and_an_impossible_none() {
        for n in 0..1000 {
            let fate = Fate::draw(&rules(&["cut:0", "hang:1"]), 1, n);
            assert_eq!(fate.fault, Some(Fault::Hang));
        }
    }

    #[test]
    fn wishes_come_before_chance() {
        let mut fate = Fate::draw(&rules(&["reset"]), 1, 1);
        fate.wish("x [fault:cut] y [slow:200ms]").unwrap();
        let expected = Fate { fault: Some(Fault::Cut), slow: Duration::from_millis(200) };
        assert_eq!(fate, expected);
        fate.wish("plain").unwrap();
        assert_eq!(fate, expected);
        fate.wish("[fault:none]").unwrap();
        assert_eq!(fate.fault, None);
        assert!(fate.wish("[fault:typo]").is_err());
        assert!(fate.wish("[slow:typo]").is_err());
    }
}
