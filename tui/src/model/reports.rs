//! What the Reports screen lists: days, newest first, and why two of them differ.
//!
//! Every list adds up to its day to the last digit: what is not named is in the last line.
//! Refuses to know cells.
//!
//! ```text
//! day − day before = Σ differences of the names known on both days + the rest
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tollgate_shared::api::{DayReport, Ranking};
use tollgate_shared::money::Usd;
use tollgate_shared::window::Sums;

use super::{Key, Model, PaneId, rows};

/// One reason why a day cost more or less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub name: String,
    /// How much more the later day cost.
    pub by: Usd,
    /// What it did on the later day and on the earlier; nothing where it was not there.
    pub sums: (Sums, Sums),
}

/// The identities of a pane's rows, in order.
pub(super) fn keys(model: &Model, pane: PaneId) -> Vec<Key> {
    let names: Vec<&str> = match pane {
        PaneId::Days => days(model).map(|day| day.date.as_str()).collect(),
        _ => selected(model).map_or(Vec::new(), |(day, _)| {
            day.breakdown.by_provider.top.iter().map(|row| row.name.as_str()).collect()
        }),
    };
    names.into_iter().map(|name| Key::Name(name.into())).collect()
}

/// The days that are listed, newest first: the oldest is only there to be compared with.
pub fn days(model: &Model) -> impl Iterator<Item = &DayReport> {
    let days = model.fetched.days().map_or(&[][..], |report| &report.days);
    let skip = usize::from(days.len() > 1);
    days.iter().skip(skip).rev()
}

/// The day at the cursor, and the one before it.
pub fn selected(model: &Model) -> Option<(&DayReport, Option<&DayReport>)> {
    let days = &model.fetched.days()?.days;
    let chosen = match rows::cursor(model, PaneId::Days) {
        Some(Key::Name(date)) => days.iter().position(|day| *day.date == *date),
        _ => None,
    };
    let place = chosen.or(days.len().checked_sub(1))?;
    let before = place.checked_sub(1).and_then(|place| days.get(place));
    Some((days.get(place)?, before))
}

/// Why two lists differ, the largest first, and what is left: together exactly the difference.
/// A name that one of the lists may have among its others is left to the rest.
pub fn differences((later, earlier): (&Ranking, &Ranking), total: Usd) -> (Vec<Difference>, Usd) {
    let mut names = BTreeMap::<&str, (Option<Sums>, Option<Sums>)>::new();
    for row in &later.top {
        names.entry(&row.name).or_default().0 = Some(row.sums);
    }
    for row in &earlier.top {
        names.entry(&row.name).or_default().1 = Some(row.sums);
    }
    let known = |sums: Option<Sums>, of: &Ranking| match (sums, of.others) {
        (None, 0) => Some(Sums::default()),
        (sums, _) => sums,
    };
    let mut found: Vec<Difference> = names
        .into_iter()
        .filter_map(|(name, (now, then))| {
            let sums = (known(now, later)?, known(then, earlier)?);
            let by = sums.0.cost_usd - sums.1.cost_usd;
            Some(Difference { name: name.to_owned(), by, sums })
        })
        .filter(|difference| !difference.by.is_zero())
        .collect();
    found.sort_by_key(|difference| Reverse(difference.by.picos().unsigned_abs()));
    let named: Usd = found.iter().map(|difference| difference.by).sum();
    (found, total - named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn differences_add_up_exactly_whatever_is_hidden() {
        let report = fixture::report();
        let [.., before, day] = &report.days[..] else { panic!("eight days") };
        let total = day.breakdown.sums.cost_usd - before.breakdown.sums.cost_usd;
        let mut later = day.breakdown.by_run.clone();
        let (found, rest) = differences((&later, &before.breakdown.by_run), total);
        assert_eq!(found.iter().map(|line| line.by).sum::<Usd>() + rest, total);
        assert_eq!(rest, Usd::ZERO, "all names are known");
        let hidden = later.top.remove(0);
        later.others = 1;
        later.others_sums = hidden.sums;
        let (found, rest) = differences((&later, &before.breakdown.by_run), total);
        assert!(found.iter().all(|line| line.name != hidden.name), "it may be among the others");
        assert_eq!(found.iter().map(|line| line.by).sum::<Usd>() + rest, total);
    }
}
