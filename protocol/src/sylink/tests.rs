//! The communications file as a whole.

use proptest::prelude::*;

use super::*;

const EXPORTED: &str = include_str!("../../../fixtures/sylink/exported.xml");
const HAND_EDITED: &str = include_str!("../../../fixtures/sylink/hand-edited.xml");
const ONE_LINE: &str = include_str!("../../../fixtures/sylink/one-line.xml");
const KCS: &str = "5B0E93D27A41F68C1D9E34B7A2C85F06";

/// The samples, each as written on different systems.
fn samples() -> Vec<String> {
    [EXPORTED, HAND_EDITED, ONE_LINE]
        .iter()
        .flat_map(|text| {
            let windows = text.replace('\n', "\r\n");
            [(*text).to_owned(), format!("\u{FEFF}{text}"), format!("\u{FEFF}{windows}"), windows]
        })
        .collect()
}

/// The lines that differ between two texts, old and new.
fn changes<'a>(old: &'a str, new: &'a str) -> Vec<(&'a str, &'a str)> {
    assert_eq!(old.lines().count(), new.lines().count(), "{new}");
    old.split('\n').zip(new.split('\n')).filter(|(old, new)| old != new).collect()
}

#[test]
fn a_file_that_is_not_changed_comes_out_byte_for_byte() {
    for text in samples() {
        let mut file = Sylink::parse_bytes(text.as_bytes()).unwrap();
        assert_eq!(file.to_xml(), text);
        file.adopt(&file.conf());
        assert_eq!(file.to_xml(), text, "what says the same already is not written again");
    }
}

