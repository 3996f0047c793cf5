//! The site by hand: commands, refusals, serials, and what is published.

mod clones;
mod group_commands;
mod keys;
mod keystore;
mod recovery;
mod replay;
mod replication;
mod together;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::assumption::Assumptions;
use crate::heartbeat::http::sha256_hex;
use crate::heartbeat::{AgentRequest, Artifact, Index, ManagerResponse, Registration};
use crate::id::{AgentId, DomainId, GroupId, Guid, HardwareKey};
use crate::policy::{
    CommunicationChange, ManagementServer, PolicyDocument, PolicySerial, Protocol, ServerPriority,
};
use crate::sylink::{CommunicationMode, PublishedList};
use crate::time::Timestamp;
use crate::trust::{Pins, ServerCertificate, Signed};
use crate::version::ClientVersion;

const START: Timestamp = Timestamp::from_seconds(1_767_600_000);
const LATER: Timestamp = Timestamp::from_seconds(1_767_600_060);
const INHERITING: &str = r"My Company\Desktops";
const BELOW: &str = r"My Company\Desktops\Loans";
const OWN: &str = r"My Company\Servers";
const COPY: &str = "Copy";

fn founding(managers: &[(&str, &str)]) -> Founding {
    let ports = |address: &str| ManagerPorts { address: address.into(), http: Some(8014), https: Some(443) };
    Founding {
        name: "My Site".into(),
        seed: 7,
        managers: managers.iter().map(|(name, address)| ((*name).to_owned(), ports(address))).collect(),
        assumptions: Arc::new(Assumptions::default()),
    }
}

/// A site with two managers, the top group and the default group.
fn bare() -> Site {
    Site::found(founding(&[("A", "10.0.0.1"), ("B", "10.0.0.2")]), START).unwrap()
}

/// The commands that make [`furnished`].
fn furniture() -> Vec<Command> {
    vec![
        add_group(INHERITING, true),
        add_group(BELOW, true),
        add_group(OWN, false),
        Command::CopyList { from: default_list(), to: COPY.into() },
        Command::AddLocation { group: OWN.into(), location: "Office".into() },
        assign(COPY, OWN, Some("Office")),
        Command::AddPackage { package: "SEP".into(), file: file("setup.exe", b"MZ") },
        Command::Register(registration(1, None)),
    ]
}

fn furnished() -> Site {
    let mut site = bare();
    for command in furniture() {
        site.apply(&command, START).unwrap();
    }
    site
}

fn default_list() -> String {
    "Default Management Server List for My Site".into()
}

fn add_group(group: &str, inherits: bool) -> Command {
    Command::AddGroup { group: group.into(), inherits }
}

fn assign(list: &str, group: &str, location: Option<&str>) -> Command {
    Command::AssignList { list: list.into(), group: group.into(), location: location.map(str::to_owned) }
}

fn secure(group: &str, on: bool) -> Command {
    Command::SetSecureCommunications { group: group.into(), on }
}

fn policy(group: &str, content: &str) -> Command {
    Command::SetPolicy { group: group.into(), policy: "Firewall".into(), content: content.into() }
}

fn edit(list: &str) -> Command {
    Command::EditList { list: list.into(), protocol: None, verify_ca: None, priorities: None }
}

fn edit_servers(server: ManagementServer) -> Command {
    let priorities = Some(vec![ServerPriority(vec![server])]);
    Command::EditList { list: COPY.into(), protocol: None, verify_ca: None, priorities }
}

fn at(manager: &str) -> ManagementServer {
    ManagementServer::at_its_own(manager)
}

fn generate(manager: &str, stores: Stores) -> Command {
    let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
    Command::UpdateCertificate { manager: manager.into(), certificate, stores }
}

fn file(name: &str, content: &'static [u8]) -> Material {
    Material { file: name.into(), content: Bytes::from_static(content) }
}

fn registration(machine: u8, preferred_group: Option<&str>) -> Registration {
    Registration {
        domain: bare_domain(),
        hardware_key: HardwareKey(Guid::from_bytes([machine; 16])),
        computer_name: "PC".into(),
        version: "14.3".parse().unwrap(),
        preferred_group: preferred_group.map(str::to_owned),
    }
}

fn bare_domain() -> DomainId {
    DomainId(Guid::derive(7, "domain", "Default", Ipv4Addr::new(10, 0, 0, 1)))
}

fn client(machine: u8) -> AgentId {
    agent_id(HardwareKey(Guid::from_bytes([machine; 16])))
}

