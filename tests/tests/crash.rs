//! The crash lab in short: every fault a few times, judged by the provider's bill.
//!
//! `TOLLGATE_LAB_CYCLES` says how many kill -9 cycles there are; 20 without it. The long versions are
//! `cargo run -p tollgate-tests --release --bin crashlab -- <fault>`.

use tollgate_tests::lab::{Options, Report, kill};

fn options(cycles: u64) -> Options {
    let program = env!("CARGO_BIN_EXE_backend-under-test").into();
    Options { program, cycles, seed: 1, tells_progress: false }
}

/// What could not run is printed by name; what was found fails the test.
fn expect_clean(report: &Report) {
    for reason in &report.not_run {
        println!("not run: {reason}");
    }
    assert!(report.checks > 0 && report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_streaming_clients_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let cycles = std::env::var("TOLLGATE_LAB_CYCLES").ok().and_then(|text| text.parse().ok());
    let report = kill::Kill::new(options(cycles.unwrap_or(20))).run().await?;
    expect_clean(&report);
    assert!(report.facts["clients' requests"] > 500, "{report}");
    Ok(())
}