#[test]
fn an_exported_file_says_what_it_says() {
    let file = Sylink::parse(EXPORTED).unwrap();
    assert_eq!(file.domain_id().to_string(), "4D1C07A9C00002150B5E2F68D3A97C14");
    assert_eq!(file.kcs_hex(), KCS);
    assert_eq!(file.preferred_group().as_deref(), Some("My Company\\Quays & Cranes"));
    let CommConf { settings, list, certificates } = file.conf();
    assert_eq!(settings.mode, CommunicationMode::Pull);
    assert_eq!(settings.pull_heartbeat_seconds, 900);
    assert_eq!(list.name, "Default Management Server List for Harbour Office");
    assert_eq!(list.priorities.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(
        list.priorities[1][0],
        ClientServer {
            address: "198.51.100.7".to_owned(),
            http_port: Some(8114),
            https_port: None,
            verify_ca: false,
            verify_signatures: true,
        }
    );
    assert_eq!(list.priorities[0][1].https_port, Some(443));
    assert_eq!(certificates.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["MANAGER-A", "MANAGER-B"]);
    assert!(certificates.iter().all(|certificate| certificate.der.len() == 180));
}

#[test]
fn a_hand_edited_file_is_read_where_its_meaning_is_clear() {
    let file = Sylink::parse(HAND_EDITED).unwrap();
    assert_eq!(file.domain_id(), Sylink::parse(EXPORTED).unwrap().domain_id());
    assert_eq!(file.preferred_group().as_deref(), Some("My Company\\\"Night\" shift"));
    let CommConf { settings, list, certificates } = file.conf();
    assert!(settings.always_connect);
    assert_eq!(settings.mode, CommunicationMode::Push);
    assert_eq!(list.name, "");
    let servers: Vec<_> =
        list.servers().map(|s| (s.address.as_str(), s.http_port, s.verify_signatures)).collect();
    assert_eq!(servers, [("192.0.2.21", Some(8014), true), ("192.0.2.22", Some(8014), false)]);
    assert_eq!(certificates, Sylink::parse(EXPORTED).unwrap().conf().certificates[..1]);
}

#[test]
fn what_a_file_leaves_out_has_the_values_of_the_published_sample() {
    let file = Sylink::parse(ONE_LINE).unwrap();
    let expected = AgentCommunication {
        always_connect: true,
        mode: CommunicationMode::Push,
        disable_download_profile: false,
        kcs_hex: KCS.to_owned(),
        push_heartbeat_seconds: 300,
        pull_heartbeat_seconds: 300,
        upload_cmd_state_heartbeat_seconds: 300,
        upload_log_heartbeat_seconds: 300,
        upload_op_state_heartbeat_seconds: 300,
        upload_learned_app: false,
        randomization_enabled: true,
        randomization_range: 300,
        remember_current_group: false,
        remember_current_policy_mode: true,
    };
    let conf = file.conf();
    assert_eq!(conf.settings, expected);
    assert_eq!(conf.certificates, []);
    let server = conf.list.servers().next().unwrap();
    assert_eq!((server.http_port, server.https_port), (None, None));
    assert_eq!((server.verify_ca, server.verify_signatures), (false, true));
    assert_eq!(file.preferred_group(), None);
}

#[test]
fn adopting_a_setting_changes_its_attribute_and_nothing_else() {
    for text in samples().iter().filter(|text| text.contains("InventedHere")) {
        let mut file = Sylink::parse(text).unwrap();
        let mut conf = file.conf();
        conf.settings.mode = CommunicationMode::Pull;
        file.adopt(&conf);
        let written = file.to_xml();
        let expected = text.replace("CommunicationMode=\"push\"", "CommunicationMode=\"PULL\"");
        assert_eq!(written, expected);

        conf.settings.pull_heartbeat_seconds = 60;
        file.adopt(&conf);
        let expected = expected.replace("B\"", "B\" PullHeartbeatSeconds=\"60\"");
        assert_eq!(file.to_xml(), expected, "a new attribute comes last");
    }
}

#[test]
fn adopting_a_list_keeps_what_is_not_understood() {
    let mut file = Sylink::parse(HAND_EDITED).unwrap();
    let mut conf = file.conf();
    let block = &mut conf.list.priorities[0];
    block[1].http_port = None;
    block[1].https_port = Some(443);
    block.swap(0, 1);
    let third = ClientServer { address: "a<b>".to_owned(), ..block[0].clone() };
    conf.list.priorities.push(vec![third]);
    file.adopt(&conf);
    let written = file.to_xml();
    let list = &written[written.find("<ServerList").unwrap()..written.find("<Trust").unwrap()];
    let expected = "<ServerList><!-- the old server stays first -->
\t\t\t<ServerPriorityBlock>
\t\t\t\t<Server Address=\"192.0.2.22\" VerifySignatures=\"False\" Rack=\"8\" HttpsPort=\"443\"/>
\t\t\t\t<!-- <Server Address=\"192.0.2.99\" HttpPort=\"8014\"/> -->
\t\t\t\t<Server HttpPort=\"8014\" Address=\"192.0.2.21\" Rack=\"7\"></Server>
\t\t\t</ServerPriorityBlock>
\t\t\t<ServerPriorityBlock Name=\"Priority2\">
\t\t\t\t<Server Address=\"a&lt;b&gt;\" HttpsPort=\"443\" HttpsVerifyCA=\"0\" VerifySignatures=\"0\"/>
\t\t\t</ServerPriorityBlock>
\t\t\t<Spare Address=\"192.0.2.23\"/>
\t\t</ServerList>
\t\t";
    assert_eq!(list, expected);
    let (before, after) = HAND_EDITED.split_once("<ServerList>").unwrap();
    assert!(written.starts_with(before));
    assert!(written.ends_with(after.split_once("</ServerList>").unwrap().1));
    assert_eq!(Sylink::parse(&written).unwrap(), file);
}

#[test]
fn adopting_certificates_changes_those_that_changed() {
    let mut file = Sylink::parse(EXPORTED).unwrap();
    let mut conf = file.conf();
    conf.certificates[1].der = vec![0x30, 1, 2].into();
    file.adopt(&conf);
    let written = file.to_xml();
    assert_eq!(
        changes(EXPORTED, &written).iter().map(|(_, new)| new.trim()).collect::<Vec<_>>(),
        ["<Certificate Name=\"MANAGER-B\">MAEC</Certificate>"]
    );
    conf.certificates.remove(0);
    file.adopt(&conf);
    let written = file.to_xml();
    let list = "\n    <ServerCertList>\n      <Certificate Name=\"MANAGER-B\">MAEC</Certificate>\n";
    assert!(written.contains(&format!("{list}    </ServerCertList>\n")), "{written}");
    assert_eq!(Sylink::parse(&written).unwrap().conf(), conf);
}

#[test]
fn a_file_without_certificates_gets_a_list_of_them_when_it_needs_one() {
    let certificates = Sylink::parse(EXPORTED).unwrap().conf().certificates;
    let mut file = Sylink::parse(ONE_LINE).unwrap();
    let conf = CommConf { certificates, ..file.conf() };
    file.adopt(&conf);
    let written = file.to_xml();
    assert!(!written.contains('\n'), "a file on one line stays on it");
    assert!(written.contains("</ServerList><ServerCertList><Certificate Name=\"MANAGER-A\">MIIA"));
    assert_eq!(Sylink::parse(&written).unwrap(), file);
}

#[test]
fn the_verification_of_signatures_is_switched_at_every_server_and_nowhere_else() {
    let mut file = Sylink::parse(EXPORTED).unwrap();
    file.set_verify_signatures(false);
    assert!(file.conf().list.servers().all(|server| !server.verify_signatures));
    assert_eq!(file.to_xml(), EXPORTED.replace("VerifySignatures=\"1\"", "VerifySignatures=\"0\""));
    file.set_verify_signatures(true);
    assert_eq!(file.to_xml(), EXPORTED);

    let mut file = Sylink::parse(HAND_EDITED).unwrap();
    file.set_verify_signatures(true);
    assert_eq!(file.to_xml(), HAND_EDITED.replace("VerifySignatures=\"False\"", "VerifySignatures=\"1\""));
}

#[test]
fn the_preferred_group_is_set_in_place_or_added() {
    let mut file = Sylink::parse(HAND_EDITED).unwrap();
    file.set_preferred_group("My Company\\O'Hara's");
    let written = file.to_xml();
    let [(_, new)] = changes(HAND_EDITED, &written)[..] else { panic!("{written}") };
    assert_eq!(new, "\t\t<RegisterClient PreferredGroup='My Company\\O&apos;Hara&apos;s' />");

    let mut file = Sylink::parse(ONE_LINE).unwrap();
    file.set_preferred_group("A");
    assert_eq!(file.preferred_group().as_deref(), Some("A"));
    let expected = ONE_LINE.replace("</CommConf>", "<RegisterClient PreferredGroup=\"A\"/></CommConf>");
    assert_eq!(file.to_xml(), expected);
}

#[test]
fn a_composed_file_is_laid_out_as_an_exported_one() {
    let exported = Sylink::parse(EXPORTED).unwrap();
    let head = SylinkHead {
        domain_id: exported.domain_id(),
        name_space: "rpc".to_owned(),
        preferred_group: exported.preferred_group().unwrap(),
    };
    let composed = Sylink::compose(&head, &exported.conf());
    assert_eq!(composed.to_xml(), EXPORTED);
    assert_eq!(composed, exported);
}

#[test]
fn a_file_that_cannot_be_understood_says_where_and_what_was_expected() {
    for (old, new, place, message) in [
        ("<ServerSettings ", "<Settings ", (21, 1), "expected </Settings>, found </ServerSettings>"),
        (
            "HttpPort=\"8114\"",
            "HttpPort=\"70000\"",
            (11, 40),
            "HttpPort of <Server>: a port from 1 to 65535; found 70000",
        ),
        ("HttpPort=\"8114\"", "HttpPort=\"0\"", (11, 40), "a port from 1 to 65535; found 0"),
        ("HttpPort=\"8114\"", "HttpPort=\"\"", (11, 40), "a port from 1 to 65535; found nothing"),
        (
            "Address=\"198.51.100.7\"",
            "Address=\" \"",
            (11, 17),
            "Address of <Server>: an address or host name; found nothing",
        ),
        ("Address=\"198.51.100.7\"", "", (11, 9), "Address of <Server>: an address or host name; found none"),
        (
            "PullHeartbeatSeconds=\"900\"",
            "PullHeartbeatSeconds=\"abc\"",
            (4, 141),
            "a whole number of seconds, at least 1; found abc",
        ),
        ("PullHeartbeatSeconds=\"900\"", "PullHeartbeatSeconds=\"0\"", (4, 141), "at least 1; found 0"),
        (
            "UploadLearnedApp=\"0\"",
            "UploadLearnedApp=\"2\"",
            (4, 337),
            "expected UploadLearnedApp of <AgentCommunicationSetting>: 0 or 1; found 2",
        ),
        (
            "\"PULL\"",
            "\"POLL\"",
            (4, 50),
            "expected CommunicationMode of <AgentCommunicationSetting>: PUSH or PULL; found POLL",
        ),
        (
            "Kcs=\"5",
            "Kcs=\"",
            (4, 102),
            "Kcs of <AgentCommunicationSetting>: 32 hexadecimal digits; found 31 characters",
        ),
        ("Kcs=\"5", "Kcs=\"G", (4, 102), "32 hexadecimal digits; found 32 characters, not all of them"),
        (
            "Kcs=",
            "Other=",
            (4, 5),
            "expected Kcs of <AgentCommunicationSetting>: 32 hexadecimal digits; found none",
        ),
        (
            "DomainId=\"4D1C",
            "DomainId=\"XD1C",
            (2, 17),
            "DomainId of <ServerSettings>: 32 hexadecimal digits; found XD1C07A9",
        ),
        (
            "AgentCommunicationSetting",
            "AgentSetting",
            (3, 3),
            "expected <AgentCommunicationSetting> in <CommConf>, found none",
        ),
        (
            "<LogSetting ",
            "<ServerList/><LogSetting ",
            (18, 5),
            "expected one <ServerList> in <CommConf>, found a second",
        ),
        (
            "<LogSetting ",
            "<ServerCertList/><LogSetting ",
            (18, 5),
            "expected one <ServerCertList> in <CommConf>, found a second",
        ),
        (
            "</CommConf>",
            "</CommConf><CommConf/>",
            (20, 14),
            "expected one <CommConf> in <ServerSettings>, found a second",
        ),
        (
            "\"MANAGER-B\">",
            "\"MANAGER-B\">?",
            (16, 7),
            "expected the certificate \"MANAGER-B\" in base64, found ",
        ),
        (
            "</ServerCertList>",
            "<Certificate Name='x'> </Certificate></ServerCertList>",
            (17, 5),
            "\"x\" in base64, found nothing",
        ),
        ("</CommConf>", "</CommConfig>", (20, 3), "expected </CommConf>, found </CommConfig>"),
        ("    </ServerList>\n", "", (19, 3), "expected </ServerList>, found </CommConf>"),
        ("\"192.0.2.21\"", "\"192.0.2.21", (7, 47), "expected a space or the end of the tag, found 8"),
    ] {
        assert!(EXPORTED.contains(old), "{old}");
        let text = EXPORTED.replacen(old, new, 1);
        let error = Sylink::parse(&text).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(message), "{old} -> {new}: {shown}");
        assert_eq!((error.line(), error.column()), place, "{old} -> {new}: {shown}");
        assert!(shown.starts_with(&format!("line {}, column {}: expected ", place.0, place.1)), "{shown}");
        assert!(!shown.contains(&KCS[1..]), "{shown}");
    }
}

