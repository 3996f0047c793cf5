//! Several machines with one hardware id: one record, which belongs to the machine that registered last.

use super::*;
use crate::heartbeat::Registered;

fn index(site: &Site, turn: u32) -> (u16, Visit) {
    let agent = client(2);
    let request = AgentRequest::Index { agent, serial: None, turn };
    match site.publication("A").unwrap().answer(&request, site.client(agent)) {
        (Answer::Now(response), visit) => (response.status, visit),
        (Answer::WhenChanged, _) => panic!("held"),
    }
}

fn arrive(site: &mut Site, computer: &str, now: Timestamp) -> u32 {
    let registration = Registration { computer_name: computer.into(), ..registration(2, None) };
    site.apply(&Command::Register(registration), now).unwrap();
    let answer = site.client(client(2)).unwrap().registered();
    Registered::from_body(&answer.body).unwrap().turn
}

#[test]
fn a_record_changes_hands_with_each_machine_that_registers_and_with_no_other() {
    let mut site = furnished();
    assert_eq!(arrive(&mut site, "original", START), 0);
    assert_eq!(arrive(&mut site, "original", START), 0, "the same machine again");
    assert_eq!(index(&site, 0).0, 200);
    assert_eq!(arrive(&mut site, "copy", START), 1);
    assert_eq!(site.client(client(2)).unwrap().computer_name, "copy");
    assert_eq!(index(&site, 1).0, 200);
    assert_eq!(index(&site, 0), (468, Visit::Conflicting(client(2))));
}

#[test]
fn three_conflicts_within_a_day_mark_the_hardware_id_and_spread_over_days_do_not() {
    let conflict = |site: &mut Site, hours: u64| {
        let now = START + std::time::Duration::from_secs(hours * 3600);
        site.apply(&Command::NoteConflict { agent: client(2) }, now).unwrap();
        index(site, 0).0
    };
    let shared = || {
        let mut site = furnished();
        arrive(&mut site, "original", START);
        arrive(&mut site, "copy", START);
        site
    };
    let mut site = shared();
    assert_eq!([0, 1, 2].map(|hours| conflict(&mut site, hours)), [468, 468, 470]);
    assert_eq!(index(&site, 1).0, 200, "the owner of the record is not affected");
    assert_eq!(arrive(&mut site, "original", LATER), 2);
    assert_eq!(index(&site, 1).0, 470, "the mark stays");
    let mut site = shared();
    assert_eq!([0, 13, 26, 39, 52].map(|hours| conflict(&mut site, hours)), [468; 5]);
    assert_eq!([53, 54].map(|hours| conflict(&mut site, hours)), [470; 2]);
}
