//! The crash lab in short: every fault a few times, judged by the provider's bill.
//!
//! `TOLLGATE_LAB_CYCLES` says how many kill -9 cycles there are; 20 without it. The long versions are
//! `cargo run -p tollgate-tests --release --bin crashlab -- <fault>`.

use tollgate_tests::lab::{Options, Report, clock, crowd, halt, kill, link, narrow, proxy, torn};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_torn_is_whole_again_and_nothing_acknowledged_is_lost() -> anyhow::Result<()> {
    let report = torn::Torn::new(options(40)).run().await?;
    expect_clean(&report);
    assert!(report.facts["offsets in receipt files"] > 500, "{report}");
    assert!(report.facts["offsets in unacknowledged WAL frames"] >= 20, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_frames_that_are_gone_are_missed_at_the_start() -> anyhow::Result<()> {
    let report = torn::loss::Loss::new(options(12)).run().await?;
    for reason in &report.not_run {
        println!("not run: {reason}");
    }
    assert!(report.is_clean(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_let_through_to_the_last_one_that_fits() -> anyhow::Result<()> {
    let report = crowd::Crowd::new(options(2), 1_000).run().await?;
    if report.cycles == 0 {
        println!("not run: {:?}", report.not_run);
        return Ok(());
    }
    expect_clean(&report);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_and_a_freeze_loses_nothing() -> anyhow::Result<()> {
    expect_clean(&halt::Halt::new(options(4)).run().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_in_trouble_never_gives_money_back_that_was_billed() -> anyhow::Result<()> {
    let report = proxy::Proxy::new(options(160)).run().await?;
    expect_clean(&report);
    assert!(report.facts["attempts unknown in one directory, most"] > 20, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_mints_no_money() -> anyhow::Result<()> {
    let report = clock::Clock::new(options(6)).run().await?;
    if report.cycles == 0 {
        println!("not run: {:?}", report.not_run);
        return Ok(());
    }
    expect_clean(&report);
    assert!(report.facts["jumps of the wall clock"] >= 6, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_time_or_descriptors_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let report = narrow::Narrow::new(options(3)).run().await?;
    expect_clean(&report);
    assert_eq!(report.facts["left without descriptors"], 1, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_was_cut_off_and_is_back_is_sent_nothing_twice() -> anyhow::Result<()> {
    let report = link::Link::new(options(1)).run().await?;
    if report.cycles == 0 {
        println!("not run: {:?}", report.not_run);
        return Ok(());
    }
    expect_clean(&report);
    Ok(())
}
