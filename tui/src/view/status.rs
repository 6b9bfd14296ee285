//! Words, shapes and tones of states: the same everywhere, and never colour alone.
//!
//! `✖ critical  ▲ warning  ● caution  ○ ok`, `✖ open  ◐ half-open  ● closed`. Refuses to know places.
//!
//! | state | shape and word | tone |
//! |---|---|---|
//! | a run | `○ ● ▲ ■` | ok, caution, warning, critical |
//! | its runway | `18m`, `blocked`, `paused`, `frozen`, `idle`, `safe` | by how short |
//! | a circuit | `● closed`, `◐ half-open`, `✖ open 12s` | ok, caution, critical |
//! | a receipt | `✓ ok`, `◷ slow`, `≈ cut off`, `✖ error`, `○ voided`, `◌ unknown`, `■ refused` | by what it costs |

use tollgate_shared::alert::Severity;
use tollgate_shared::budget::{Level, RunState};
use tollgate_shared::circuit::{CircuitState, CircuitView};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::Usd;
use tollgate_shared::time::Timestamp;

use crate::format;
use crate::model::RunEntry;
use crate::theme::Tone;
use crate::zone;

/// The tone of a level.
pub(super) const fn tone_of(level: Level) -> Tone {
    match level {
        Level::Ok => Tone::Ok,
        Level::Caution => Tone::Caution,
        Level::Warning => Tone::Warning,
        Level::Critical => Tone::Critical,
    }
}

/// The shape of a level.
pub(super) const fn mark_of(level: Level) -> &'static str {
    match level {
        Level::Ok => "○",
        Level::Caution => "●",
        Level::Warning => "▲",
        Level::Critical => "■",
    }
}

/// Shape, word and tone of a severity.
pub(super) const fn severity(severity: Severity) -> (&'static str, &'static str, Tone) {
    match severity {
        Severity::Critical => ("✖", "critical", Tone::Critical),
        Severity::Warning => ("▲", "warning", Tone::Warning),
        Severity::Caution => ("●", "caution", Tone::Caution),
    }
}

/// A circuit in a few letters, with the seconds to its next try.
pub(super) fn circuit(view: &CircuitView, now: Timestamp) -> (String, Tone) {
    match view.state {
        CircuitState::Closed => ("● closed".into(), Tone::Ok),
        CircuitState::HalfOpen => ("◐ half-open".into(), Tone::Caution),
        CircuitState::Open => {
            let wait = view.retry_at.map(|at| format::seconds_since(at, now));
            let wait = wait.map_or(String::new(), |seconds| format!(" {}", format::span(seconds)));
            (format!("✖ open{wait}"), Tone::Critical)
        }
    }
}

/// A run's runway in a few letters, with its tone where it is not plain.
pub(super) fn runway(entry: &RunEntry) -> (String, Option<Tone>) {
    match entry.state() {
        RunState::Paused => return ("paused".into(), Some(Tone::Caution)),
        RunState::Closed => return ("closed".into(), None),
        RunState::Frozen => return ("frozen".into(), Some(Tone::Critical)),
        RunState::Open => {}
    }
    let Some(budget) = &entry.budget else { return ("—".into(), None) };
    if budget.blocked {
        return ("blocked".into(), Some(Tone::Warning));
    }
    match (budget.enforced.limit_usd, budget.runway_s) {
        (None, _) => ("—".into(), None),
        (_, Some(seconds)) => (format::span(seconds), runway_tone(seconds)),
        (_, None) if budget.burn_usd_per_min == Usd::ZERO => ("idle".into(), None),
        (_, None) => ("safe".into(), None),
    }
}

/// A short runway is a warning, whatever the share that is spent.
pub(super) const fn runway_tone(seconds: u64) -> Option<Tone> {
    match seconds {
        ..600 => Some(Tone::Critical),
        600..1_800 => Some(Tone::Warning),
        1_800..3_600 => Some(Tone::Caution),
        _ => None,
    }
}

/// When a run will be empty, as a clock time.
pub(super) fn empty_at(budget: &BudgetEvent, now: Timestamp) -> String {
    if budget.blocked || budget.state != RunState::Open {
        return "—".into();
    }
    budget.runway_s.map_or("—".into(), |seconds| clock_in(now, seconds))
}

/// The clock time in so many seconds; with the days where it is not today.
pub(super) fn clock_in(now: Timestamp, seconds: u64) -> String {
    let at = now.plus_millis(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000));
    let days = zone::local(at).seconds().div_euclid(86_400)
        - zone::local(now).seconds().div_euclid(86_400);
    match days {
        0 => format::clock_short(at),
        1..=99 => format!("{}+{days}d", format::clock_short(at)),
        _ => "—".into(),
    }
}

/// Shape, word and tone of a receipt's status.
pub(super) fn receipt(word: &str) -> (&'static str, Option<Tone>) {
    match word {
        "ok" => ("✓ ok", Some(Tone::Ok)),
        "slow" => ("◷ slow", Some(Tone::Caution)),
        "cut off" => ("≈ cut off", Some(Tone::Caution)),
        "error" => ("✖ error", Some(Tone::Critical)),
        "voided" => ("○ voided", None),
        "unknown" => ("◌ unknown", Some(Tone::Warning)),
        "correction" => ("± correction", Some(Tone::Ok)),
        _ => ("■ refused", Some(Tone::Critical)),
    }
}
