//! Each mistake of the page, made by the APIs or by files: the judgement fails with the finding that the page names.

use super::*;

/// Makes a mistake by its name in the table, in this way, and returns the judgement.
async fn make(mistake: &str, hand: Hand) -> Finding {
    let named = |names: &[&str]| {
        let pool = KeyPool::of_faults(1);
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let request = CertificateRequest {
            common_name: "other".to_owned(),
            names,
            validity: validity(0, 300),
            serial: 99,
        };
        let certificate = issue(&pool.get(5), &request).unwrap();
        ServerIdentity::new(pool.get(5), certificate).unwrap()
    };
    match mistake {
        "does nothing" => Lab::single(hand).await.judge(Rotation::default()).await,
        "ignores that an upload is refused" => judged_update(hand, Update::Refused).await,
        "updates one store only" => judged_update(hand, Update::Good(Stores::Client)).await,
        "brings an expired certificate" => {
            judged_update(hand, Update::Of(identity_of(5, validity(-30, -1)))).await
        }
        "brings a certificate that is not yet valid" => {
            judged_update(hand, Update::Of(identity_of(5, validity(30, 300)))).await
        }
        "brings a certificate for another name" => {
            judged_update(hand, Update::Of(named(&["other.example"]))).await
        }
        "leaves the copied lists assigned" => {
            judged(&Lab::single(hand).await, Plan { restores_lists: false, ..Plan::default() }).await
        }
        "does not switch on again" => {
            judged(&Lab::single(hand).await, Plan { restores_switch: false, ..Plan::default() }).await
        }
        "forgets a group" => {
            judged(&Lab::single(hand).await, Plan { forgets: vec![(KIOSK, None)], ..Plan::default() }).await
        }
        "forgets a location" => {
            judged(&Lab::single(hand).await, Plan { forgets: vec![(BRANCH, Some(HOME))], ..Plan::default() })
                .await
        }
        "assigns copies that still speak HTTPS" => {
            judged(&Lab::single(hand).await, Plan { copies: Protocol::Https, ..Plan::default() }).await
        }
        "never switches off" => {
            let lab = Lab::single(hand).await;
            lab.renew(MANAGER).await;
            lab.beats(3).await;
            lab.judge(Rotation::default()).await
        }
        "does not wait" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [false, false, true], ..Plan::default() }).await;
            lab.judge(Rotation::default()).await
        }
        "does not wait before it switches on" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [true, false, true], ..Plan::default() }).await;
            lab.judge(Rotation::default()).await
        }
        "leaves a client behind that was off" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            judged(&lab, Plan::default()).await
        }
        "forgets the last of three managers" => {
            let lab = Lab::several(three_managers(), hand).await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(Rotation::default()).await
        }
        "updates a manager that should keep its certificate" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(rotating(&["sepm-1"])).await
        }
        "updates the second manager too early" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.renew("sepm-1").await;
            lab.renew("sepm-2").await;
            lab.beats(3).await;
            lab.judge(Rotation::default()).await
        }
        "forgets the clients of 14.2" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.part("old", 1, "14.2", DEFAULT_GROUP, None).await;
            lab.opened.lab.take_start().await;
            for manager in ["sepm-1", "sepm-2"] {
                lab.renew(manager).await;
                lab.beats(6).await;
            }
            lab.judge(Rotation::default()).await
        }
        "waits for too few heartbeats" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan { waits: [false; 3], ..Plan::default() }).await;
            lab.beats(3).await;
            lab.judge(Rotation { least_heartbeats: Some(3), ..Rotation::default() }).await
        }
        "switches off although clients must always authenticate" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan::default()).await;
            lab.judge(Rotation { never_insecure: true, ..Rotation::default() }).await
        }
        "does not wait at the end" => {
            judged(&Lab::single(hand).await, Plan { waits: [true, true, false], ..Plan::default() }).await
        }
        "orphans a client that is off at the baseline and at the judgement" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.opened.lab.take_start().await;
            lab.rotate(&Plan::default()).await;
            lab.act("desk-2", ClientOperation::Online).await;
            lab.beats(2).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.judge(Rotation::default()).await
        }
        "moves a client that is off to another group" => {
            let lab = Lab::single(hand).await;
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.act("desk-2", ClientOperation::Move { group: KIOSK.to_owned() }).await;
            lab.judge(Rotation::default()).await
        }
        "leaves a client that is off in a new group over HTTP" => {
            let lab = Lab::single(hand).await;
            let temporary = r"My Company\Temporary";
            lab.apply(&Command::AddGroup { group: temporary.into(), inherits: false });
            lab.apply(&Command::CopyList { from: DEFAULT_LIST.into(), to: "HTTP".into() });
            lab.edit("HTTP", Some(Protocol::Http), None);
            lab.assign("HTTP", temporary, None);
            lab.act("desk-2", ClientOperation::Offline).await;
            lab.act("desk-2", ClientOperation::Move { group: temporary.to_owned() }).await;
            lab.judge(Rotation::default()).await
        }
        "puts back a certificate from before the baseline" => {
            let lab = Lab::single(hand).await;
            let first = lab.opened.lab.site.look(|site| site.managers().next().unwrap().client.clone());
            lab.rotate(&Plan::default()).await;
            lab.opened.lab.take_start().await;
            lab.update(MANAGER, &Update::Of(first)).await;
            lab.judge(Rotation::default()).await
        }
        "brings a key that is too long for the console" => {
            judged_update(hand, Update::Of(long_key().await)).await
        }
        "leaves replication stopped" => {
            let lab = Lab::several(two_managers(MockSite::builder()), hand).await;
            lab.apply(&Command::BreakReplication { manager: "sepm-2".into() });
            lab.judge(Rotation::default()).await
        }
        "leaves the download of policies off" => {
            let lab = Lab::single(hand).await;
            let change =
                CommunicationChange { download_profile: Some(false), ..CommunicationChange::default() };
            lab.apply(&Command::SetCommunication { group: TOP_GROUP.into(), location: None, change });
            lab.judge(Rotation::default()).await
        }
        "leaves a client without heartbeats" => {
            let lab = Lab::single(hand).await;
            lab.rotate(&Plan::default()).await;
            lab.act("desk-1", ClientOperation::Freeze).await;
            lab.opened.lab.advance(DAY).await.unwrap();
            lab.judge(Rotation::default()).await
        }
        _ => {
            assert_eq!(hand, Hand::Files, "unknown mistake: {mistake}");
            make_by_files(mistake).await
        }
    }
}