fn serials(site: &Site) -> BTreeMap<String, PolicySerial> {
    let publication = site.publication("A").unwrap();
    let serial = |group: &Group| publication.group(group.id).unwrap().serial;
    site.groups().iter().map(|(path, group)| (path.to_owned(), serial(group))).collect()
}

/// The groups whose serials this command advances; checks that none goes back.
fn concerned(site: &mut Site, command: &Command, now: Timestamp) -> Vec<String> {
    let before = serials(site);
    site.apply(command, now).unwrap();
    let after = serials(site);
    let moved = after.into_iter().filter(|(path, serial)| before.get(path) != Some(serial));
    moved
        .inspect(|(path, serial)| {
            assert!(before.get(path).is_none_or(|old| old < serial), "{path}: {serial} is before");
        })
        .map(|(path, _)| path)
        .collect()
}

/// The whole state and publication of a site, to the byte.
fn everything(site: &Site) -> String {
    let mut text = format!("{:?}\n{:?}\n{:?}\n", site.groups, site.lists, site.clients);
    text.push_str(&format!("{} {:?} {:?}\n", site.keys_used, site.kcs.to_string(), site.packages));
    text.push_str(&format!("{} {} {:?}\n", site.domain, site.reinstalled, site.recoveries));
    for manager in site.managers() {
        text.push_str(&format!("{manager:?}\n"));
        let publication = site.publication(&manager.name).unwrap();
        text.push_str(&format!("{} {:?}\n", publication.generation, publication.identity.certificate()));
        let groups: BTreeMap<_, _> = publication.groups.iter().collect();
        let packages: BTreeMap<_, _> = publication.packages.iter().collect();
        text.push_str(&format!("{groups:?}\n{packages:?}\n"));
    }
    text
}

fn get(site: &Site, manager: &str, group: &str, artifact: Artifact) -> ManagerResponse {
    let client = RegisteredClient {
        agent: client(9),
        hardware_key: HardwareKey(Guid::from_bytes([9; 16])),
        computer_name: "PC".into(),
        version: ClientVersion::new(14, 3),
        group: site.groups().find(group).unwrap().id,
        turn: 0,
        conflicts: Vec::new(),
        is_duplicate: false,
    };
    let request = AgentRequest::Fetch { agent: client.agent, artifact };
    match site.publication(manager).unwrap().answer(&request, Some(&client)).0 {
        Answer::Now(response) => response,
        Answer::WhenChanged => panic!("a download is not held"),
    }
}

fn published_policy(site: &Site, group: &str) -> PolicyDocument {
    PolicyDocument::parse(&get(site, "A", group, Artifact::Policy).body).unwrap()
}

fn published_list(site: &Site, group: &str) -> PublishedList {
    let body = get(site, "A", group, Artifact::List).body;
    PublishedList::parse(std::str::from_utf8(&body).unwrap()).unwrap()
}

fn signed_by(response: &ManagerResponse, certificate: &ServerCertificate) -> bool {
    let signature = response.signature.as_ref().and_then(|header| header.signature());
    let pins: Pins = [certificate.clone()].into_iter().collect();
    Signed::<()>::new(response.body.clone(), signature).verify(&pins).is_ok()
}

