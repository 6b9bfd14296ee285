//! One thing in full: a receipt with its arithmetic, a run, a provider, an alert.
//!
//! Plain lines that scroll; a receipt's are its proof. Refuses to know keys.
//!
//! ```text
//!  input             3,050 tokens      $0.030525
//!  output              811 tokens      $0.012165
//!  cost                                $0.042690  ✓ equals the parts
//!  held                                $0.110000
//! ```

use ratatui::layout::Rect;
use tollgate_shared::money::Usd;

use super::canvas::{Canvas, Piece, seg};
use super::frame::{self, Frame};
use super::{alerts, proof, status};
use crate::format;
use crate::model::{Day, Detail, Key, Model, rows};
use crate::theme::{Theme, Tone};

/// Draws the detail over the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, model: &Model, detail: &Detail, area: Rect) {
    let theme = canvas.theme;
    let day = model.day();
    let page = Page { theme, hide_money: canvas.hides_money(), label: 12 };
    let (title, name, lines) = match &detail.of {
        Key::Row(serial) => match day.tail.row(*serial) {
            Some(row) => ("RECEIPT", row.request.to_string(), proof::full(&page, model, row)),
            None => ("RECEIPT", "gone".into(), vec![page.note("it has fallen off the tail")]),
        },
        Key::Run(run) | Key::Agent(run, _) => {
            ("RUN", run.to_string(), self::run(&page, day, run.as_str()))
        }
        Key::Name(name) => ("RUN", name.to_string(), self::run(&page, day, name)),
        Key::Provider(name) => ("PROVIDER", name.to_string(), provider(&page, day, name.as_str())),
        Key::Alert(id) => ("ALERT", id.clone(), alert(&page, model, id)),
    };
    let height = u16::try_from(lines.len() + 4).unwrap_or(u16::MAX);
    let rect = super::dialog::middle(area, 84, height);
    canvas.blank(rect);
    let frame = Frame {
        title,
        about: vec![seg(0, format!(" {name}"), theme.strong())],
        legend: Vec::new(),
        hints: &[("j", "scroll"), ("Esc", "close")],
        focused: true,
        boxed: true,
    };
    let inner = frame::draw(canvas, rect, frame);
    let inner = Rect {
        x: inner.x + 1,
        y: inner.y + u16::from(inner.height > 3),
        width: inner.width.saturating_sub(2),
        height: inner.height.saturating_sub(u16::from(inner.height > 3)),
    };
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let shown = lines.iter().skip(detail.scroll.min(most));
    for (line, y) in shown.zip(inner.y..inner.bottom()) {
        canvas.pieces((inner.x, y), inner.width, line);
    }
}

/// A line of facts: a label, then pieces.
pub(super) type Line = Vec<Piece>;

/// How facts are written.
pub(super) struct Page<'a> {
    /// What roles look like.
    pub theme: &'a Theme,
    /// Whether amounts are dots.
    pub hide_money: bool,
    /// Cells of a label.
    pub label: usize,
}

impl Page<'_> {
    /// A label and what it says.
    pub fn fact(&self, label: &str, value: impl Into<String>) -> Line {
        self.toned(label, value, None)
    }

    /// A fact whose value has a severity.
    pub fn toned(&self, label: &str, value: impl Into<String>, tone: Option<Tone>) -> Line {
        let style = tone.map_or(self.theme.text(), |tone| self.theme.tone(tone));
        self.with(label, vec![(value.into(), style)])
    }

    /// A fact whose value has several looks.
    pub fn with(&self, label: &str, mut value: Line) -> Line {
        value.insert(0, (crate::text::left(label, self.label), self.theme.dim()));
        value
    }

    /// A line that is not a fact.
    pub fn note(&self, text: &str) -> Line {
        vec![(text.to_owned(), self.theme.dim())]
    }

    /// An amount with its decimals, or dots while money is hidden.
    pub fn money(&self, amount: Usd, decimals: u32) -> String {
        self.digits(&amount.rounded(decimals))
    }

    /// Words from outside; while money is hidden, what stands after a dollar sign is dots.
    pub fn words(&self, text: &str) -> String {
        if self.hide_money { without_amounts(text) } else { text.to_owned() }
    }

    /// Digits that tell an amount, or dots.
    pub fn digits(&self, digits: &str) -> String {
        if self.hide_money { "•••".into() } else { digits.to_owned() }
    }

    /// An amount to the sixth decimal, as receipts are read.
    pub fn usd(&self, amount: Usd) -> String {
        format!("${}", self.money(amount, 6))
    }
}

