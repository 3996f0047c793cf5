//! Machines with one hardware id (F25): the record changes hands, until one makes a new identity.

use epm_protocol::id::HardwareKey;
use epm_protocol::site::DEFAULT_GROUP;

use super::super::*;
use super::bench::{BEAT, Bench};

/// Two clients of this version on machines with one hardware id, after this many heartbeats.
fn clones(version: &str, beats: u32) -> (Bench, [usize; 2]) {
    let mut bench = Bench::one();
    let clone = |bench: &mut Bench| {
        let sylink = bench.site.export_sylink(DEFAULT_GROUP, None).unwrap();
        let key = HardwareKey(epm_protocol::id::Guid::from_bytes([99; 16]));
        bench.client_with(sylink, version, |profile| profile.hardware_key = key)
    };
    let pair = [clone(&mut bench), clone(&mut bench)];
    for _ in 0..beats {
        bench.wait(BEAT);
    }
    (bench, pair)
}

fn conflicts(bench: &Bench, pc: usize) -> usize {
    bench.slots[pc]
        .log
        .iter()
        .filter(|line| line.text.contains("answered 46") || line.text.contains("470"))
        .count()
}

fn names(bench: &Bench) -> Vec<String> {
    bench.site.clients().map(|client| client.computer_name.clone()).collect()
}

#[test]
fn f25_one_record_belongs_to_whoever_asked_last_and_all_are_served() {
    let (mut bench, pair) = clones("12.1.6867", 1);
    assert_eq!(names(&bench).len(), 1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        bench.wait(BEAT / 4);
        seen.extend(names(&bench));
        assert!(pair.iter().all(|pc| bench.is_connected(*pc)));
    }
    assert_eq!(seen.len(), 2, "the record changes its name");
    assert_eq!(names(&bench).len(), 1);
}

#[test]
fn f25_a_version_that_can_makes_a_new_identity_when_it_is_told_to_and_keeps_it() {
    for (version, records) in
        [("14.3.8289", 2), ("14.0.2332", 2), ("14.0.1904", 1), ("14.2.758", 1), ("14.2.3332", 2)]
    {
        let (mut bench, pair) = clones(version, 8);
        assert_eq!(names(&bench).len(), records, "{version}");
        let before = pair.map(|pc| conflicts(&bench, pc));
        assert!(before.iter().sum::<usize>() >= 4, "{version}: three conflicts, and then 470");
        for _ in 0..4 {
            bench.wait(BEAT);
        }
        let after = pair.map(|pc| conflicts(&bench, pc));
        assert_eq!(before == after, records == 2, "{version}");
    }
}

#[test]
fn f25_a_new_identity_is_kept_over_a_restart_and_one_that_is_given_takes_its_place() {
    let (mut bench, pair) = clones("14.3", 8);
    let made = pair.map(|pc| bench.slots[pc].agent.machine());
    assert_ne!(made[0], made[1]);
    let kept = pair.map(|pc| bench.slots[pc].agent.cache().state.machine);
    assert_eq!(kept.iter().flatten().count(), 1, "one of them alone had to make one");
    bench.tell(pair[0], Input::Identify(made[1]));
    bench.wait(BEAT);
    assert_eq!(names(&bench).len(), 2, "the unused record stays");
    assert_eq!(bench.slots[pair[0]].agent.machine(), made[1]);
}