async fn make_by_files(mistake: &str) -> Finding {
    let lab = Lab::single(Hand::Files).await;
    let other = lab.another();
    match mistake {
        "replaces files and restarts nothing" => lab.replace_files(MANAGER, &FILES, &other).await,
        "restarts one service only, so that one of two ports keeps its certificate" => {
            // The switch is off before, as it should be.
            lab.rotate(&Plan { update: Update::Nothing, restores_switch: false, ..Plan::default() }).await;
            lab.replace_files(MANAGER, &FILES, &other).await;
            lab.restart(MANAGER, Some(Service::Semsrv));
            lab.beats(3).await;
        }
        "replaces the files of one service only" => {
            lab.replace_files(MANAGER, &FILES[..2], &other).await;
            lab.restart(MANAGER, None);
        }
        "leaves a service that does not start" => {
            lab.rotate(&Plan::default()).await;
            fs::write(lab.root(MANAGER).join("tomcat/etc/keystore.jks"), "no keystore").unwrap();
            lab.restart(MANAGER, Some(Service::Semsrv));
        }
        other => panic!("unknown mistake: {other}"),
    }
    lab.judge(Rotation::default()).await
}

/// The rows of the table on the page: a mistake and a way in which it can be made, with the code of its finding.
fn table(hand: Hand) -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rotation-mistakes.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    let cells = cells.filter(|cells| cells.len() == 4 && cells[1].starts_with('`'));
    let column = if hand == Hand::Api { 2 } else { 3 };
    let cells = cells.filter(|cells| cells[column].starts_with("yes"));
    cells.map(|cells| (cells[0].clone(), cells[1].trim_matches('`').to_owned())).collect()
}

async fn each_fails_with_its_finding(hand: Hand) {
    let table = table(hand);
    assert!(table.len() >= 20, "{table:?}");
    let mut wrong = Vec::new();
    // At the same time: each has a lab of its own, and waits for the disk where it is made by files.
    let all = table.into_iter().map(|(mistake, expected)| async move {
        let finding = Box::pin(make(&mistake, hand)).await;
        (mistake, expected, finding)
    });
    for (mistake, expected, finding) in all.collect::<JoinSet<_>>().join_all().await {
        let failing = failing(&finding);
        println!("{mistake}: {failing:?}");
        if !failing.contains(&expected) || finding.result != FindingResult::Fail {
            let detail = serde_json::to_string_pretty(&finding).unwrap();
            wrong.push(format!("{mistake}: expected {expected}, found {failing:?}\n{detail}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[needs(curl, openssl)]
#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_of_the_page_fails_with_its_finding() {
    each_fails_with_its_finding(Hand::Api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_that_can_be_made_by_files_fails_with_its_finding_too() {
    each_fails_with_its_finding(Hand::Files).await;
}

#[test]
fn the_page_names_every_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rotation-mistakes.md");
    let page = fs::read_to_string(page).unwrap();
    let missing: Vec<String> = RotationCode::ALL
        .iter()
        .map(|one| format!("`{}`", code(*one)))
        .filter(|one| !page.contains(one.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
