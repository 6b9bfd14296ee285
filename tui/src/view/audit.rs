//! The self-audit in full: our sum, the ledger's, the budgets', and where they part.
//!
//! Refuses to judge who is right; both numbers stand there.
//!
//! ```text
//!  ledger   $212.401882341907   its last word in the stream
//!  ours     $212.401882341907   the receipts that came before it
//!  now      $212.411882341907   with those that came since
//!  budgets  $212.411882341907   what enforces, over all runs without a parent
//!  R-207    ✓ 412 receipts are equal, seq 1,120 to 1,531
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::Usd;

use super::canvas::{Canvas, seg};
use super::dialog::{Rows, middle, open};
use crate::format;
use crate::model::{Found, Model, ProofView, Verdict};
use crate::theme::Tone;

/// Draws it over the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, view: &ProofView, area: Rect) {
    let theme = canvas.theme;
    let (dim, text) = (theme.dim(), theme.text());
    let day = model.day();
    let rect = middle(area, 76, 13);
    let (word, tone) = match day.audit.verdict() {
        Verdict::Waiting => (" not compared yet".to_owned(), Tone::Caution),
        Verdict::Equal => (" equal to the last digit".to_owned(), Tone::Ok),
        Verdict::Differs { by, .. } => {
            (format!(" the ledger has ${} more", canvas.exact(*by)), Tone::Critical)
        }
    };
    let title = ("Σ", vec![seg(0, word, theme.tone(tone))]);
    let inner = open(canvas, rect, title, &[("Esc", "close")]);
    let mut rows = Rows { rect: inner, next: u16::from(inner.height > 7) };
    let enforced: Usd = day
        .runs
        .values()
        .filter(|entry| entry.view.as_ref().is_none_or(|view| view.parent.is_none()))
        .filter_map(|entry| entry.budget.as_ref())
        .map(|budget| budget.enforced.spent_usd())
        .sum();
    let compared = day.audit.compared();
    let then = |of: fn((Usd, Usd)) -> Usd| {
        compared.map_or("–".to_owned(), |pair| canvas.exact(of(pair)))
    };
    let (ours, theirs) = (then(|(ours, _)| ours), then(|(_, theirs)| theirs));
    let lines = [
        ("ledger", theirs, "its last word in the stream"),
        ("ours", ours, "the receipts that came before it"),
        ("now", canvas.exact(day.audit.total()), "with those that came since"),
        ("budgets", canvas.exact(enforced), "what enforces; may be a moment older"),
    ];
    let count = format::grouped(day.audit.receipts());
    rows.line(canvas, &[(format!("{count} receipts"), dim)]);
    for (word, sum, about) in lines {
        let word = crate::text::left(word, 9);
        rows.line(canvas, &[(word, dim), (format!("${sum}"), text), (format!("   {about}"), dim)]);
    }
    rows.next += 1;
    let Some(run) = &view.run else { return };
    let (words, style) = match &view.found {
        None => ("◌ reading its receipts".to_owned(), dim),
        Some(Err(why)) => (format!("✖ {why}"), theme.tone(Tone::Critical)),
        Some(Ok(found)) => {
            let (words, tone) = said(canvas, found);
            (words, theme.tone(tone))
        }
    };
    rows.line(canvas, &[(format!("{run}  "), theme.strong()), (words, style)]);
}

/// What was found, in words.
fn said(canvas: &Canvas<'_>, found: &Found) -> (String, Tone) {
    match found {
        Found::Equal(count, from, to) => {
            (format!("✓ {count} receipts are equal, seq {from} to {to}"), Tone::Ok)
        }
        Found::Missing(seq, cost) => {
            let cost = canvas.exact(*cost);
            (format!("✖ seq {seq} of ${cost} is in the ledger and never came"), Tone::Critical)
        }
        Found::Other { seq, ours, theirs } => {
            let (ours, theirs) = (canvas.exact(*ours), canvas.exact(*theirs));
            (format!("✖ seq {seq} came with ${ours}; the ledger has ${theirs}"), Tone::Critical)
        }
        Found::Apart => ("none of its rows is here to compare".into(), Tone::Caution),
    }
}
