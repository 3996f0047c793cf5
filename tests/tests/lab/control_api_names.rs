//! The control API: a PUT of a known name replaces, changes nothing because it is the same, or is refused. It never
//! answers 200 and ignores what it was given.

use epm_fixtures::needs;
use epm_tests::control_api::Opened;
use serde_json::json;

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_known_list_becomes_the_copy_that_was_asked_for() {
    let lab = Opened::with(None).await;
    lab.put("/v1/lists/http", json!({ "protocol": "http" })).await;
    let copy = lab.put("/v1/lists/copy", json!({ "verify_ca": true })).await;
    assert_eq!((&copy["protocol"], &copy["verify_ca"]), (&json!("https"), &json!(true)));
    let asked = json!({ "copy_of": "http" });
    let copy = lab.put("/v1/lists/copy", asked.clone()).await;
    assert_eq!((&copy["protocol"], &copy["verify_ca"]), (&json!("http"), &json!(false)), "{copy}");
    assert_eq!(lab.put("/v1/lists/copy", asked).await, copy);
    let (status, _, text) = lab.ask("PUT", "/v1/lists/copy", Some(r#"{ "copy_of": "htp" }"#)).await;
    assert!(status == 404 && text.contains("http"), "{status} {text}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_has_no_settings_of_its_own_is_not_told_to_use_them() {
    let lab = Opened::with(None).await;
    let home = "/v1/groups/My%20Company/locations/Home";
    lab.put(home, json!({})).await;
    let own = json!({ "use_group_communication": false });
    let (status, _, text) = lab.ask("PUT", home, Some(&own.to_string())).await;
    assert!(status == 422 && text.contains("use_group_communication"), "{status} {text}");
    let list = "Default Management Server List for My Site";
    lab.put(home, json!({ "use_group_communication": false, "list": list })).await;
    lab.put(home, own).await;
}
