//! Whether a receipt stands in its run's chain: its own seal, and the line before it.
//!
//! The seal is worked out anew over the exact line where it was read, else over the line that the
//! receipt would have. A newer backend may write fields that this console does not know, so only
//! the exact line can convict. Refuses to know where lines come from.

use tollgate_shared::receipt::{Receipt, hex_sha256};

use crate::model::{Model, Row, Sent};

/// What is known of a receipt's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its seal is right, and it is the first of its run.
    First,
    /// Its seal is right, and it follows this place.
    Follows(u64),
    /// Its seal is right; the line before it is not here.
    Sealed,
    /// It cannot be said from what is here.
    Open,
    /// The exact line is not the one that was sealed, or follows another.
    Broken(&'static str),
}

/// Works out the place of a row's receipt.
pub(super) fn place(model: &Model, row: &Row, sent: &Sent) -> Place {
    let tail = &model.day().tail;
    let lines = model.fetched.lines(&row.run, sent.seq);
    let exact = lines.and_then(|lines| lines.own.as_deref());
    let whole = tail.whole(row.serial);
    let prev = match (exact, whole) {
        (Some(line), _) => match opened(line) {
            Some(receipt) => receipt.prev,
            None => return Place::Broken("its bytes are not the ones that were sealed"),
        },
        (None, Some(receipt)) if is_sealed(receipt) => receipt.prev.clone(),
        _ => return Place::Open,
    };
    if sent.seq <= 1 {
        let first =
            if prev.is_empty() { Place::First } else { Place::Broken("it is not the first") };
        return first;
    }
    let before = sent.seq - 1;
    let head = match lines.and_then(|lines| lines.before.as_deref()) {
        Some(line) => match opened(line) {
            Some(receipt) => Some(receipt.hash),
            None => return Place::Broken("the line before it was altered"),
        },
        None => tail.whole_at(&row.run, before).map(|receipt| receipt.hash.clone()),
    };
    match head {
        None => Place::Sealed,
        Some(head) if head == prev => Place::Follows(before),
        Some(_) => Place::Broken("it follows another line than the one before it"),
    }
}

/// The receipt of an exact line whose seal is right.
fn opened(line: &str) -> Option<Receipt> {
    let (body, _) = line.rsplit_once(",\"hash\":\"")?;
    let digest = hex_sha256(body.as_bytes());
    let is_whole = line.strip_prefix(body) == Some(&*format!(",\"hash\":\"{digest}\"}}"));
    serde_json::from_str(line).ok().filter(|_| is_whole)
}

/// Whether the line that this receipt would have is the one that was sealed.
fn is_sealed(receipt: &Receipt) -> bool {
    let mut anew = receipt.clone();
    !receipt.hash.is_empty() && anew.seal().is_ok() && anew.hash == receipt.hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_place_is_proven_from_what_is_here() {
        let model = fixture::model((80, 24));
        let of = |serial: u64| {
            let row = model.day().tail.row(serial).unwrap().clone();
            place(&model, &row, row.sent().unwrap())
        };
        assert_eq!(of(0), Place::Sealed, "the one before is not here");
        assert_eq!(of(13), Place::Follows(103));
    }

    #[test]
    fn exact_lines_convict_and_acquit() {
        let receipts = fixture::receipts();
        let line = |place: usize| receipts[place].clone().seal().unwrap();
        let mut model = fixture::model((80, 24));
        let row = model.day().tail.row(13).unwrap().clone();
        let sent = row.sent().unwrap();
        model.fetched.keep_lines(&row.run, sent.seq, vec![line(12), line(13)]);
        assert_eq!(place(&model, &row, sent), Place::Follows(103));
        let forged = line(13).replace("0.00768", "0.00758");
        model.fetched.keep_lines(&row.run, sent.seq, vec![line(12), forged]);
        assert!(matches!(place(&model, &row, sent), Place::Broken(_)));
        let mut stray = Receipt { prev: String::new(), ..receipts[12].clone() };
        model.fetched.keep_lines(&row.run, sent.seq, vec![stray.seal().unwrap(), line(13)]);
        assert!(
            matches!(place(&model, &row, sent), Place::Broken(_)),
            "another line stands before"
        );
    }
}
