//! What every assumption has in common: it is printed, set and read by its name.

use super::*;

#[test]
fn every_assumption_is_printed_with_its_value_and_its_default() {
    let changed = Assumptions { hello_answer: "hi".into(), ..Assumptions::default() };
    let shown = changed.list();
    let hello = shown.iter().find(|one| one.name == "hello_answer").unwrap();
    assert_eq!((hello.value.as_str(), hello.default.as_str(), hello.mark), ("hi", "OK", Mark::R));
    assert!(shown.iter().all(|one| !one.about.is_empty()));
    let order = shown.iter().find(|one| one.name == "adoption_order").unwrap();
    assert_eq!(serde_json::to_value(order).unwrap()["statements"][0]["title"], Statement::P8.title());
    let fields = serde_json::to_value(Assumptions::default()).unwrap().as_object().unwrap().len();
    assert_eq!(shown.len(), fields);
}

#[test]
fn a_value_is_read_from_text_and_a_wrong_one_is_answered_with_what_is_accepted() {
    let mut assumed = Assumptions::default();
    for (name, text, shown) in [
        ("rest_throttle_calls", "50", "50"),
        ("module_14_2_until", "14.2", "14.2.0.0000"),
        ("hello_answer", "hi", "hi"),
        ("hello_answer", "7", "7"),
        ("load_balance", "in-order", "in-order"),
        ("rest_locks_accounts", "true", "true"),
        ("rest_settings", "{}", "{}"),
    ] {
        assumed.set_text(name, text).unwrap();
        let value = assumed.list().into_iter().find(|one| one.name == name).unwrap().value;
        assert_eq!(value, shown, "{name}");
    }
    for (name, text, words) in [
        (
            "rest_throttle_call",
            "1",
            "there is no assumption `rest_throttle_call`; did you mean \"rest_throttle_calls\"?; `epm-lab assumptions` lists them",
        ),
        (
            "rest_throttle_calls",
            "many",
            "invalid value for the assumption rest_throttle_calls: expected a whole number from 0 to 4294967295, found \"many\"",
        ),
        (
            "rest_locks_accounts",
            "1",
            "invalid value for the assumption rest_locks_accounts: expected true or false, found 1",
        ),
        (
            "unchanged_status",
            "9",
            "invalid value for the assumption unchanged_status: expected an HTTP status from 200 to 599, found 9",
        ),
        (
            "load_balance",
            "none",
            "invalid value for the assumption load_balance: expected one of drawn, in-order, found \"none\"",
        ),
        (
            "module_14_2_from",
            "new",
            "invalid value for the assumption module_14_2_from: expected a text like 14.3.8289.5000, found \"new\"",
        ),
    ] {
        let before = assumed.clone();
        assert_eq!(assumed.set_text(name, text).unwrap_err().to_string(), words);
        assert_eq!(assumed, before);
    }
    assert!(assumed.list().iter().all(|one| !one.accepts.ends_with("of ")), "{:?}", assumed.list());
}

#[test]
fn only_what_the_rest_api_reads_with_every_call_takes_effect_at_once() {
    let mut new = Assumptions::default();
    new.set_text("rest_token_seconds", "60").unwrap();
    new.set_text("hello_answer", "hi").unwrap();
    let now = Assumptions::default().with_immediate(&new);
    assert_eq!((now.rest_token_seconds, now.hello_answer.as_str()), (60, "OK"));
}

#[test]
fn an_unknown_assumption_is_refused() {
    let error = serde_json::from_str::<Assumptions>(r#"{"helo_answer": "x"}"#).unwrap_err();
    assert!(error.to_string().contains("helo_answer"), "{error}");
}
