//! Budget, circuit and register: what is asked, what would be, and the exact request.
//!
//! The consequence stands above the key that brings it about. Refuses to know how keys change a
//! form.

use ratatui::layout::Rect;
use tollgate_shared::circuit::CircuitState;
use tollgate_shared::event::BudgetEvent;
use tollgate_shared::money::Usd;
use tollgate_shared::provider::ProviderView;
use tui_input::Input;

use super::canvas::{Canvas, Piece, Seg, seg};
use super::frame::{self, Frame};
use super::gauge::Gauge;
use super::{audit, budgets, confirm, footer, palette, status};
use crate::format;
use crate::model::{
    BudgetForm, CIRCUIT_CHOICES, CircuitForm, Dialog, Field, MODES, Model, RegisterForm, Sending,
};
use crate::theme::Tone;

/// Draws one of them over the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, dialog: &Dialog, area: Rect) {
    match dialog {
        Dialog::Budget(form) => budget(canvas, model, form, area),
        Dialog::Circuit(form) => circuit(canvas, model, form, area),
        Dialog::Register(form) => register(canvas, form, area),
        Dialog::Confirm(form) => confirm::draw(canvas, model, form, area),
        Dialog::Menu(menu) => palette::menu(canvas, *menu, area),
        Dialog::Palette(line) => palette::draw(canvas, model, line, area),
        Dialog::Proof(view) => audit::draw(canvas, model, view, area),
        Dialog::Jump(known) => palette::labels(canvas, model, known),
        Dialog::Help(_) | Dialog::Filter(_) | Dialog::Detail(_) => {}
    }
}

/// A rectangle of this size in the middle, cut to the area.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

