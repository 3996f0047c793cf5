//! Each fault of an answer makes exactly the thing wrong that it names.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{FaultKind, FaultRule, Hit, Layer, Route};
use super::*;
use crate::id::LocationId;
use crate::sylink::{LocationConf, NamedCertificate, Sylink};
use crate::trust::{CertificateRequest, KeyPool, Pins, SignatureError, Signed, Validity, issue};

const NOW: Timestamp = Timestamp::from_seconds(1_767_600_000);

fn identity(key: usize) -> ServerIdentity {
    let request = CertificateRequest {
        common_name: "manager".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        validity: Validity { not_before: Timestamp::EPOCH, not_after: Timestamp::NEVER },
        serial: 1,
    };
    let key = KeyPool::public().get(key).clone();
    let certificate = issue(&key, &request).unwrap();
    ServerIdentity::new(key, certificate).unwrap()
}

fn published_list(signer: &ServerIdentity) -> PublishedList {
    let file = Sylink::parse(include_str!("../../../../fixtures/sylink/exported.xml")).unwrap();
    let mut conf = file.conf();
    conf.certificates = [signer, &identity(3)]
        .map(|one| NamedCertificate {
            name: "A".to_owned(),
            der: Bytes::copy_from_slice(one.certificate().der()),
        })
        .to_vec();
    let own = conf.clone();
    let id = LocationId("0B10000000000000000000000000000B".parse().unwrap());
    PublishedList {
        domain_id: file.domain_id(),
        group: conf,
        locations: vec![LocationConf { id, name: "Afloat".into(), conf: Some(own) }],
    }
}

fn hit(what: Value) -> Hit {
    let what: FaultKind = serde_json::from_value(what).unwrap();
    Hit { rule: Arc::new(FaultRule::new("one", what)), drawn: 5, age: Duration::from_millis(1500) }
}

type Change<'a> = &'a dyn Fn(&mut CommConf);

struct Bench {
    signer: ServerIdentity,
    retired: ServerIdentity,
    answer: ManagerResponse,
    previous: ManagerResponse,
}

impl Bench {
    fn new(now: &str, before: &str) -> Self {
        let (signer, retired) = (identity(0), identity(1));
        let answer = signed(Bytes::copy_from_slice(now.as_bytes()), ContentType::Xml, &signer);
        let previous = signed(Bytes::copy_from_slice(before.as_bytes()), ContentType::Xml, &retired);
        Self { signer, retired, answer, previous }
    }

    fn materials(&self) -> TamperInput<'_> {
        TamperInput {
            signer: &self.signer,
            retired: Some(&self.retired),
            previous: Some(&self.previous),
            missing_status: 404,
            now: NOW,
        }
    }

    fn after(&self, what: Value, route: Route) -> Tampered {
        alter(&hit(what), route, self.answer.clone(), &self.materials()).unwrap()
    }

    fn verified(response: &ManagerResponse, by: &ServerIdentity) -> Result<(), SignatureError> {
        let pins: Pins = [by.certificate().clone()].into_iter().collect();
        let signature = response.signature.as_ref().and_then(SignatureHeader::signature);
        Signed::<Bytes>::new(response.body.clone(), signature).verify(&pins).map(drop)
    }
}

#[test]
fn each_fault_of_an_artifact_does_what_its_name_says_and_no_more() {
    let bench = Bench::new("<Policy Serial='2'/>", "<Policy Serial='1'/>");
    let (good, retired) = (&bench.signer, &bench.retired);
    assert!(Bench::verified(&bench.answer, good).is_ok());
    let after = |what: Value| {
        let Tampered { response, headers } = bench.after(what, Route::Policy);
        assert!(headers.is_empty());
        response
    };

    let bad = after(json!("bad-signature"));
    assert_eq!(bad.body, bench.answer.body);
    let bits = |response: &ManagerResponse| {
        response.signature.as_ref().unwrap().signature().unwrap().as_bytes().to_vec()
    };
    let turned: u32 =
        bits(&bad).iter().zip(bits(&bench.answer)).map(|(one, other)| (one ^ other).count_ones()).sum();
    assert_eq!(turned, 1);
    assert!(Bench::verified(&bad, good).is_err());

    let by_retired = after(json!("retired-key-signature"));
    assert_eq!(by_retired.body, bench.answer.body);
    assert!(Bench::verified(&by_retired, good).is_err() && Bench::verified(&by_retired, retired).is_ok());
    assert_eq!(after(json!("old-restored")), by_retired);

    let stale = after(json!("stale-signature"));
    assert_eq!((&stale.body, &stale.signature), (&bench.answer.body, &bench.previous.signature));
    assert!(Bench::verified(&stale, good).is_err() && Bench::verified(&stale, retired).is_err());

    let cut = after(json!({"kind": "truncated-body", "percent": 40}));
    assert_eq!((&cut.body[..], &cut.signature), (&bench.answer.body[..8], &bench.answer.signature));

    let swapped = after(json!("swapped-body"));
    assert_eq!(swapped.signature, bench.answer.signature);
    assert_ne!(swapped.body, bench.answer.body);
    assert!(Bench::verified(&swapped, good).is_err());

    let back = after(json!("serial-goes-back"));
    assert_eq!(back.body, bench.previous.body);
    assert!(Bench::verified(&back, good).is_ok(), "only the serial is wrong");

    let missing = after(json!("missing"));
    assert_eq!((missing.status, missing.signature), (404, None));
}