#[test]
fn a_list_without_servers_is_refused() {
    let start = ONE_LINE.find("<ServerList").unwrap();
    let end = ONE_LINE.find("</ServerList>").unwrap() + "</ServerList>".len();
    for empty in ["<ServerList/>", "<ServerList><ServerPriorityBlock/></ServerList>"] {
        let text = format!("{}{empty}{}", &ONE_LINE[..start], &ONE_LINE[end..]);
        let error = Sylink::parse(&text).unwrap_err();
        assert_eq!(error, SylinkError::NoServer { line: 1, column: start + 1 });
    }
}

#[test]
fn another_root_is_no_communications_file() {
    let error = Sylink::parse("\n <Policy/>").unwrap_err();
    let found = "Policy".to_owned();
    assert_eq!(error, SylinkError::WrongRoot { line: 2, column: 2, expected: "ServerSettings", found });
}

#[test]
fn bytes_that_are_not_utf8_are_refused_at_the_first() {
    let error = Sylink::parse_bytes("\u{FEFF}<a>\né".as_bytes().split_last().unwrap().1).unwrap_err();
    assert_eq!(error, SylinkError::NotUtf8 { line: 2, column: 1, found: 0xC3 });
}

#[test]
fn a_file_in_utf16_is_read_and_stays_in_utf16_whatever_it_declares() {
    let declared = EXPORTED.replacen("UTF-8", "UTF-16", 1).replacen("Harbour Office", "Büro am Hafen", 1);
    for text in samples().into_iter().chain([declared.clone(), format!("\u{FEFF}{declared}")]) {
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
            let bytes = encoding.encode(&text);
            let mut file = Sylink::parse_bytes(&bytes).unwrap();
            assert_eq!((file.encoding(), file.to_bytes()), (encoding, bytes));
            file.set_preferred_group("My Company\\Elsewhere");
            let again = Sylink::parse_bytes(&file.to_bytes()).unwrap();
            assert_eq!(again.preferred_group().as_deref(), Some("My Company\\Elsewhere"));
            assert_eq!((again.encoding(), again.to_xml()), (encoding, file.to_xml()));
        }
    }
    // In UTF-8, the declaration must match.
    assert!(Sylink::parse_bytes(declared.as_bytes()).is_err());
}