/// Opens a box and answers its inside, one cell in from the border.
pub(super) fn open(
    canvas: &mut Canvas<'_>,
    rect: Rect,
    (title, about): (&str, Vec<Seg>),
    hints: &[(&str, &str)],
) -> Rect {
    canvas.blank(rect);
    let frame = Frame { title, about, legend: Vec::new(), hints, focused: true, boxed: true };
    let inner = frame::draw(canvas, rect, frame);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// Rows of a form from the top down; those beyond its foot are not drawn.
pub(super) struct Rows {
    /// All of it.
    pub rect: Rect,
    /// How many are taken.
    pub next: u16,
}

impl Rows {
    /// Writes pieces into the next row.
    pub fn line(&mut self, canvas: &mut Canvas<'_>, pieces: &[Piece]) {
        if let Some(row) = self.row() {
            canvas.pieces((row.x, row.y), row.width, pieces);
        }
    }

    /// The next row, while there is one.
    fn row(&mut self) -> Option<Rect> {
        let y = self.rect.y + self.next;
        self.next += 1;
        (y < self.rect.bottom()).then_some(Rect { y, height: 1, ..self.rect })
    }
}

/// ```text
///  now   $50.00   spent $45.12   held $0.62   empty 14:32 (18m)
///  new   +25▏              = $75.00   (75 · +25 · x1.5 · until 18:00)
///        ━━━━━━━━━━━━━━━━━━━━━━━━━━━╍╍····┊······╎···┃···· 60%
///  then  ○ ok   empty 16:04 (1h50m)   today → $346.43
///  mode  (•) clamp   ( ) hard
///  POST :6120/budget  if-match 7
///  {"run_id":"R-207","budget_usd":75}
/// ```
fn budget(canvas: &mut Canvas<'_>, model: &Model, form: &BudgetForm, area: Rect) {
    let theme = canvas.theme;
    let (dim, strong) = (theme.dim(), theme.strong());
    let conflict = u16::from(form.conflict.is_some()) * 2;
    let rect = middle(area, 76, 14 + conflict);
    let title = ("BUDGET", vec![seg(0, format!(" {}", form.run), strong)]);
    let hints = [("Enter", "apply"), ("Tab", "field"), ("Esc", "cancel")];
    let inner = open(canvas, rect, title, &hints);
    let roomy = u16::from(inner.height > 9);
    let mut rows = Rows { rect: inner, next: roomy };
    present(canvas, &mut rows, model, form);
    let target = form.target();
    let mut line = vec![("new   ".into(), dim)];
    line.extend(field(canvas, &form.amount, form.focus == 0, 16));
    line.push(match &target {
        Ok(limit) => (format!("  = ${}", canvas.money(*limit, 2)), strong),
        Err(_) => (String::new(), dim),
    });
    line.push(("   (75 · +25 · x1.5 · until 18:00)".into(), dim));
    rows.line(canvas, &line);
    rows.next += 1;
    match &target {
        Ok(limit) => future(canvas, &mut rows, model, (form, *limit)),
        Err(why) => {
            let why = (format!("✖ {why}"), theme.tone(Tone::Critical));
            rows.line(canvas, &[("      ".into(), dim), why]);
            rows.next += 1;
        }
    }
    let mut line = vec![("mode  ".into(), dim)];
    for (mode, word) in MODES {
        let mark = if mode == form.mode { "(•) " } else { "( ) " };
        let style = if form.focus == 1 { theme.key() } else { theme.text() };
        line.push((format!("{mark}{word}   "), style));
    }
    rows.line(canvas, &line);
    let mut line = vec![("note  ".into(), dim)];
    line.extend(field(canvas, &form.note, form.focus == 2, 40));
    rows.line(canvas, &line);
    overtaken(canvas, &mut rows, form);
    rows.next += roomy;
    if let Ok(limit) = target {
        let (body, version) = (form.body(limit), form.base.version);
        request(canvas, &mut rows, &format!("POST :6120/budget  if-match {version}"), &body);
        sending(canvas, &mut rows, &form.sending);
    }
}

/// The budget as it is.
fn present(canvas: &mut Canvas<'_>, rows: &mut Rows, model: &Model, form: &BudgetForm) {
    let (theme, now) = (canvas.theme, &form.base);
    let old = dollars(canvas, now.enforced.limit_usd);
    let spent = canvas.money(now.enforced.spent_usd(), 2);
    let held = canvas.money(now.enforced.pending_usd(), 2);
    let facts = format!("   spent ${spent}   held ${held}   {}", ends(model, now));
    let line = [("now   ".into(), theme.dim()), (old, theme.strong()), (facts, theme.text())];
    rows.line(canvas, &line);
}

/// The budget as it would be: gauge, level, end, and the day.
fn future(
    canvas: &mut Canvas<'_>,
    rows: &mut Rows,
    model: &Model,
    (form, limit): (&BudgetForm, Usd),
) {
    let theme = canvas.theme;
    let after = form.after(limit);
    let tone = theme.tone(status::tone_of(after.level));
    let width = rows.rect.width.saturating_sub(14).min(48);
    let mut line = vec![("      ".into(), theme.dim())];
    if let Some(gauge) = Gauge::of(&after, false) {
        line.extend(gauge.pieces(width, theme));
    }
    line.push((format!(" {}", budgets::share(&after)), tone));
    rows.line(canvas, &line);
    let word = format!("{:?}", after.level).to_lowercase();
    let line = [
        ("then  ".into(), theme.dim()),
        (format!("{} {word}   ", status::mark_of(after.level)), tone),
        (ends(model, &after), theme.text()),
        (projected(canvas, model, &after), theme.dim()),
    ];
    rows.line(canvas, &line);
}

/// Somebody else's change, beside ours.
fn overtaken(canvas: &mut Canvas<'_>, rows: &mut Rows, form: &BudgetForm) {
    let Some(conflict) = &form.conflict else { return };
    let (before, theirs) = (dollars(canvas, conflict.before), dollars(canvas, conflict.theirs));
    let ours = canvas.money(conflict.ours, 2);
    let version = form.base.version;
    let (warning, text) = (canvas.theme.tone(Tone::Warning), canvas.theme.text());
    let mode = match conflict.modes {
        (before, theirs) if before != theirs => {
            format!(", {} → {}", budgets::mode(before), budgets::mode(theirs))
        }
        _ => String::new(),
    };
    let words = format!("▲ changed meanwhile: {before} → {theirs}{mode} (version {version})");
    rows.line(canvas, &[(words, warning)]);
    rows.line(canvas, &[(format!("  yours would make it ${ours}; Enter sets it"), text)]);
}

/// A limit, or that there is none.
fn dollars(canvas: &Canvas<'_>, limit: Option<Usd>) -> String {
    limit.map_or("no limit".into(), |limit| format!("${}", canvas.money(limit, 2)))
}

/// When a budget ends: `empty 14:32 (18m)`.
fn ends(model: &Model, budget: &BudgetEvent) -> String {
    let now = model.day().now;
    match (budget.blocked, budget.runway_s) {
        (true, _) => "blocked".into(),
        (false, Some(seconds)) => {
            format!("empty {} ({})", status::clock_in(now, seconds), format::span(seconds))
        }
        (false, None) => "not burning".into(),
    }
}

/// What the day would add up to with the new limit.
fn projected(canvas: &Canvas<'_>, model: &Model, after: &BudgetEvent) -> String {
    let sum = model.live.projected_with(Some(after));
    sum.map_or(String::new(), |sum| format!("   today → ${}", canvas.money(sum, 2)))
}

/// ```text
///  now   ✖ open 12s  5 × 5xx in a row
///        (•) open for a while: no traffic, then one probe
///        ( ) closed: traffic flows, the past is forgotten
///  then  ▲ openai-gpt4o alone will serve gpt-4o
/// ```
fn circuit(canvas: &mut Canvas<'_>, model: &Model, form: &CircuitForm, area: Rect) {
    let theme = canvas.theme;
    let (dim, text) = (theme.dim(), theme.text());
    let rect = middle(area, 76, 17);
    let name = format!(" {}", form.provider);
    let title = ("CIRCUIT", vec![seg(0, name, theme.strong())]);
    let inner =
        open(canvas, rect, title, &[("Enter", "apply"), ("Tab", "field"), ("Esc", "cancel")]);
    let mut rows = Rows { rect: inner, next: u16::from(inner.height > 11) };
    let day = model.day();
    let view = day.providers.get(&form.provider);
    if let Some(view) = view {
        let (state, tone) = status::circuit(&view.circuit, day.now);
        let reason = view.circuit.reason.clone().unwrap_or_default();
        rows.line(
            canvas,
            &[("now   ".into(), dim), (format!("{state}  "), theme.tone(tone)), (reason, dim)],
        );
    }
    rows.next += 1;
    for (index, (_, words)) in CIRCUIT_CHOICES.iter().enumerate() {
        let mark = if index == form.choice { "(•) " } else { "( ) " };
        let style = if form.focus == 0 && index == form.choice { theme.key() } else { text };
        rows.line(canvas, &[("      ".into(), dim), (format!("{mark}{words}"), style)]);
    }
    let mut line = vec![("for   ".into(), dim)];
    line.extend(field(canvas, &form.span, form.focus == 1, 10));
    rows.line(canvas, &line);
    let mut line = vec![("why   ".into(), dim)];
    line.extend(field(canvas, &form.reason, form.focus == 2, 40));
    rows.line(canvas, &line);
    if let Some(view) = view {
        let (words, tone) = consequence(model, view, form);
        rows.line(canvas, &[("then  ".into(), dim), (words, theme.tone(tone))]);
    }
    rows.next += u16::from(inner.height > 11);
    match form.body() {
        Ok(body) => {
            let path = format!("POST :6103/providers/{}/circuit", form.provider);
            request(canvas, &mut rows, &path, &body);
        }
        Err(why) => rows.line(canvas, &[(format!("✖ {why}"), theme.tone(Tone::Critical))]),
    }
    sending(canvas, &mut rows, &form.sending);
}

/// Who takes the traffic, or that nobody can.
fn consequence(model: &Model, view: &ProviderView, form: &CircuitForm) -> (String, Tone) {
    if form.choice >= 2 {
        return (format!("requests for {} may come here again", view.model), Tone::Ok);
    }
    let others: Vec<&str> = model
        .day()
        .providers
        .values()
        .filter(|other| other.model == view.model && other.name != view.name)
        .filter(|other| other.circuit.state != CircuitState::Open)
        .map(|other| other.name.as_str())
        .collect();
    match others.as_slice() {
        [] => {
            (format!("✖ nobody else serves {}: its requests will fail", view.model), Tone::Critical)
        }
        [only] => (format!("▲ {only} alone will serve {}", view.model), Tone::Warning),
        [first, rest @ ..] => {
            (format!("{first} and {} more serve {}", rest.len(), view.model), Tone::Ok)
        }
    }
}

/// ```text
///  price in *    $30/M ·····················  = 0.00003 per token
///  price out *   60▏                          ✖ unit? type 60/M or 0.00006
/// ```
fn register(canvas: &mut Canvas<'_>, form: &RegisterForm, area: Rect) {
    let theme = canvas.theme;
    let dim = theme.dim();
    let rect = middle(area, 80, 20);
    let title = ("REGISTER PROVIDER", vec![seg(1, " paste a JSON object to fill it", dim)]);
    let inner =
        open(canvas, rect, title, &[("Tab", "next"), ("Enter", "register"), ("Esc", "cancel")]);
    let mut rows = Rows { rect: inner, next: u16::from(inner.height > 15) };
    for field_of in Field::ALL {
        let focused = form.focus == field_of as usize;
        let Some(input) = form.input(field_of) else { continue };
        let label = if focused { theme.key() } else { dim };
        let mut line = vec![(crate::text::left(field_of.label(), 14), label)];
        line.extend(field(canvas, input, focused, 28));
        line.push(("  ".into(), dim));
        // A field is judged when it was left, or when Enter was pressed.
        let touched = !input.value().is_empty() && !focused;
        let note = match form.error(field_of) {
            Some(why) if form.checked || touched || is_price(field_of, input) => {
                (format!("✖ {why}"), theme.tone(Tone::Critical))
            }
            _ => match form.canonical(field_of).filter(|_| is_price(field_of, input)) {
                Some(price) => (price, theme.tone(Tone::Ok)),
                None => (field_of.hint().to_owned(), dim),
            },
        };
        line.push(note);
        rows.line(canvas, &line);
    }
    rows.next += 1;
    let bad = Field::ALL.iter().filter(|field| form.error(**field).is_some()).count();
    match (bad, form.body()) {
        (0, Ok(body)) => {
            request(canvas, &mut rows, "POST :6103/register", &body);
        }
        (0, Err(why)) => rows.line(canvas, &[(format!("✖ {why}"), theme.tone(Tone::Critical))]),
        (1, _) => rows.line(canvas, &[("1 field to fix".into(), theme.tone(Tone::Warning))]),
        (count, _) => {
            let tone = if form.checked { theme.tone(Tone::Warning) } else { dim };
            rows.line(canvas, &[(format!("{count} fields to fill or fix"), tone)]);
        }
    }
    sending(canvas, &mut rows, &form.sending);
}

/// Prices are judged while they are typed: their mistakes are the expensive ones.
fn is_price(field: Field, input: &Input) -> bool {
    matches!(field, Field::PriceIn | Field::PriceOut) && !input.value().is_empty()
}

/// A one-line field: its text, then dots to `width`.
pub(super) fn field(canvas: &Canvas<'_>, input: &Input, focused: bool, width: usize) -> Vec<Piece> {
    let theme = canvas.theme;
    let value = input.value();
    if focused {
        let used = crate::text::width_of(value) + 1;
        let style = theme.strong().patch(theme.field());
        let cursor = input.cursor();
        // A long text is shown from where its cursor still fits.
        let skip = cursor.saturating_sub(width.saturating_sub(1));
        let shown: String = value.chars().skip(skip).collect();
        let mut pieces = footer::input(canvas, &shown, cursor - skip, style);
        pieces.push((" ".repeat(width.saturating_sub(used)), theme.field()));
        return pieces;
    }
    let shown = crate::text::clean(value, width);
    let used = crate::text::width_of(&shown);
    vec![
        (shown, theme.strong()),
        (" ".repeat(usize::from(used > 0 && used < width)), theme.dim()),
        ("·".repeat((width + 1).saturating_sub(used + usize::from(used > 0))), theme.dim()),
    ]
}

/// The exact request, its body over as many rows as it needs.
pub(super) fn request(canvas: &mut Canvas<'_>, rows: &mut Rows, path: &str, body: &str) {
    let (dim, text) = (canvas.theme.dim(), canvas.theme.text());
    rows.line(canvas, &[(path.to_owned(), dim)]);
    let letters: Vec<char> = body.chars().collect();
    let width = usize::from(rows.rect.width).max(1);
    for part in letters.chunks(width).take(4) {
        rows.line(canvas, &[(part.iter().collect(), text)]);
    }
}

/// That the request is under way, or why it was refused.
pub(super) fn sending(canvas: &mut Canvas<'_>, rows: &mut Rows, sending: &Sending) {
    let theme = canvas.theme;
    let (text, style) = match sending {
        Sending::Not => return,
        Sending::Waiting(_) => ("◌ sent; waiting for the answer".to_owned(), theme.key()),
        Sending::Failed(why) => (format!("✖ {why}"), theme.tone(Tone::Critical)),
    };
    // The answer must be seen, so it takes the last row when the form is full.
    rows.next = rows.next.min(rows.rect.height.saturating_sub(1));
    rows.line(canvas, &[(text, style)]);
}