#[test]
fn a_serial_goes_back_in_the_index_as_well() {
    let bench = Bench::new("", "");
    let index = |text: &'static str| ManagerResponse::xml(Bytes::from_static(text.as_bytes()));
    let before = index("<Index n='1'/>");
    let materials = TamperInput { previous: Some(&before), ..bench.materials() };
    let made = alter(&hit(json!("serial-goes-back")), Route::Index, index("<Index n='2'/>"), &materials);
    assert_eq!(made.unwrap().response, before);
}

#[test]
fn what_a_fault_needs_and_there_is_not_is_named() {
    let bench = Bench::new("<a/>", "<a/>");
    let materials = TamperInput { retired: None, previous: None, ..bench.materials() };
    for kind in ["retired-key-signature", "stale-signature", "serial-goes-back"] {
        let error = alter(&hit(json!(kind)), Route::Policy, bench.answer.clone(), &materials).unwrap_err();
        assert!(error.to_string().starts_with(&format!("the fault {kind} needs ")), "{error}");
    }
    // The signature of the same bytes would not be stale.
    let same = alter(&hit(json!("stale-signature")), Route::Policy, bench.answer.clone(), &bench.materials());
    assert!(same.is_err());
    let no_list = alter(&hit(json!("http-only")), Route::List, bench.answer.clone(), &materials).unwrap_err();
    assert!(matches!(no_list, TamperError::NotAList { .. }), "{no_list}");
}

#[test]
fn each_fault_of_a_list_changes_what_it_names_everywhere_and_is_signed_well() {
    let list = published_list(&identity(0));
    let bench = Bench::new(&list.to_xml(), "");
    let servers = list.group.list.priorities.clone();
    let expect: [(Value, Change<'_>); 5] = [
        (json!("dead-server"), &|conf| {
            let like = conf.list.priorities[0][0].clone();
            let dead = ClientServer {
                address: "127.0.0.9".into(),
                http_port: like.http_port.and(Some(9)),
                https_port: like.https_port.and(Some(9)),
                ..like
            };
            conf.list.priorities.insert(0, vec![dead]);
        }),
        (json!({"kind": "wrong-port", "port": 81}), &|conf| {
            for server in conf.list.priorities.iter_mut().flatten() {
                server.http_port = Some(81);
                server.https_port = server.https_port.and(Some(81));
            }
        }),
        (json!("omits-new-certificate"), &|conf| {
            conf.certificates.remove(0);
        }),
        (json!("empty-priority"), &|conf| conf.list.priorities.insert(0, Vec::new())),
        (json!("http-only"), &|conf| {
            conf.list.priorities.iter_mut().flatten().for_each(|server| server.https_port = None);
        }),
    ];
    assert!(servers.iter().flatten().any(|server| server.https_port.is_some()), "http-only must show");
    for (what, change) in expect {
        let made = bench.after(what.clone(), Route::List).response;
        assert!(Bench::verified(&made, &bench.signer).is_ok(), "{what}");
        let mut expected = list.clone();
        change(&mut expected.group);
        change(expected.locations[0].conf.as_mut().unwrap());
        assert_ne!(expected, list, "{what}");
        let read = PublishedList::parse(std::str::from_utf8(&made.body).unwrap()).unwrap();
        assert_eq!(read, expected, "{what}");
    }
}

#[test]
fn answers_given_in_the_managers_stead_have_their_status_and_headers() {
    for (what, status, headers) in [
        (json!({"kind": "status", "code": 418}), 418, vec![]),
        (json!({"kind": "status", "retry_after_seconds": 7}), 503, vec![("retry-after", "7".to_owned())]),
        (
            json!({"kind": "redirect", "location": "http://x.invalid/"}),
            302,
            vec![("location", "http://x.invalid/".to_owned())],
        ),
        (json!("push-limit"), 503, vec![]),
        (json!("slow-start"), 503, vec![("retry-after", "59".to_owned())]),
        (json!("database-down"), 500, vec![]),
        (json!("kcs-changed"), 400, vec![]),
    ] {
        let made = instead(&hit(what.clone())).unwrap();
        assert_eq!((made.response.status, made.headers), (status, headers), "{what}");
    }
    assert_eq!(instead(&hit(json!("bad-signature"))), None);
}

#[test]
fn a_manager_whose_clock_is_wrong_dates_its_answers_so() {
    let bench = Bench::new("<a/>", "");
    let made = bench.after(json!({"kind": "clock-skew", "by_ms": -3_600_000}), Route::Policy);
    assert_eq!(made.response, bench.answer);
    assert_eq!(made.headers, [("date", "Mon, 05 Jan 2026 07:00:00 GMT".to_owned())]);
    let made = bench.after(json!("wrong-type"), Route::Policy);
    assert_eq!(made.headers, [("content-type", "text/html".to_owned())]);
}

#[test]
fn every_other_fault_leaves_an_answer_as_it_is_and_all_leave_one_without_content() {
    let bench = Bench::new("<a/>", "");
    let unchanged = ManagerResponse::empty(304);
    for info in FaultKind::kinds() {
        let hit = hit(json!(info.name));
        let own = matches!(info.layer, Layer::Artifact | Layer::List) || info.name == "old-restored";
        if !own && instead(&hit).is_none() {
            let made = alter(&hit, Route::Policy, bench.answer.clone(), &bench.materials()).unwrap();
            assert_eq!(made.response, bench.answer, "{}", info.name);
        }
        if info.name != "serial-goes-back" {
            let made = alter(&hit, Route::List, unchanged.clone(), &bench.materials()).unwrap();
            assert_eq!(made.response, unchanged, "{}", info.name);
        }
    }
}
