//! Routing at every size, in every state.

use super::spark;
use crate::fixture;
use crate::view::tests::every_state;

#[test]
fn routing() {
    every_state("routing", "5");
}

#[test]
fn a_spark_line_ends_with_the_newest_and_fits() {
    let at = |s: i64| fixture::now().floor_to(60).plus_millis(s * 1_000);
    let values = [(at(0), 1), (at(45), 7), (at(46), 7)];
    assert_eq!(spark(values.into_iter(), (at(0), at(59)), 10), "▂▁▁█");
    assert_eq!(spark(values.into_iter(), (at(0), at(59)), 2), "▂█");
    assert_eq!(spark(std::iter::empty(), (at(0), at(0)), 5), "▁");
    assert_eq!(spark(std::iter::empty(), (at(0), at(0)), 0), "");
}
