//! A buffer as text, or as a picture: our own small SVG writer.
//!
//! Block elements become rectangles, because fonts leave hairlines between them; everything else
//! is text, a run at a time. Refuses to know what is drawn.
//!
//! ```text
//! Buffer ─▶ text    for tests and pipes
//!        └▶ SVG     for people; rsvg-convert makes a PNG of it
//! ```

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use crate::theme::Theme;

/// The buffer's rows as plain text, without spaces at their ends.
pub fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The buffer as an SVG, in a window with `title`.
pub fn svg(buffer: &Buffer, theme: &Theme, title: &str) -> String {
    let (columns, rows) = (u32::from(buffer.area.width), u32::from(buffer.area.height));
    let (width, height) = (columns * CELL_W + 2 * EDGE, rows * CELL_H + BAR + EDGE);
    let ground = hex(theme.ground(), "#0b0e14");
    let dim = hex(theme.dim().fg.unwrap_or(Color::Reset), "#7c8796");
    let mut svg = String::with_capacity(64 * 1024);
    // Writing to a string cannot fail.
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"DejaVu Sans Mono, monospace\" \
         font-size=\"{FONT}\">\n<rect width=\"100%\" height=\"100%\" rx=\"80\" fill=\"{ground}\"/>",
        w = width / 10,
        h = height / 10,
    )
    .ok();
    for (place, color) in (0_u32..).zip(["#ff5f57", "#febc2e", "#28c840"]) {
        let x = EDGE + 60 + place * 200;
        writeln!(svg, "<circle cx=\"{x}\" cy=\"200\" r=\"60\" fill=\"{color}\"/>").ok();
    }
    let middle = width / 2;
    writeln!(
        svg,
        "<text x=\"{middle}\" y=\"245\" fill=\"{dim}\" text-anchor=\"middle\">{}</text>",
        escaped(title)
    )
    .ok();
    for y in 0..buffer.area.height {
        row(&mut svg, buffer, y, &ground);
    }
    svg.push_str("</svg>\n");
    svg
}

/// One row: grounds, then blocks and text in runs of one look.
fn row(svg: &mut String, buffer: &Buffer, y: u16, ground: &str) {
    let top = BAR + u32::from(y) * CELL_H;
    let mut x = 0;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        let (fg, bg, bold) = look(cell, ground);
        let left = EDGE + u32::from(x) * CELL_W;
        let mut run = String::new();
        let start = x;
        while x < buffer.area.width {
            let next = &buffer[(x, y)];
            if x > start && !goes_on(cell, next, ground) {
                break;
            }
            run.push_str(next.symbol());
            x += 1;
        }
        let width = u32::from(x - start) * CELL_W;
        if bg != ground {
            rect(svg, [left, top, width, CELL_H], &bg);
        }
        if block(cell.symbol()).is_some() {
            for (symbol, place) in run.chars().zip(0_u32..) {
                blocks(svg, symbol, (left + place * CELL_W, top), &fg);
            }
        } else if !run.trim().is_empty() {
            let weight = if bold { " font-weight=\"bold\"" } else { "" };
            let base = top + CELL_H * 78 / 100;
            writeln!(
                svg,
                "<text x=\"{left}\" y=\"{base}\" fill=\"{fg}\"{weight} textLength=\"{width}\" \
                 lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{}</text>",
                escaped(&run)
            )
            .ok();
        }
    }
}

/// Whether the next cell belongs to a run: plain letters together, any other glyph with its own
/// kind only, because fonts that lend a glyph seldom lend its width.
fn goes_on(cell: &Cell, next: &Cell, ground: &str) -> bool {
    let alike = match (cell.symbol().is_ascii(), block(cell.symbol())) {
        (true, _) => next.symbol().is_ascii(),
        (false, Some(_)) => block(next.symbol()).is_some(),
        (false, None) => next.symbol() == cell.symbol(),
    };
    alike && look(cell, ground) == look(next, ground)
}

/// A rectangle with sharp edges: soft ones would leave seams between cells.
fn rect(svg: &mut String, [x, y, width, height]: [u32; 4], fill: &str) {
    writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\" \
         shape-rendering=\"crispEdges\"/>"
    )
    .ok();
}

/// Colours and weight of a cell, with `reversed` resolved.
fn look(cell: &Cell, ground: &str) -> (String, String, bool) {
    let (fg, bg) = (hex(cell.fg, "#d7dee8"), hex(cell.bg, ground));
    let bold = cell.modifier.contains(Modifier::BOLD);
    if cell.modifier.contains(Modifier::REVERSED) { (bg, fg, bold) } else { (fg, bg, bold) }
}

/// Draws a block element as rectangles.
fn blocks(svg: &mut String, symbol: char, (x, y): (u32, u32), fill: &str) {
    let Some((upper, eighths)) = block(&symbol.to_string()) else { return };
    let height = CELL_H * eighths / 8;
    let top = if upper { y } else { y + CELL_H - height };
    rect(svg, [x, top, CELL_W, height], fill);
}

/// Whether a symbol is a block: from above or below, and how many eighths of its cell.
fn block(symbol: &str) -> Option<(bool, u32)> {
    let letter = symbol.chars().next()?;
    match u32::from(letter) {
        0x2580 => Some((true, 4)),
        code @ 0x2581..=0x2588 => Some((false, code - 0x2580)),
        _ => None,
    }
}

/// A colour as SVG writes it; named ones as a common terminal shows them.
fn hex(color: Color, otherwise: &str) -> String {
    match color {
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
        Color::Black => "#000000".into(),
        Color::Blue => "#5c8dd6".into(),
        Color::Yellow => "#d7c15c".into(),
        Color::Magenta => "#d65cad".into(),
        Color::Green => "#5cd67a".into(),
        Color::Cyan => "#5cc8d6".into(),
        Color::Gray => "#a0a0a0".into(),
        Color::DarkGray => "#606060".into(),
        _ => otherwise.into(),
    }
}

/// Text that cannot end its element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Tenths of a pixel: DejaVu Sans Mono is 0.602 em wide and 1.164 em high, and cells are whole
/// pixels so that blocks meet without seams.
const FONT: u32 = 182;
const CELL_W: u32 = 110;
const CELL_H: u32 = 210;
const EDGE: u32 = 200;
const BAR: u32 = 460;