#[test]
fn broken_utf16_is_refused_where_it_breaks() {
    let refusal = |bytes: &[u8]| Sylink::parse_bytes(bytes).unwrap_err().to_string();
    let half = [&Encoding::Utf16Le.encode("\u{FEFF}<a>\n")[..], b"x"].concat();
    assert_eq!(
        refusal(&half),
        "line 2, column 1: expected text in UTF-16, found an incomplete character, the byte 0x78"
    );
    let lone = [&Encoding::Utf16Be.encode("<a>")[..], &[0xD8, 0x00, 0x00, b'x']].concat();
    assert_eq!(
        refusal(&lone),
        "line 1, column 4: expected text in UTF-16, found an unpaired surrogate, 0xD800"
    );
}

#[test]
fn a_mode_has_one_name_in_the_file_and_another_in_the_lab() {
    assert_eq!(CommunicationMode::Pull.as_str(), "PULL");
    assert_eq!(serde_json::to_string(&CommunicationMode::Pull).unwrap(), "\"pull\"");
    assert_eq!(serde_json::from_str::<CommunicationMode>("\"push\"").unwrap(), CommunicationMode::Push);
}

#[test]
fn the_secret_is_not_shown() {
    let file = Sylink::parse(EXPORTED).unwrap();
    for shown in [format!("{file:?}"), format!("{:?}", file.conf()), format!("{:?}", file.document())] {
        assert!(!shown.contains(KCS), "{shown}");
    }
    assert!(format!("{file:?}").contains("Harbour Office"));
}

