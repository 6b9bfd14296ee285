//! The lab's storage faults in short: deaths at storage calls, power cuts, full disks, failing syncs.
//!
//! What a machine cannot do (no root, no compiler, no loop devices) is printed by name and counts
//! as nothing. The long versions are `crashlab points | verbs | cut | images | flips |
//! full | sync | rules | mutants`.

use tollgate_tests::lab::{
    Options, Report, cut, flips, full, images, mutants, points, rules, sync, verbs,
};

fn options(cycles: u64) -> Options {
    let program = env!("CARGO_BIN_EXE_backend-under-test").into();
    Options { program, cycles, seed: 1, tells_progress: false }
}

/// What was found fails the test; answers whether the fault was brought about at all.
fn expect_clean(report: &Report) -> bool {
    for reason in &report.not_run {
        println!("skipped: {reason}");
    }
    assert!(report.is_clean(), "{report}");
    report.cycles > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_storage_call_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let report = points::Points::new(options(3), 1).run().await?;
    if expect_clean(&report) {
        assert!(report.facts["deaths at a storage call"] > 60, "{report}");
        assert!(report.facts["deaths in recovery"] > 20, "{report}");
        assert!(report.facts["deaths two deep"] > 5, "{report}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let report = cut::Cut::new(options(10), cut::Control::None).run().await?;
    if expect_clean(&report) {
        assert_eq!((report.facts["cuts"], report.facts["cuts, metadata kept"]), (5, 5));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_syncs_a_power_cut_is_seen_to_take_something() -> anyhow::Result<()> {
    for control in [cut::Control::NoSync, cut::Control::Process] {
        let report = cut::Cut::new(options(4), control).run().await?;
        if expect_clean(&report) {
            assert!(report.facts["losses seen"] > 0, "{report}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turned_bit_is_harmless_repaired_or_refused_and_never_believed() -> anyhow::Result<()> {
    let report = flips::Flips::new(options(1_600)).run().await?;
    assert!(expect_clean(&report));
    assert!(report.facts["refused, database"] > 80, "{report}");
    assert!(report.facts["refused, log"] > 300, "{report}");
    assert!(report.facts["repaired in receipt files"] > 300, "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_unsynced_sectors_may_be_lost_and_the_ledger_is_a_prefix() -> anyhow::Result<()> {
    let report = images::Images::new(options(240), images::Control::None).run().await?;
    if expect_clean(&report) {
        assert!(report.facts["sectors dropped or out of order"] > 240, "{report}");
        let control = images::Images::new(options(40), images::Control::NoSync).run().await?;
        assert!(expect_clean(&control) && control.facts["losses seen"] > 0, "{control}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_in_backup_rebuild_or_restore_leaves_the_next_try_its_way() -> anyhow::Result<()> {
    let report = verbs::Verbs::new(options(15)).run().await?;
    if expect_clean(&report) {
        assert!(report.facts["deaths"] > 30, "{report}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_money_and_loses_no_settlement() -> anyhow::Result<()> {
    let report = full::Full::new(options(20)).run().await?;
    if expect_clean(&report) {
        assert!(report.facts["refused with 507"] > 0, "{report}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_the_end_and_a_slow_one_is_not() -> anyhow::Result<()> {
    let report = sync::Sync::new(options(8)).run().await?;
    if expect_clean(&report) {
        assert_eq!(report.facts["ended by a failed sync"], 3, "{report}");
        assert_eq!(report.facts["lived through a lack of room"], 4, "{report}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_rules_hold_when_they_are_asked_from_outside() -> anyhow::Result<()> {
    assert!(expect_clean(&rules::Rules::new(options(1)).run().await?));
    Ok(())
}

#[test]
fn every_mistake_on_purpose_still_applies_once() -> anyhow::Result<()> {
    let table = mutants::table()?;
    assert!(table.len() >= 25, "{} mistakes", table.len());
    let mut names: Vec<&str> = table.iter().map(|mutant| mutant.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table.len(), "two mistakes have one name");
    let rotten: Vec<String> = table
        .iter()
        .filter_map(|mutant| mutants::apply(mutant).err())
        .map(|error| error.to_string())
        .collect();
    assert!(rotten.is_empty(), "{rotten:#?}");
    Ok(())
}
