//! The gauge: how much of a limit is spent, held and about to be spent.
//!
//! From 0 to 110 %: `━` spent, `═` held, `╍` fifteen minutes ahead, `·` free, with marks at
//! `┊` 75, `╎` 90 and `┃` 100. Heavy lines, because full blocks in stacked rows melt into a slab.
//!
//! ```text
//! ━━━━╸╍·····┊·╎·┃·    30 % spent, a little more in a quarter of an hour
//! ```
//!
//! Refuses to know runs; it is given four amounts.

use ratatui::style::{Modifier, Style};
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::Usd;

use super::canvas::Piece;
use crate::theme::{Theme, Tone};

/// What a gauge shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    limit: Usd,
    spent: Usd,
    held: Usd,
    ahead: Usd,
    tone: Tone,
    is_old: bool,
}

impl Gauge {
    /// The gauge of a budget; `None` without a limit.
    pub fn of(budget: &BudgetEvent, is_old: bool) -> Option<Self> {
        let limit = budget.enforced.limit_usd?;
        let blocked = budget.blocked;
        Some(Self {
            limit,
            spent: budget.enforced.spent_usd(),
            held: budget.enforced.pending_usd().or_zero(),
            // A run that is refused spends nothing more.
            ahead: if blocked { Usd::ZERO } else { budget.burn_usd_per_min.times(15) },
            tone: super::status::tone_of(budget.level),
            is_old,
        })
    }

    /// The gauge in `width` cells.
    pub fn pieces(&self, width: u16, theme: &Theme) -> Vec<Piece> {
        let halves = |amount: Usd| -> u64 {
            let cells = u64::from(width) * 2;
            let ppm = amount.ppm_of(self.limit).unwrap_or(0).min(SCALE_PPM);
            // Rounded to the nearest half cell.
            (ppm * cells + SCALE_PPM / 2) / SCALE_PPM
        };
        let spent = halves(self.spent);
        let held = halves(self.spent + self.held);
        let ahead = halves(self.spent + self.held + self.ahead);
        let marks = MARKS.map(|(ppm, glyph, tone)| {
            (ppm * u64::from(width) / SCALE_PPM, glyph, theme.tone(tone))
        });
        let own = theme.tone(self.tone).remove_modifier(Modifier::UNDERLINED | Modifier::REVERSED);
        let mut pieces: Vec<Piece> = Vec::new();
        for cell in 0..u64::from(width) {
            let mark = marks.iter().find(|(place, ..)| *place == cell);
            let (glyph, style) = if spent >= cell * 2 + 2 {
                (if self.is_old { "╍" } else { "━" }, own)
            } else if spent > cell * 2 {
                ("╸", own)
            } else if let Some((_, glyph, style)) = mark {
                (*glyph, *style)
            } else if held > cell * 2 {
                ("═", own)
            } else if ahead > cell * 2 {
                ("╍", own)
            } else {
                ("·", theme.dim())
            };
            push(&mut pieces, glyph, style);
        }
        pieces
    }
}

/// A plain bar: `part` of `whole` in `width` cells.
pub(super) fn bar(part: Usd, whole: Usd, width: u16, styles: (Style, Style)) -> Vec<Piece> {
    share(part.ppm_of(whole).unwrap_or(0), width, styles)
}

/// The same for a share in parts per million.
pub(super) fn share(ppm: u64, width: u16, styles: (Style, Style)) -> Vec<Piece> {
    let ppm = ppm.min(1_000_000);
    let halves = (ppm * u64::from(width) * 2 + 500_000) / 1_000_000;
    let mut pieces = Vec::new();
    for cell in 0..u64::from(width) {
        let (glyph, style) = match halves.saturating_sub(cell * 2) {
            0 => ("·", styles.1),
            1 => ("╸", styles.0),
            _ => ("━", styles.0),
        };
        push(&mut pieces, glyph, style);
    }
    pieces
}

/// Joins glyphs of one look into one piece.
fn push(pieces: &mut Vec<Piece>, glyph: &str, style: Style) {
    match pieces.last_mut() {
        Some((text, known)) if *known == style => text.push_str(glyph),
        _ => pieces.push((glyph.to_owned(), style)),
    }
}

/// The end of the scale, 110 %, in parts per million of the limit.
const SCALE_PPM: u64 = 1_100_000;

const MARKS: [(u64, &str, Tone); 3] = [
    (750_000, "┊", Tone::Caution),
    (900_000, "╎", Tone::Warning),
    (1_000_000, "┃", Tone::Critical),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{Depth, ThemeChoice};

    #[test]
    fn gauges_look_as_drawn() {
        let rows = [
            ("10", "10", "0", "0", "━━━━━━━━━━━━━━━╸·"),
            ("50", "45.12", "0.62", "0.271", "━━━━━━━━━━━━━━╍┃·"),
            ("40", "12.08", "0.95", "0.188", "━━━━╸╍·····┊·╎·┃·"),
            ("120", "88.20", "0.41", "0.190", "━━━━━━━━━━━╸·╎·┃·"),
            ("30", "6.31", "0.22", "0.094", "━━━╸·······┊·╎·┃·"),
            ("10", "0", "0", "0", "···········┊·╎·┃·"),
            ("10", "99", "0", "0", "━━━━━━━━━━━━━━━━━"),
        ];
        let theme = Theme::new(ThemeChoice::Dark, Depth::True);
        for (limit, spent, held, burn, drawn) in rows {
            let usd = |text: &str| text.parse::<Usd>().unwrap();
            let gauge = Gauge {
                limit: usd(limit),
                spent: usd(spent),
                held: usd(held),
                ahead: usd(burn).times(15),
                tone: Tone::Ok,
                is_old: false,
            };
            let text: String = gauge.pieces(17, &theme).into_iter().map(|(text, _)| text).collect();
            assert_eq!(text, drawn, "{spent} of {limit}");
        }
    }
}