#[test]
fn every_refusal_names_its_reason_and_leaves_the_site_exactly_as_it_was() {
    let change = |heartbeat_seconds| CommunicationChange { heartbeat_seconds, ..Default::default() };
    let set = |group: &str, location: Option<&str>, change| Command::SetCommunication {
        group: group.into(),
        location: location.map(str::to_owned),
        change,
    };
    let certificate =
        |certificate| Command::UpdateCertificate { manager: "A".into(), certificate, stores: Stores::Both };
    let made = |common_name: &str, valid_days| {
        certificate(NewCertificate::Generate { common_name: Some(common_name.into()), valid_days })
    };
    let import = certificate(NewCertificate::Import {
        certificate: file("server.crt", b"no certificate"),
        key: file("server.key", b"no key"),
        key_password: None,
    });
    let location =
        |group: &str, location: &str| Command::AddLocation { group: group.into(), location: location.into() };
    let priorities = |priorities| Command::EditList {
        list: COPY.into(),
        protocol: None,
        verify_ca: None,
        priorities: Some(priorities),
    };
    let copy = |from: &str, to: &str| Command::CopyList { from: from.into(), to: to.into() };
    let inherit = |group: &str, inherits| Command::SetInheritance { group: group.into(), inherits };
    let package =
        |package: &str, group: &str| Command::AssignPackage { package: package.into(), group: group.into() };
    let refused = [
        (add_group(INHERITING, true), "exists already"),
        (add_group("Elsewhere", true), r#"group is "Elsewhere"; expected a full path below "My Company""#),
        (add_group(r"My Company\Desktps\X", true), r#"did you mean "My Company\Desktops""#),
        (add_group("My Company\\Desktops\\", true), "expected a name of"),
        (add_group("My Company\\Desk\u{1}tops", true), "without control characters"),
        (add_group(&format!("My Company\\{}", "é".repeat(257)), true), "a name of 1 to 256 characters"),
        (inherit(TOP_GROUP, true), "the top group"),
        (inherit("My Company\\Nowhere", true), "there is no group"),
        (location(INHERITING, "Home"), r#"inherits from "My Company""#),
        (location(OWN, "Office"), "a location \"Office\" exists already"),
        (location(OWN, ""), "location is"),
        (location(OWN, &"x".repeat(257)), "a name of 1 to 256 characters"),
        (set(INHERITING, None, change(Some(60))), "inherits from"),
        (set(OWN, None, change(Some(0))), "at least one second"),
        (set(OWN, Some("Ofice"), change(Some(60))), r#"did you mean "Office""#),
        (Command::UseGroupCommunication { group: OWN.into(), location: "x".into() }, "there is no location"),
        (Command::UseGroupCommunication { group: BELOW.into(), location: "Default".into() }, "inherits"),
        (secure(BELOW, false), r#""My Company\Desktops\Loans" inherits from "My Company""#),
        (secure("My Company\\Nowhere", false), "there is no group"),
        (copy("Copi", "New"), r#"did you mean "Copy""#),
        (copy(COPY, COPY), "exists already"),
        (copy(COPY, " "), "list is"),
        (copy(COPY, &"x".repeat(257)), "a name of 1 to 256 characters"),
        (edit(&default_list()), "cannot be edited or removed; copy it"),
        (edit("Nowhere"), "there is no management server list"),
        (priorities(vec![]), "at least one server in each"),
        (priorities(vec![ServerPriority(vec![at("A")]), ServerPriority(vec![])]), "at least one server"),
        (edit_servers(at("C")), r#"there is no manager "C""#),
        (edit_servers(ManagementServer { address: Some(" ".into()), ..at("A") }), "address is"),
        (edit_servers(ManagementServer { https_port: Some(0), ..at("A") }), "a port from 1 to 65535"),
        (edit_servers(ManagementServer { http_port: Some(0), ..at("A") }), "a port from 1 to 65535"),
        (Command::RemoveList { list: default_list() }, "is the default list"),
        (Command::RemoveList { list: COPY.into() }, r#"in use by My Company\Servers"#),
        (Command::RemoveList { list: "x".into() }, "there is no management server list"),
        (assign("x", OWN, None), "there is no management server list"),
        (assign(COPY, BELOW, None), "inherits from"),
        (assign(COPY, OWN, Some("x")), "there is no location"),
        (
            priorities(vec![ServerPriority(vec![at("A"); 20_000])]),
            r#"list of the group "My Company\Servers" would have"#,
        ),
        (policy(OWN, &"x".repeat(1 << 20)), "clients read at most 1048576: take fewer"),
        (policy(BELOW, "x"), "inherits from"),
        (
            Command::SetPolicy { group: OWN.into(), policy: String::new(), content: String::new() },
            "policy is",
        ),
        (Command::AddPackage { package: String::new(), file: file("x", b"x") }, "package is"),
        (package("x", OWN), "there is no package"),
        (package("SEP", BELOW), "inherits from"),
        (generate("C", Stores::Both), "there is no manager"),
        (made("", None), "invalid common name of 0 characters"),
        (made("x", Some(u32::MAX)), "cannot be written in a certificate"),
        (import, "server."),
        (Command::MoveClient { client: client(1).into(), group: "x".into() }, "there is no group"),
        (Command::MoveClient { client: client(2).into(), group: OWN.into() }, "there is no client"),
    ];
    let mut site = furnished();
    let before = everything(&site);
    for (command, reason) in refused {
        let error = site.apply(&command, LATER).expect_err(&format!("{command:?}"));
        assert!(error.to_string().contains(reason), "{command:?}: {error}");
        assert_eq!(everything(&site), before, "{command:?}");
    }
}

#[test]
fn a_list_that_leads_to_a_port_that_is_not_there_is_refused() {
    let mut founding = founding(&[("A", "10.0.0.1")]);
    founding.managers[0].1.http = None;
    let mut site = Site::found(founding, START).unwrap();
    site.apply(&Command::CopyList { from: default_list(), to: COPY.into() }, START).unwrap();
    let before = everything(&site);
    let http = Command::EditList {
        list: COPY.into(),
        protocol: Some(Protocol::Http),
        verify_ca: None,
        priorities: None,
    };
    let refused = CommandError::NoPort { list: COPY.into(), manager: "A".into(), protocol: Protocol::Http };
    assert_eq!(site.apply(&http, LATER), Err(refused));
    assert_eq!(everything(&site), before);
    let custom = ManagementServer { http_port: Some(8080), ..at("A") };
    let priorities = Some(vec![ServerPriority(vec![custom])]);
    let protocol = Some(Protocol::Http);
    let http = Command::EditList { list: COPY.into(), protocol, verify_ca: None, priorities };
    assert!(site.apply(&http, LATER).is_ok(), "a port of its own will do");
}

#[test]
fn a_site_cannot_be_founded_on_nothing_or_on_two_of_one_name_or_where_no_list_leads() {
    let refused = |founding| Site::found(founding, START).unwrap_err();
    assert!(matches!(refused(founding(&[])), CommandError::Invalid { field: "managers", .. }));
    let twice = founding(&[("A", "10.0.0.1"), ("A", "10.0.0.2")]);
    assert_eq!(refused(twice), CommandError::NameTaken { kind: "manager", name: "A".into() });
    let mut without = founding(&[("A", "10.0.0.1"), ("B", "10.0.0.2")]);
    (without.managers[0].1.http, without.managers[1].1.https) = (None, None);
    assert!(matches!(refused(without), CommandError::NoPort { .. }), "they have no protocol in common");
    let nameless = founding(&[("", "10.0.0.1")]);
    assert!(matches!(refused(nameless), CommandError::Invalid { field: "manager", .. }));
    assert!(matches!(refused(founding(&[("A", "")])), CommandError::Issue(_)));
}

#[test]
fn a_new_site_has_two_groups_one_list_and_everybody_at_the_same_priority() {
    let site = bare();
    let paths: Vec<_> = site.groups().iter().map(|(path, group)| (path, group.inherits)).collect();
    assert_eq!(paths, [(TOP_GROUP, false), (DEFAULT_GROUP, true)]);
    let lists: Vec<_> = site.lists().collect();
    assert_eq!(lists.len(), 1);
    assert_eq!(lists[0].name, default_list());
    assert_eq!(lists[0].priorities.len(), 1);
    assert_eq!(lists[0].managers().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(lists[0].protocol, Protocol::Https);
    for manager in site.managers() {
        assert_eq!(
            &manager.id.to_string()[8..16],
            ["0A000001", "0A000002"][usize::from(manager.name == "B")]
        );
        assert_eq!(manager.console, manager.client);
    }
    assert!(published_policy(&site, DEFAULT_GROUP).secure_communications);
    assert_eq!(published_list(&site, DEFAULT_GROUP).group.certificates.len(), 2, "of all managers [C S20]");
}

#[test]
fn serials_advance_for_exactly_the_groups_that_a_command_concerns() {
    let mut site = furnished();
    let mut moved = |command: &Command| concerned(&mut site, command, LATER);
    let everybody = [TOP_GROUP, DEFAULT_GROUP, INHERITING, BELOW, OWN];
    let top_and_heirs = [TOP_GROUP, DEFAULT_GROUP, INHERITING, BELOW];
    assert_eq!(moved(&secure(TOP_GROUP, false)), top_and_heirs);
    assert_eq!(moved(&secure(OWN, false)), [OWN]);
    assert_eq!(moved(&policy(TOP_GROUP, "x")), top_and_heirs);
    assert_eq!(moved(&edit(COPY)), [OWN], "the group that uses it in a location");
    assert_eq!(moved(&Command::CopyList { from: COPY.into(), to: "Third".into() }), [""; 0]);
    assert_eq!(moved(&edit("Third")), [""; 0], "no group uses it");
    assert_eq!(moved(&assign("Third", TOP_GROUP, None)), top_and_heirs);
    assert_eq!(moved(&generate("B", Stores::Both)), everybody);
    assert_eq!(moved(&Command::Register(registration(2, None))), [""; 0]);
    assert_eq!(moved(&Command::MoveClient { client: client(2).into(), group: OWN.into() }), [""; 0]);
    assert_eq!(
        moved(&Command::SetInheritance { group: INHERITING.into(), inherits: false }),
        [INHERITING, BELOW]
    );
    assert_eq!(moved(&Command::SetInheritance { group: INHERITING.into(), inherits: false }), [""; 0]);
    assert_eq!(moved(&secure(TOP_GROUP, true)), [TOP_GROUP, DEFAULT_GROUP]);
    assert_eq!(moved(&secure(INHERITING, true)), [INHERITING, BELOW]);
    assert_eq!(
        moved(&Command::SetInheritance { group: INHERITING.into(), inherits: true }),
        [INHERITING, BELOW]
    );
    assert_eq!(moved(&add_group(r"My Company\New", true)), [r"My Company\New"]);
    assert_eq!(moved(&Command::AssignPackage { package: "SEP".into(), group: OWN.into() }), [OWN]);
    assert_eq!(
        moved(&Command::UseGroupCommunication { group: OWN.into(), location: "Office".into() }),
        [OWN]
    );
}

#[test]
fn serials_advance_though_the_clock_stands_still_or_goes_back() {
    let mut site = furnished();
    for now in [LATER, LATER, LATER, START, Timestamp::EPOCH, Timestamp::EPOCH] {
        let moved = concerned(&mut site, &policy(OWN, "x"), now);
        assert_eq!(moved, [OWN]);
    }
    let last = serials(&site)[OWN];
    assert_eq!(last.changed(), LATER + Duration::from_millis(5));
    assert_eq!(last.to_string()[..4], site.groups().find(OWN).unwrap().id.to_string()[..4]);
}

#[test]
fn an_inheriting_group_follows_its_parent_and_starts_from_a_copy_when_it_stops() {
    let mut site = furnished();
    let secure_in = |site: &Site, group: &str| published_policy(site, group).secure_communications;
    site.apply(&secure(TOP_GROUP, false), LATER).unwrap();
    assert!(!secure_in(&site, BELOW) && secure_in(&site, OWN));
    site.apply(&Command::SetInheritance { group: INHERITING.into(), inherits: false }, LATER).unwrap();
    assert!(!secure_in(&site, INHERITING), "it starts from what it inherited");
    site.apply(&secure(TOP_GROUP, true), LATER).unwrap();
    assert!(secure_in(&site, DEFAULT_GROUP) && !secure_in(&site, INHERITING) && !secure_in(&site, BELOW));
    site.apply(&Command::SetInheritance { group: INHERITING.into(), inherits: true }, LATER).unwrap();
    assert!(secure_in(&site, INHERITING) && secure_in(&site, BELOW));
}

#[test]
fn the_default_list_stays_as_it_is_and_a_copy_is_edited_and_assigned() {
    let mut site = furnished();
    let refused = CommandError::DefaultList { list: default_list() };
    assert_eq!(site.apply(&edit(&default_list()), LATER), Err(refused.clone()));
    assert_eq!(site.apply(&Command::RemoveList { list: default_list() }, LATER), Err(refused));
    let custom = ManagementServer { http_port: Some(8080), address: Some("sepm.example".into()), ..at("B") };
    let priorities = Some(vec![ServerPriority(vec![custom]), ServerPriority(vec![at("A")])]);
    let (protocol, verify_ca) = (Some(Protocol::Http), Some(true));
    site.apply(&Command::EditList { list: COPY.into(), protocol, verify_ca, priorities }, LATER).unwrap();
    site.apply(&assign(COPY, TOP_GROUP, None), LATER).unwrap();
    let list = published_list(&site, BELOW).group.list;
    assert_eq!(list.name, COPY);
    let places: Vec<_> = list
        .servers()
        .map(|one| {
            (one.address.as_str(), one.http_port, one.https_port, one.verify_ca, one.verify_signatures)
        })
        .collect();
    assert_eq!(
        places,
        [("sepm.example", Some(8080), None, true, true), ("10.0.0.1", Some(8014), None, true, true)]
    );
    assert_eq!(list.priorities.len(), 2);
    let old = published_list(&site, OWN).group.list;
    assert!(old.servers().all(|one| one.https_port == Some(443)), "the original is untouched");
}

#[test]
fn a_location_with_settings_of_its_own_keeps_them_through_an_assignment_to_its_group() {
    let mut site = furnished();
    let push = CommunicationChange { mode: Some(CommunicationMode::Push), ..Default::default() };
    let location = Some("Office".to_owned());
    let own = Command::SetCommunication { group: OWN.into(), location, change: push };
    site.apply(&own, LATER).unwrap();
    site.apply(&Command::CopyList { from: COPY.into(), to: "Third".into() }, LATER).unwrap();
    site.apply(&assign("Third", OWN, None), LATER).unwrap();
    let list = published_list(&site, OWN);
    let office = list.conf_for(Some("Office"));
    assert_eq!((office.list.name.as_str(), office.settings.mode), (COPY, CommunicationMode::Push));
    assert_eq!((list.group.list.name.as_str(), list.group.settings.mode), ("Third", CommunicationMode::Pull));
    let sylink = site.export_sylink(OWN, Some("Office")).unwrap();
    assert_eq!(&sylink.conf(), office);
    site.apply(&Command::UseGroupCommunication { group: OWN.into(), location: "Office".into() }, LATER)
        .unwrap();
    assert_eq!(published_list(&site, OWN).conf_for(Some("Office")).list.name, "Third");
}

#[test]
fn the_switch_reaches_policy_group_list_and_the_lists_of_locations() {
    let mut site = furnished();
    site.apply(&secure(OWN, false), LATER).unwrap();
    assert!(!published_policy(&site, OWN).secure_communications);
    let list = published_list(&site, OWN);
    for location in [None, Some("Office")] {
        assert!(list.conf_for(location).list.servers().all(|one| !one.verify_signatures), "{location:?}");
    }
    let exported = site.export_sylink(OWN, Some("Office")).unwrap().conf();
    assert!(exported.list.servers().all(|one| !one.verify_signatures));
}

#[test]
fn half_an_update_leaves_two_stores_that_differ() {
    let site = furnished();
    let old = site.publication("A").unwrap().identity.certificate().clone();
    let in_lists = |site: &Site| published_list(site, OWN).group.certificates[0].der.clone();
    let update = |stores| {
        let mut site = site.clone();
        let effects = site.apply(&generate("A", stores), LATER).unwrap();
        let served = effects.iter().any(|one| matches!(one, Effect::CertificateServed { .. }));
        (site, served)
    };

    let (console, served) = update(Stores::Console);
    let publication = console.publication("A").unwrap();
    let new = publication.signer.certificate().clone();
    assert!(!served && publication.identity.certificate() == &old && new != old);
    assert_eq!(in_lists(&console), new.der());
    assert!(signed_by(&get(&console, "A", OWN, Artifact::Policy), &new));

    let (client, served) = update(Stores::Client);
    let publication = client.publication("A").unwrap();
    assert!(served && publication.identity.certificate() != &old);
    assert_eq!(publication.signer.certificate(), &old);
    assert_eq!(in_lists(&client), old.der());
    assert!(signed_by(&get(&client, "A", OWN, Artifact::Policy), &old));

    let (both, served) = update(Stores::Both);
    let publication = both.publication("A").unwrap();
    assert!(served && publication.identity == publication.signer);
    assert_eq!(in_lists(&both), publication.identity.certificate().der());
}

#[test]
fn each_manager_signs_for_itself_and_all_publish_the_same() {
    let mut site = furnished();
    site.apply(&Command::AssignPackage { package: "SEP".into(), group: OWN.into() }, LATER).unwrap();
    for artifact in [Artifact::Policy, Artifact::List, Artifact::Package("SEP".into())] {
        let (a, b) = (get(&site, "A", OWN, artifact.clone()), get(&site, "B", OWN, artifact.clone()));
        assert_eq!(a.body, b.body);
        for (name, response) in [("A", &a), ("B", &b)] {
            for manager in site.managers() {
                let is_own = manager.name == name;
                assert_eq!(signed_by(response, manager.client.certificate()), is_own, "{artifact:?} {name}");
            }
        }
    }
}

#[test]
fn a_new_certificate_signs_everything_anew_and_another_manager_does_not_notice_but_for_the_list() {
    let mut site = furnished();
    let before = get(&site, "A", OWN, Artifact::Package("SEP".into()));
    site.apply(&generate("A", Stores::Both), LATER).unwrap();
    let certificate = site.publication("A").unwrap().identity.certificate().clone();
    for artifact in [Artifact::Policy, Artifact::List, Artifact::Package("SEP".into())] {
        assert!(signed_by(&get(&site, "A", OWN, artifact), &certificate));
    }
    assert_ne!(get(&site, "A", OWN, Artifact::Package("SEP".into())), before);
    assert!(!signed_by(&get(&site, "B", OWN, Artifact::List), &certificate));
    let listed = &published_list(&site, OWN).group.certificates;
    assert!(listed.iter().any(|one| one.name == "A" && one.der == certificate.der()));
}

#[test]
fn the_same_commands_give_the_same_site_to_the_byte() {
    let commands = [
        secure(TOP_GROUP, false),
        generate("A", Stores::Both),
        policy(OWN, "<x/>"),
        assign(COPY, TOP_GROUP, None),
        generate("B", Stores::Console),
        Command::MoveClient { client: client(1).into(), group: OWN.into() },
    ];
    let play = |refused: &[Command]| {
        let mut site = furnished();
        for command in &commands {
            site.apply(command, LATER).unwrap();
            for command in refused {
                assert!(site.apply(command, LATER).is_err());
            }
        }
        everything(&site)
    };
    assert_eq!(play(&[]), play(&[]));
    let nameless = NewCertificate::Generate { common_name: Some(String::new()), valid_days: None };
    let manager = "A".to_owned();
    let refused = Command::UpdateCertificate { manager, certificate: nameless, stores: Stores::Both };
    assert_eq!(play(&[]), play(&[refused]), "what was refused leaves no trace");
}

#[test]
fn the_index_begins_with_the_products_own_element() {
    let site = bare();
    let group = site.groups().find(TOP_GROUP).unwrap().id;
    let published = site.publication("A").unwrap().group(group).unwrap();
    let text = std::str::from_utf8(&published.index).unwrap();
    let profile = format!(
        "<Profile Checksum=\"{}\" SerialNumber=\"{}-01/05/2026 08:00:00 000\" LastModifiedTime=\"1767600000000\"/>",
        &sha256_hex(&published.policy.body).to_ascii_uppercase()[..32],
        &group.to_string()[..4],
    );
    assert!(text.contains(&profile), "{text}");
    let index = Index::parse(&published.index).unwrap();
    assert_eq!(index.to_xml(), text);
    assert_eq!(index.list_checksum, sha256_hex(&published.list.body));
    assert_eq!((index.manager.as_str(), index.serial), ("A", published.serial));
}

#[test]
fn a_policy_and_a_list_read_as_written() {
    let mut site = bare();
    site.apply(&policy(TOP_GROUP, "<allow>\n\t& \"all\"</allow>"), START).unwrap();
    let serial = serials(&site)[TOP_GROUP];
    let body = get(&site, "A", TOP_GROUP, Artifact::Policy).body;
    let golden = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Profile Group=\"My Company\" SerialNumber=\"{serial}\">\
         <SecuritySettings SecureCommunications=\"1\"/><Policy Name=\"Firewall\">\
         &lt;allow&gt;\n\t&amp; \"all\"&lt;/allow&gt;</Policy></Profile>\n"
    );
    assert_eq!(std::str::from_utf8(&body).unwrap(), golden);
    let list = published_list(&site, TOP_GROUP);
    assert_eq!(list.to_xml().as_bytes(), &get(&site, "A", TOP_GROUP, Artifact::List).body[..]);
    assert_eq!(list.domain_id, site.domain());
    assert_eq!(list.group.settings.kcs_hex, site.kcs().to_string());
}

#[test]
fn a_held_request_is_answered_when_the_group_changes_and_only_then() {
    let mut site = furnished();
    let hold = |site: &Site, serial| {
        let request = AgentRequest::Hold { agent: client(1), serial };
        site.publication("A").unwrap().answer(&request, site.client(client(1))).0
    };
    let serial = Some(serials(&site)[DEFAULT_GROUP]);
    assert_eq!(hold(&site, serial), Answer::WhenChanged);
    site.apply(&policy(OWN, "x"), LATER).unwrap();
    assert_eq!(hold(&site, serial), Answer::WhenChanged);
    site.apply(&policy(TOP_GROUP, "x"), LATER).unwrap();
    assert!(matches!(hold(&site, serial), Answer::Now(response) if response.status == 200));
    assert!(matches!(hold(&site, None), Answer::Now(response) if response.status == 200));
}

#[test]
fn a_manager_answers_unknown_clients_and_missing_artifacts_as_assumed() {
    let site = furnished();
    let ask = |request: &AgentRequest, known: bool| {
        let client = known.then(|| site.client(client(1)).unwrap());
        match site.publication("A").unwrap().answer(request, client) {
            (Answer::Now(response), visit) => (response.status, visit),
            (Answer::WhenChanged, _) => panic!("held"),
        }
    };
    let agent = client(1);
    let serial = Some(serials(&site)[DEFAULT_GROUP]);
    let none = Artifact::Package("none".into());
    assert_eq!(ask(&AgentRequest::Hello, false), (200, Visit::Anonymous));
    assert_eq!(
        ask(&AgentRequest::Index { agent, serial, turn: 0 }, true),
        (304, Visit::Client { agent, serial })
    );
    assert_eq!(ask(&AgentRequest::Index { agent, serial, turn: 0 }, false).0, 401);
    assert_eq!(ask(&AgentRequest::Index { agent, serial: None, turn: 0 }, true).0, 200);
    assert_eq!(ask(&AgentRequest::Hold { agent, serial }, false).0, 401);
    assert_eq!(ask(&AgentRequest::Fetch { agent, artifact: none }, true).0, 404);
    assert_eq!(ask(&AgentRequest::Fetch { agent, artifact: Artifact::Policy }, false).0, 401);
    let state = Bytes::from_static(b"no json");
    let reported = Visit::Reported { agent, state: None };
    assert_eq!(ask(&AgentRequest::Upload { agent, state: state.clone() }, true), (200, reported.clone()));
    assert_eq!(ask(&AgentRequest::Upload { agent, state }, false), (401, reported));
    let register = registration(3, None);
    let visit = Visit::Registering(register.clone());
    assert_eq!(ask(&AgentRequest::Register(register.clone()), false), (200, visit));
    let stranger = Registration { domain: DomainId(Guid::from_bytes([0; 16])), ..register };
    assert_eq!(ask(&AgentRequest::Register(stranger), false), (401, Visit::Anonymous));
}

#[test]
fn a_client_lands_where_it_prefers_or_in_the_default_group_and_stays_where_it_was_put() {
    let mut site = furnished();
    let group_of = |site: &Site, machine| site.client(client(machine)).unwrap().group;
    let id = |site: &Site, path: &str| site.groups().find(path).unwrap().id;
    for (machine, preferred, lands) in
        [(2, Some(OWN), OWN), (3, Some("My Company\\Nowhere"), DEFAULT_GROUP), (4, None, DEFAULT_GROUP)]
    {
        site.apply(&Command::Register(registration(machine, preferred)), LATER).unwrap();
        assert_eq!(group_of(&site, machine), id(&site, lands));
    }
    site.apply(&Command::MoveClient { client: client(2).into(), group: BELOW.into() }, LATER).unwrap();
    site.apply(&Command::Register(registration(2, Some(OWN))), LATER).unwrap();
    assert_eq!(group_of(&site, 2), id(&site, BELOW));
}

#[test]
fn what_a_client_becomes_can_be_asked_before_it_registers_and_changes_nothing() {
    let mut site = furnished();
    let before = everything(&site);
    let asked = registration(2, Some(OWN));
    let new = site.admit(&asked, None);
    assert_eq!((new.agent, new.group), (client(2), site.groups().find(OWN).unwrap().id));
    let known = site.client(client(1)).unwrap();
    let upgraded = Registration { version: "14.4".parse().unwrap(), ..registration(1, Some(OWN)) };
    let kept = site.admit(&upgraded, Some(known));
    assert_eq!(
        kept,
        RegisteredClient { version: ClientVersion::new(14, 4), ..known.clone() },
        "it stays in its group"
    );
    assert_eq!(everything(&site), before);
    site.apply(&Command::Register(asked), LATER).unwrap();
    assert_eq!(site.client(client(2)), Some(&new), "and that is what it becomes");
}

#[test]
fn a_command_is_read_in_the_words_of_a_scenario_and_its_slips_are_refused() {
    let text = r#"{"set-secure-communications": {"group": "My Company", "on": false}}"#;
    assert_eq!(serde_json::from_str::<Command>(text).unwrap(), secure(TOP_GROUP, false));
    let text = r#"{"update-certificate": {"manager": "A", "certificate": {"generate": {}}}}"#;
    assert_eq!(serde_json::from_str::<Command>(text).unwrap(), generate("A", Stores::Both));
    let text = r#"{"add-group": {"group": "My Company\\X"}}"#;
    assert_eq!(serde_json::from_str::<Command>(text).unwrap(), add_group("My Company\\X", true));
    for slip in [
        r#"{"add-group": {"group": "X", "inherit": false}}"#,
        r#"{"register": {}}"#,
        r#"{"assign-list": {"list": "X"}}"#,
    ] {
        assert!(serde_json::from_str::<Command>(slip).is_err(), "{slip}");
    }
    let import = r#"{"update-certificate": {"manager": "A", "stores": "client", "certificate":
        {"import": {"certificate": "server.crt", "key": "server.key"}}}}"#;
    let mut import: Command = serde_json::from_str(import).unwrap();
    let files: Vec<_> = import.materials_mut().into_iter().map(|one| one.file.clone()).collect();
    assert_eq!(files, ["server.crt", "server.key"]);
}
