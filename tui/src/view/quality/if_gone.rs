//! IF THIS GOES AWAY: where a provider's traffic would go, and what that would cost.
//!
//! Labelled as what it is, an estimate of the console. Refuses to know how it is worked out: that
//! is [`super::takeover`].
//!
//! ```text
//!  openai-gpt4o gone → 38 req/min move to:
//!    azure-gpt4o  38 req/min  +$0.011/min  p95 1.64 s
//!
//!  ✖ nobody else serves gpt-4o-mini
//!    13 req/min would be refused
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;

use super::super::canvas::{Canvas, Piece, seg};
use super::super::frame::{self, Frame};
use super::takeover::{self, Takeover};
use crate::format;
use crate::model::Model;
use crate::theme::Tone;

/// Draws the panel.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, rect: Rect, boxed: bool) {
    let theme = canvas.theme;
    let frame = Frame {
        title: "IF THIS GOES AWAY",
        about: vec![seg(1, " the console's own estimate", theme.dim())],
        legend: Vec::new(),
        hints: &[],
        focused: false,
        boxed,
    };
    let inner = frame::draw(canvas, rect, frame);
    let Some(view) = super::selected(model) else {
        super::nobody(canvas, model, inner);
        return;
    };
    let takeover = Takeover::of(model.day(), view);
    let mut lines = first(canvas, view, &takeover);
    lines.extend(moves(canvas, view, &takeover));
    let others = takeover.others.iter().map(|(name, why)| {
        vec![(format!("   {name} could not: {why}"), theme.tone(Tone::Caution))]
    });
    lines.extend(others);
    lines.extend(alone(canvas, model));
    let basis =
        format!(" the mix of the last {}, at list prices", format::span(takeover.span_s.min(900)));
    lines.push(vec![(basis, theme.dim())]);
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x, y), inner.width, line);
    }
}

/// Attempts as a rate.
fn per_minute(attempts: u64, span_s: u64) -> String {
    let tenths = attempts.saturating_mul(600) / span_s.max(1);
    if tenths < 100 {
        format!("{} req/min", format::tenths(tenths, ""))
    } else {
        format!("{} req/min", format::count(tenths / 10))
    }
}

/// What happens, in one line.
fn first(canvas: &Canvas<'_>, view: &ProviderView, takeover: &Takeover) -> Vec<Vec<Piece>> {
    let theme = canvas.theme;
    let rate = per_minute(takeover.attempts, takeover.span_s);
    let name = (format!(" {}", view.name), theme.strong());
    if !takeover.moves.is_empty() {
        return vec![vec![name, (format!(" gone → {rate} move to:"), theme.text())]];
    }
    let model = &view.model;
    let (mark, tone, then) = match takeover.attempts {
        0 => ("▲", Tone::Caution, "   nothing asked for it lately".to_owned()),
        _ => ("✖", Tone::Critical, format!("   {rate} would be refused")),
    };
    vec![
        vec![name, (" gone:".into(), theme.text())],
        vec![(format!(" {mark} nobody else serves {model}"), theme.tone(tone))],
        vec![(then, theme.text())],
    ]
}

/// Where the traffic goes, and the sum.
fn moves(canvas: &Canvas<'_>, view: &ProviderView, takeover: &Takeover) -> Vec<Vec<Piece>> {
    let theme = canvas.theme;
    let p95 = |ms: Option<u32>| ms.map_or("—".into(), |ms| format::seconds(ms.into()));
    let longest = takeover.moves.iter().map(|to| to.to.len()).max().unwrap_or(0).clamp(8, 20);
    let mut lines: Vec<Vec<Piece>> = takeover
        .moves
        .iter()
        .map(|to| {
            let rate = per_minute(to.attempts, takeover.span_s);
            vec![
                (format!("   {} ", crate::text::left(&to.to, longest)), theme.text()),
                (crate::text::right(&rate, 12), theme.text()),
                (format!("  {}/min", signed(canvas, to.more_per_min)), theme.text()),
            ]
        })
        .collect();
    if let Some(main) = takeover.moves.first() {
        let more = takeover.more_per_min();
        let tone = if more > Usd::ZERO { Tone::Caution } else { Tone::Ok };
        let p95 = format!("  p95 {} → {} s", p95(view.quality.p95_ms), p95(main.p95_ms));
        lines.push(vec![
            (format!(" net {}/min", signed(canvas, more)), theme.tone(tone)),
            (p95, theme.text()),
        ]);
    }
    lines
}

/// A difference with its sign.
fn signed(canvas: &Canvas<'_>, amount: Usd) -> String {
    let sign = if amount.is_negative() { "−" } else { "+" };
    let size = if amount.is_negative() { Usd::ZERO - amount } else { amount };
    format!("{sign}${}", canvas.money(size, 3))
}

/// Models that hang on one provider, whichever the cursor is on.
fn alone(canvas: &Canvas<'_>, model: &Model) -> Option<Vec<Piece>> {
    let single = takeover::single(model.day());
    if single.is_empty() {
        return None;
    }
    let names: Vec<String> = single.iter().map(ToString::to_string).collect();
    let models = if names.len() == 1 { "model hangs" } else { "models hang" };
    let text = format!(" {} {models} on one provider: {}", names.len(), names.join(", "));
    Some(vec![(text, canvas.theme.dim())])
}