/// A text with every amount of dollars in it made dots.
pub(super) fn without_amounts(text: &str) -> String {
    let mut parts = text.split('$');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || ",.".contains(letter));
        shown.push_str("$•••");
        shown.push_str(rest);
    }
    shown
}

/// A run's money as the ledger enforces it, and its newest receipts.
fn run(page: &Page<'_>, day: &Day, name: &str) -> Vec<Line> {
    let Some(entry) = day.runs.get(name) else {
        return vec![page.note("not a run, or gone")];
    };
    let mut lines = Vec::new();
    let (runway, tone) = status::runway(entry);
    lines.push(page.toned("runway", runway, tone));
    if let Some(budget) = &entry.budget {
        let enforced = &budget.enforced;
        let limit = enforced.limit_usd.map_or("none".into(), |limit| page.usd(limit));
        let left = enforced.available_usd.map_or("—".into(), |left| page.usd(left));
        lines.push(page.fact("limit", limit));
        lines.push(page.fact("spent", page.usd(enforced.spent_usd())));
        lines.push(page.fact("  posted", page.usd(enforced.posted_usd)));
        lines.push(page.fact("  unknown", page.usd(enforced.unknown_usd)));
        lines.push(page.fact("held", page.usd(enforced.pending_usd())));
        lines.push(page.fact("available", left));
        lines.push(page.fact("unsure", page.usd(enforced.uncertain_usd)));
        lines.push(page.fact("burn", format!("{} a minute", page.usd(budget.burn_usd_per_min))));
        lines.push(page.fact("empty at", status::empty_at(budget, day.now)));
        lines.push(page.fact("mode", super::budgets::mode(budget.mode)));
        lines.push(page.fact("version", budget.version.to_string()));
    }
    if let Some(view) = &entry.view {
        lines.push(page.fact("requests", format::grouped(view.requests)));
        lines.push(page.fact("agents", view.agents.to_string()));
        if let Some(parent) = &view.parent {
            lines.push(page.fact("part of", parent.to_string()));
        }
        let age = format::age(format::seconds_since(day.now, view.last_at));
        lines.push(page.fact("last moved", format!("{age} ago")));
    }
    lines.push(Vec::new());
    lines.push(page.note("newest receipts"));
    let newest = day.tail.newest_first().filter(|row| row.run.as_str() == name).take(8);
    for row in newest {
        let cost = row.sent().map_or("—".into(), |sent| page.usd(sent.cost_usd));
        let (status, _) = status::receipt(row.status());
        let agent = crate::text::left(row.agent.as_str(), 16);
        lines.push(page.fact(&format::clock(row.at), format!("{agent} {cost}  {status}")));
    }
    lines
}

/// A provider with its prices, its promise and what was measured.
fn provider(page: &Page<'_>, day: &Day, name: &str) -> Vec<Line> {
    let Some(view) = day.providers.get(name) else {
        return vec![page.note("no longer registered")];
    };
    let (circuit, tone) = status::circuit(&view.circuit, day.now);
    let per_million = |rate: tollgate_shared::price::UsdPerToken| {
        format!("${} per million tokens", rate.usd_per_million())
    };
    let ms =
        |ms: Option<u32>| ms.map_or("—".into(), |ms| format!("{} s", format::seconds(ms.into())));
    let features = if view.features.is_empty() { "none".into() } else { view.features.join(", ") };
    let mut lines = vec![
        page.fact("model", view.model.to_string()),
        page.fact("endpoint", view.endpoint.as_str()),
        page.fact("dialect", format!("{:?}", view.dialect).to_lowercase()),
        page.fact("context", format!("{} tokens", format::grouped(view.context_window))),
        page.fact("features", features),
        page.toned("circuit", circuit, Some(tone)),
        page.fact("reason", view.circuit.reason.clone().unwrap_or_default()),
        page.fact("input", per_million(view.pricing.input)),
        page.fact("output", per_million(view.pricing.output)),
        page.fact("cache read", per_million(view.pricing.cache_read)),
        page.fact(
            "p50 · p95",
            format!("{} · {}", ms(view.quality.p50_ms), ms(view.quality.p95_ms)),
        ),
        page.fact("attempts", format!("{} in five minutes", view.quality.attempts)),
        page.fact("price card", view.price_id.to_string()),
        page.fact("version", view.version.to_string()),
        page.fact("registered", view.registered_at.to_string()),
    ];
    if let Some(variable) = &view.api_key_env {
        lines.push(page.fact("key in", variable.clone()));
    }
    lines
}

/// An alert whole.
fn alert(page: &Page<'_>, model: &Model, id: &str) -> Vec<Line> {
    match rows::alert(model, id) {
        Some(alert) => alerts::whole(page, model, alert),
        None => vec![page.note("it no longer holds")],
    }
}