/// Anything that XML can hold.
fn word() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            any::<char>().prop_filter("XML cannot hold it", |&c| {
                matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}'))
            }),
            prop::sample::select("<>&'\"\\ \t\r\n;#]éß\u{FEFF}".chars().collect::<Vec<_>>()),
        ],
        0..12,
    )
    .prop_map(String::from_iter)
}

fn server() -> impl Strategy<Value = ClientServer> {
    let port = || proptest::option::of(1..=u16::MAX);
    (word(), port(), port(), any::<[bool; 2]>()).prop_map(
        |(name, http_port, https_port, [verify_ca, verify_signatures])| ClientServer {
            address: format!("{name}host"),
            http_port,
            https_port,
            verify_ca,
            verify_signatures,
        },
    )
}

fn settings() -> impl Strategy<Value = AgentCommunication> {
    let modes = prop::sample::select(vec![CommunicationMode::Push, CommunicationMode::Pull]);
    (any::<[bool; 6]>(), modes, "[0-9A-Fa-f]{32}", [1..=u32::MAX, 1..=u32::MAX], any::<[u32; 4]>()).prop_map(
        |(flags, mode, kcs_hex, beats, seconds)| AgentCommunication {
            always_connect: flags[0],
            mode,
            disable_download_profile: flags[1],
            kcs_hex,
            push_heartbeat_seconds: beats[0],
            pull_heartbeat_seconds: beats[1],
            upload_cmd_state_heartbeat_seconds: seconds[0],
            upload_log_heartbeat_seconds: seconds[1],
            upload_op_state_heartbeat_seconds: seconds[2],
            upload_learned_app: flags[2],
            randomization_enabled: flags[3],
            randomization_range: seconds[3],
            remember_current_group: flags[4],
            remember_current_policy_mode: flags[5],
        },
    )
}

