//! Reports at every size, in every state.

use std::sync::Arc;

use super::day_name;
use crate::fixture;
use crate::model::Answer;
use crate::view::tests::{check, every_state};

#[test]
fn reports_without_days() {
    every_state("reports_none", "7");
}

#[test]
fn reports() {
    for size in [(50, 12), (80, 24), (120, 40), (200, 50)] {
        let mut model = fixture::model(size);
        model.fetched.report = Some(Answer::Here(Arc::new(fixture::report())));
        fixture::press(&mut model, "7");
        check("reports_live", &model);
        fixture::press(&mut model, "j j Tab");
        check("reports_earlier", &model);
    }
}

#[test]
fn dates_have_weekdays() {
    let rows = [
        ("2026-11-23", "Mon 23"),
        ("1970-01-01", "Thu 1"),
        ("2024-02-29", "Thu 29"),
        ("soon", "soon"),
    ];
    for (date, name) in rows {
        assert_eq!(day_name(date), name);
    }
}
