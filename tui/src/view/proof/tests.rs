//! The proof at every size, in every state.

use crate::fixture;
use crate::view::tests::{check, every_state};

#[test]
fn receipts() {
    every_state("receipts", "4 j j");
}

#[test]
fn a_refusal_and_a_bill_that_nobody_knows() {
    for (name, keys) in [("receipts_refused", "4"), ("receipts_unknown", "4 G")] {
        for size in [(80, 24), (120, 40), (200, 50)] {
            let mut model = fixture::model(size);
            fixture::press(&mut model, keys);
            check(name, &model);
        }
    }
}