/// Any settings that a file can hold; some addresses and names are repeated.
pub(super) fn conf() -> impl Strategy<Value = CommConf> {
    let blocks = proptest::collection::vec(proptest::collection::vec(server(), 0..4), 0..4);
    let certificate =
        (prop_oneof![word(), Just("twice".to_owned())], proptest::collection::vec(any::<u8>(), 1..20));
    let certificates = proptest::collection::vec(
        certificate.prop_map(|(name, der)| NamedCertificate { name, der: der.into() }),
        0..4,
    );
    (settings(), word(), server(), blocks, certificates, any::<bool>()).prop_map(
        |(settings, name, server, mut priorities, certificates, twice)| {
            priorities.push(vec![server.clone()]);
            if twice {
                priorities.insert(0, vec![server]);
            }
            CommConf { settings, list: ClientServerList { name, priorities }, certificates }
        },
    )
}

proptest! {
    #[test]
    fn what_is_composed_is_read_back_the_same(conf in conf(), name_space in word(), group in word()) {
        let head = SylinkHead {
            domain_id: Sylink::parse(ONE_LINE).unwrap().domain_id(),
            name_space,
            preferred_group: group.clone(),
        };
        let composed = Sylink::compose(&head, &conf);
        let read = Sylink::parse(&composed.to_xml()).unwrap();
        prop_assert_eq!(read.conf(), conf);
        prop_assert_eq!(read.domain_id(), head.domain_id);
        prop_assert_eq!(read.preferred_group().unwrap_or_default(), group);
        prop_assert_eq!(read.document().root().attribute("NameSpace"), Some(head.name_space.as_str()));
        prop_assert_eq!(read, composed);
    }

    #[test]
    fn what_is_adopted_is_read_back_the_same_and_nothing_unknown_is_lost(
        first in conf(),
        second in conf(),
        text in prop::sample::select(samples()),
    ) {
        let mut file = Sylink::parse(&text).unwrap();
        for conf in [&first, &second] {
            file.adopt(conf);
            let written = file.to_xml();
            let read = Sylink::parse(&written).unwrap();
            prop_assert_eq!(&read.conf(), conf);
            prop_assert_eq!(&read, &file);
            for unknown in ["InventedHere=\"&#x41; &amp; B\"", "<Spare", "<![CDATA[", "<!-- <S", "Since="] {
                let lost = text.contains(unknown) && !written.contains(unknown);
                prop_assert!(!lost, "{}: {}", unknown, written);
            }
            file.adopt(conf);
            prop_assert_eq!(file.to_xml(), written, "twice is once");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_at_a_place_or_comes_out_as_it_went_in(
        text in prop::sample::select(samples()),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..30usize, word()), 1..4),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, length, insert) in &cuts {
            let at = at.index(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, insert.chars());
            if characters.is_empty() {
                break;
            }
        }
        let damaged = String::from_iter(characters);
        match Sylink::parse(&damaged) {
            Ok(file) => prop_assert_eq!(file.to_xml(), damaged),
            Err(error) => {
                let line = damaged.split('\n').nth(error.line() - 1);
                let columns = line.map_or(0, |line| line.chars().count() + 1);
                prop_assert!((1..=columns).contains(&error.column()), "{}", error);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Sylink::parse_bytes(&bytes);
    }
}

#[test]
fn a_server_is_named_by_scheme_host_and_port_and_by_nothing_else() {
    let http: ClientServer = "http://manager.example:8014/".parse().unwrap();
    let https: ClientServer = "https://[::1]:443".parse().unwrap();
    assert_eq!(
        (http.address.as_str(), http.http_port, http.https_port),
        ("manager.example", Some(8014), None)
    );
    assert_eq!((https.address.as_str(), https.http_port, https.https_port), ("[::1]", None, Some(443)));
    for wrong in [
        "",
        "manager:8014",
        "ftp://manager:21",
        "http://manager",
        "http://:80",
        "http://a:0",
        "http://a:99999",
        "http://u@a:80",
        "http://a/b:80",
    ] {
        assert!(
            wrong.parse::<ClientServer>().unwrap_err().to_string().contains(&format!("{wrong:?}")),
            "{wrong}"
        );
    }
}
