//! Colour science: every eye, every ground, every glyph.
#![expect(clippy::float_arithmetic, reason = "colour science; no money here")]
use super::*;

type Linear = [f64; 3];

fn linear(color: Color) -> Linear {
    let Color::Rgb(red, green, blue) = color else { panic!("not a computed colour") };
    [red, green, blue].map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(matrix: [[f64; 3]; 3], vector: Linear) -> Linear {
    matrix.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>())
}

/// Björn Ottosson's OKLab.
fn oklab(color: Linear) -> Linear {
    let cones = times(
        [
            [0.412_221_470_8, 0.536_332_536_3, 0.051_445_992_9],
            [0.211_903_498_2, 0.680_699_545_1, 0.107_396_956_6],
            [0.088_302_461_9, 0.281_718_837_6, 0.629_978_700_5],
        ],
        color,
    )
    .map(|cone| cone.max(0.0).cbrt());
    times(
        [
            [0.210_454_255_3, 0.793_617_785_0, -0.004_072_046_8],
            [1.977_998_495_1, -2.428_592_205_0, 0.450_593_709_9],
            [0.025_904_037_1, 0.782_771_766_2, -0.808_675_766_0],
        ],
        cones,
    )
}

/// Machado, Oliveira and Fernandes 2009, severity 1.0.
const SIGHTS: [[[f64; 3]; 3]; 4] = [
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ],
    [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ],
    [
        [1.255_528, -0.076_749, -0.178_779],
        [-0.078_411, 0.930_809, 0.147_602],
        [0.004_733, 0.691_367, 0.303_900],
    ],
];

fn distance(sight: [[f64; 3]; 3], one: Color, other: Color) -> f64 {
    let seen = |color| oklab(times(sight, linear(color)).map(|part| part.clamp(0.0, 1.0)));
    let (a, b) = (seen(one), seen(other));
    100.0 * a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn contrast(text: Color, ground: Color) -> f64 {
    let light = |color| {
        let [red, green, blue] = linear(color);
        0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
    };
    let (one, other) = (light(text), light(ground));
    one.max(other) / one.min(other)
}

#[test]
fn severities_are_told_apart_by_every_eye() {
    let palettes =
        [("dark", DARK, 12.0), ("light", LIGHT, 12.0), ("high-contrast", HIGH_CONTRAST, 12.0)];
    for (name, palette, goal) in palettes {
        let mut least = f64::MAX;
        for sight in SIGHTS {
            for (index, one) in palette.severities.iter().enumerate() {
                for other in &palette.severities[index + 1..] {
                    least = least.min(distance(sight, *one, *other));
                }
            }
        }
        assert!(least >= goal, "{name}: {least:.1}");
    }
}

#[test]
fn every_text_is_readable_on_every_ground_it_can_stand_on() {
    for palette in [DARK, LIGHT, HIGH_CONTRAST] {
        assert_eq!(palette.fault(), None);
        let mut texts = palette.severities.to_vec();
        texts.extend([palette.text, palette.dim, palette.key]);
        for text in texts {
            for ground in [palette.ground, palette.selected, palette.alert, palette.field] {
                let found = contrast(text, ground);
                assert!(found >= 4.5, "{text:?} on {ground:?}: {found:.2}");
            }
        }
    }
}

#[test]
fn nothing_beyond_ascii_is_drawn_where_nothing_else_can_be() {
    let model = crate::fixture::model((120, 40));
    for glyphs in [Glyphs::Ascii, Glyphs::Blocks] {
        let area = ratatui::layout::Rect::new(0, 0, 120, 40);
        let mut buffer = Buffer::empty(area);
        let theme = Theme::new(ThemeChoice::Dark, Depth::True).with(glyphs);
        crate::view::view(&model, &theme, area, &mut buffer);
        let text = crate::picture::text(&buffer);
        assert!(text.contains("R-207"), "{text}");
        if glyphs == Glyphs::Ascii {
            assert!(text.is_ascii(), "{text}");
            // One stands in the footer, as the key for help; any other is a glyph without a
            // replacement.
            assert_eq!(text.matches('?').count(), 1, "{text}");
        }
    }
}

#[test]
fn without_colour_severities_still_differ() {
    let theme = Theme::new(ThemeChoice::Dark, Depth::None);
    let looks = [Tone::Ok, Tone::Caution, Tone::Warning, Tone::Critical]
        .map(|tone| theme.tone(tone).add_modifier);
    for (index, look) in looks.iter().enumerate() {
        assert!(!looks[index + 1..].contains(look));
    }
}
