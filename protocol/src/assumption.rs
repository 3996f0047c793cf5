//! What nobody documents about the real product: each guess a field, with its default, its mark and its reason.
//!
//! A rule that was read in a source is code. A rule that was recalled, inferred or simply chosen, because something
//! has to happen, is a field here: printed by `epm-lab assumptions`, set in a scenario's `[assumptions]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::trust::{DateRule, NameRule, WizardRules};
use crate::version::ClientVersion;

/// How well a statement about the real product is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Mark {
    /// Inferred from something that was read in a source.
    I,
    /// Recalled; found in no source.
    R,
    /// Unknown; chosen so that every documented outcome follows.
    U,
}

/// One assumption, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Assumption {
    /// The field's name, as a scenario writes it.
    pub name: &'static str,
    /// How well it is founded.
    pub mark: Mark,
    /// The value in force.
    pub value: String,
    /// The value when nothing is set.
    pub default: String,
    /// What it is about, and why this default.
    pub about: &'static str,
}

/// What a client does first with an index that names a new policy and a new list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdoptionOrder {
    /// The policy, with the switch in it, and then the list.
    #[default]
    PolicyThenList,
    /// The list, with the certificates in it, and then the policy.
    ListThenPolicy,
}

/// Why clients of 14.2 cannot use the several-manager way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Module142 {
    /// From a new list it takes the certificate of the manager that it is talking to, and no other; with secure
    /// communications off it takes the list as it is.
    #[default]
    LearnsOnlyTheSpeakingManager,
    /// After a server that it does not believe it ends the heartbeat, instead of trying the next.
    StopsAtAnUntrustedServer,
    /// It does as all others do.
    AsOthers,
}

/// How many servers a client tries in one heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServersPerBeat {
    /// Every server of its list, until one serves it.
    #[default]
    All,
    /// One; the next server has its turn at the next heartbeat.
    One,
}

/// How a client chooses between servers of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalance {
    /// A new draw at each heartbeat that consults the list.
    #[default]
    Drawn,
    /// In the order of the list.
    InOrder,
}

/// Whose communication settings a change over the REST API concerns, where a location uses those of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestLocation {
    /// The location has settings of its own from then on.
    #[default]
    OfItsOwn,
    /// The group's are changed, and so those of all its locations that use them.
    OfTheGroup,
}

/// How the REST API names a policy that is assigned to a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyReference {
    /// By an address of the REST API, as locations are named.
    #[default]
    Address,
    /// By its identifier.
    Identifier,
    /// By its name.
    Name,
}

/// Which of a manager's two certificate stores is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The console's: `tomcat\etc\keystore.jks` [C S4].
    #[default]
    Console,
    /// The clients' port: `apache\conf\ssl\server.crt` and `server.key` [C S4].
    Client,
}

macro_rules! assumptions {
    ($($(#[doc = $about:literal])+ $name:ident: $type:ty = $default:expr, $mark:ident;)*) => {
        /// Every assumption of the lab. The default of each field is the lab's choice.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Assumptions {$(
            $(#[doc = $about])+
            pub $name: $type,
        )*}

        impl Default for Assumptions {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Assumptions {
            /// All of them, in the order of this file.
            pub fn list(&self) -> Vec<Assumption> {
                let default = Self::default();
                vec![$(Assumption {
                    name: stringify!($name),
                    mark: Mark::$mark,
                    value: shown(&self.$name),
                    default: shown(&default.$name),
                    about: concat!($($about,)+).trim_ascii(),
                },)*]
            }
        }
    };
}

assumptions! {
    /// With secure communications switched off, an HTTPS connection is still held against the cached certificates:
    /// otherwise the documented change to HTTP before the update would be needless (F06).
    switch_off_still_checks_tls: bool = true, I;
    /// Whether a client minds the dates of a certificate that it has cached.
    certificate_dates: DateRule = DateRule::Checked, U;
    /// Whether a client minds the name in a certificate that it has cached; with HttpsVerifyCA on, it always does.
    certificate_names: NameRule = NameRule::Ignored, I;
    /// What a client does first with an index that names a new policy and a new list. Policy first makes the switch
    /// hold for the list that follows, so switching it on too early loses clients, as documented (S8).
    adoption_order: AdoptionOrder = AdoptionOrder::PolicyThenList, U;
    /// Why clients of 14.2 cannot use the several-manager way: that they cannot is documented (S17), the reason is not.
    /// With secure communications off they learn as others do, or the single-manager way, which is documented for them
    /// on sites with several managers, would leave them with certificates that are no longer in force.
    module_14_2: Module142 = Module142::LearnsOnlyTheSpeakingManager, U;
    /// The first client version with the 14.2 communication module.
    module_14_2_from: ClientVersion = ClientVersion::new(14, 2), I;
    /// The first client version that is rid of it. One text of the vendor says all of 14.2, another 14.2 and 14.2 RU1.
    module_14_2_until: ClientVersion = ClientVersion::new(14, 3), I;
    /// After how many identity conflicts (468) within 24 hours a manager tells the next machine of the same hardware id to
    /// make a new one (470); never, if 0. The number is that of the product's `conf.properties` (F25); what a conflict is,
    /// the lab has chosen: the record has been taken over by a machine of another name.
    identity_conflicts: u32 = 3, I;
    /// The first client version that makes a new hardware id when told to, 14.0 MP1; older ones keep theirs, and register
    /// anew. The build number is recalled.
    new_identity_from: ClientVersion = ClientVersion::build(14, 0, 2332), R;
    /// From this version on it does not work, as documented for 14.2 ...
    new_identity_broken_from: ClientVersion = ClientVersion::new(14, 2), I;
    /// ... until this one, 14.2 RU1. The build number is recalled.
    new_identity_broken_until: ClientVersion = ClientVersion::build(14, 2, 3332), R;
    /// How many servers of its list a client tries in one heartbeat.
    servers_per_beat: ServersPerBeat = ServersPerBeat::All, I;
    /// How a client chooses between servers of the same priority.
    load_balance: LoadBalance = LoadBalance::Drawn, U;
    /// How far a heartbeat may be late at random, in per cent of the interval.
    heartbeat_jitter_percent: u8 = 10, U;
    /// Whether the heartbeats of a client stay where they are between those of the others when its interval changes, as if they
    /// went from the start of its service on. Otherwise they go from the heartbeat on that brings the new interval, and a
    /// fleet whose interval grows from 5 minutes to an hour has all its heartbeats within the same 5 minutes of an hour.
    new_interval_keeps_phase: bool = true, U;
    /// After how many missed heartbeats the console shows a client as offline.
    offline_after_heartbeats: u32 = 3, U;
    /// The first client version that offers TLS 1.3; those before it, from 14.0 on, speak TLS 1.2.
    tls_1_3_from: ClientVersion = ClientVersion::new(14, 3), U;
    /// The body of the answer to `/secars/secars.dll?hello,secars`.
    hello_answer: String = "OK".to_owned(), R;
    /// The status that says that a client's policy is the newest.
    unchanged_status: u16 = 304, R;
    /// The status for a client that the manager does not know; the client registers again.
    unregistered_status: u16 = 401, R;
    /// The status for a registration with the identifier of a domain that the site does not have.
    unknown_domain_status: u16 = 401, U;
    /// The status for a policy, list or package that is not there.
    missing_status: u16 = 404, R;
    /// For how many days a server certificate is valid that the manager makes itself.
    certificate_validity_days: u32 = 3650, R;
    /// Whether a new group has secure communications switched on.
    secure_communications_by_default: bool = true, R;
    /// An update of the server certificate ends the connections that are open: the vendor's text wants the services
    /// restarted after it. Otherwise a client in push mode would learn the new certificate over its old connection.
    update_ends_connections: bool = true, I;
    /// Whether a command that is cancelled is cancelled for those clients as well that are already at it.
    cancel_reaches_running_commands: bool = false, U;
    /// Whether a command to a group reaches the clients of the groups below it.
    group_commands_reach_subgroups: bool = true, U;
    /// Whether a command that names only computers and groups that the site does not know is refused with 400. Recorded
    /// clients expect an answer, which then bears no command.
    unknown_command_targets_are_refused: bool = false, U;
    /// The definitions that a client has before a command makes it fetch newer ones.
    installed_definitions: String = "2023-09-04 rev. 002".to_owned(), U;
    /// For how many seconds a token of the REST API is in force. 14.2 was seen to say 43199, 14.3 about a day.
    rest_token_seconds: u32 = 43_199, I;
    /// For how many seconds another token can be had with the refresh token.
    rest_refresh_token_seconds: u32 = 2_592_000, U;
    /// What a change of a location's communication settings over the REST API changes, where the location uses those of
    /// its group. Nobody has recorded one.
    rest_location_settings: RestLocation = RestLocation::OfItsOwn, U;
    /// The status of the REST API for a group whose name is taken: 400 or 409.
    rest_group_name_taken_status: u16 = 409, U;
    /// The status of the REST API for an administrator whose login name is taken.
    rest_administrator_taken_status: u16 = 409, U;
    /// The status of the REST API for a change of settings or policies in a group that inherits them.
    rest_inheriting_group_status: u16 = 400, U;
    /// The status of the REST API for settings that assign a management server list that is not there.
    rest_unknown_list_status: u16 = 400, U;
    /// The status of the REST API for the removal of a group that cannot be removed: of the top one, of the default one, or of one
    /// with computers or groups in it.
    rest_group_in_use_status: u16 = 400, U;
    /// The status of the REST API for a command or a file that is not there. The vendor's description has 404 for the one and
    /// 410 for the other.
    rest_unknown_command_status: u16 = 410, U;
    /// The status of the REST API for a location that its group does not have. The vendor's description has 404 for its
    /// settings and 410 for its policies.
    rest_unknown_location_status: u16 = 410, U;
    /// The status of the REST API for a method that a path does not have.
    rest_wrong_method_status: u16 = 405, I;
    /// The status of the REST API for locking a group down to a fingerprint list that it is locked down to. A client expects
    /// 400, by a comment in it; another asks again each time, and goes on after 200 alone.
    rest_lockdown_again_status: u16 = 200, U;
    /// The status of the REST API for computers that were moved, each with an answer of its own: 207 and 200 were seen.
    rest_move_status: u16 = 207, I;
    /// What the REST API calls the error where there is no token at all. Spring calls it so.
    rest_no_token_error: String = "unauthorized".to_owned(), I;
    /// Whether a token of the REST API ends when another is had with its refresh token.
    rest_refresh_ends_token: bool = true, U;
    /// Whether a slash too many in a path of the REST API, at its end or beside another one, does not count. Spring and Tomcat
    /// take it unless they are told otherwise.
    rest_slashes_do_not_count: bool = true, I;
    /// Whether the REST API closes a connection that has carried a POST when the next request comes, without a word: 14.3 does
    /// so to clients of the .NET Framework 4. A lab that serves other clients leaves it off.
    rest_drops_connection_after_post: bool = false, I;
    /// The largest page of the REST API; who asks for more gets this many. Clients were seen to ask for 10,000.
    rest_largest_page: u32 = 20_000, U;
    /// Whether the REST API refuses the page 0 and a page of nothing with 400; otherwise it gives the usual page.
    rest_page_zero_is_refused: bool = true, U;
    /// Whether groups come in the order of their paths where the REST API says that they are sorted by name. A recorded 14.2 says
    /// so, and a recorded 14.3 begins with the top group.
    rest_groups_in_order_of_paths: bool = true, I;
    /// How many critical events and host groups a page of the REST API has if nobody says otherwise.
    rest_usual_page: u32 = 25, U;
    /// The settings of every location that the lab has no notion of, until somebody changes them over the REST API. The vendor's
    /// description names them, and nobody has recorded an answer.
    rest_settings: Value = json!({
        "configuration": {
            "communication_settings": {
                "app_upload": false,
                "remember_current_group": false,
                "remember_current_policy_mode": true,
                "allow_client_upload_critical_event_immediately": true,
            },
            "general_settings": {
                "restart": { "enabled": false, "force": false, "force_when_logged_out": false },
                "security_settings": { "stopped_mode": "ALLOW" },
                "tamper_protection": { "enabled": true, "action": "BLOCK", "log_action": 1 },
            },
            "password_protection": {
                "password": null, "user_interface": false, "service": false, "installation": false, "policy": false,
            },
            "client_log": { "max_upload": 100, "system_upload": true, "security_upload": true, "traffic_upload": true },
            "live_update_content_settings": {},
            "external_communication_settings": {},
        },
        "lockedoptions": {},
    }), U;
    /// How the REST API names the policies that are assigned to a location, where it lists them. The vendor's description says
    /// that they are texts, and no more.
    rest_assigned_policies: PolicyReference = PolicyReference::Address, U;
    /// How it names the one of a type.
    rest_assigned_policy: PolicyReference = PolicyReference::Identifier, U;
    /// The `adminType` of a system administrator in the REST API. That there are 1, 2 and 3 is described; which is which is not.
    rest_system_administrator_type: i32 = 1, I;
    /// The `adminType` of the administrator of a domain.
    rest_domain_administrator_type: i32 = 2, I;
    /// The `adminType` of a limited administrator.
    rest_limited_administrator_type: i32 = 3, I;
    /// The `subStateId` of a command that its client has told nothing of: -1 is unknown, and 0 was seen.
    rest_initial_sub_state: i64 = 0, I;
    /// What a computer's `quarantineDesc` says while a command has it quarantined.
    rest_quarantine_words: String = "The computer is quarantined by a command of the administrator.".to_owned(), U;
    /// The `licenseType` of a trial license in the REST API. A recorded subscription has 2.
    rest_license_type: i32 = 2, U;
    /// The serial number of the lab's license.
    rest_license_serial: String = "B0000000000".to_owned(), U;
    /// How many clients it is for.
    rest_license_seats: i32 = 100_000, U;
    /// For how many days the trial license is.
    rest_trial_days: u16 = 60, R;
    /// The subject of the critical event that a trial license is.
    rest_event_subject: String = "License Issue".to_owned(), U;
    /// The instance of the database, by which it is called in the REST API too.
    rest_database_instance: String = "SQLEXPRESSSYMC".to_owned(), R;
    /// The port of the database.
    rest_database_port: u16 = 2638, R;
    /// The make of the database.
    rest_database_type: String = "Microsoft SQL Server".to_owned(), R;
    /// The version of the database.
    rest_database_version: String = "14.00.1000".to_owned(), U;
    /// The name of the database in its instance.
    rest_database_name: String = "sem5".to_owned(), R;
    /// Who logs in to the database.
    rest_database_user: String = "DBA".to_owned(), R;
    /// After how many days without a word a domain forgets a client; the lab forgets nobody.
    rest_old_clients_days: u32 = 30, R;
    /// The same, of clients on virtual desktops that are thrown away.
    rest_old_vdi_clients_days: u32 = 7, U;
    /// The rules of a location as XML: a client of the lab is told where it is, so there are none.
    rest_location_rules: String = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><LocationRules/>".to_owned(), U;
    /// The shortest RSA key that the certificate wizard takes, in bits; the vendor names only the longest, 8192. Below
    /// 2048 nothing changes, for the lab itself does not sign with shorter keys.
    wizard_shortest_key_bits: u32 = 2048, U;
    /// Whether the wizard takes a certificate that was signed by way of SHA-1: it is RSA-based, and no more is asked.
    wizard_takes_sha1: bool = true, I;
    /// Whether the manager's Java is the one that wrote a JCEKS keystore: such files are for the same JDK only.
    wizard_reads_jceks: bool = true, I;
    /// The longest key, in bits, with which the console of version 14 still logs in without a manual change (F14).
    console_longest_key_bits: u32 = 2048, I;
    /// Whether a log-in to the REST API fails with 503 where the console cannot connect (F14): that the API is served by
    /// another service speaks against it, that both use one store speaks for it.
    rest_shares_console_trouble: bool = false, U;
    /// Which store's key signs policies, lists and packages, and whose certificate the lists carry.
    signing_store: Store = Store::Console, I;
    /// The alias of the console's key in the keystore that the manager writes, and reads where there are several.
    keystore_alias: String = "tomcat".to_owned(), R;
    /// How the settings in a recovery file are called, before the time stamp; what else is in it keeps its name.
    recovery_settings_name: String = "settings".to_owned(), R;
    /// Whether a manager that starts with another keystore makes a recovery file, as the wizard's update does. Nobody says
    /// what a rotation by files leaves.
    recovery_after_files: bool = true, U;
    /// How large a log in the installation's folder grows before another begins, in KiB.
    log_kibibytes: u32 = 1024, U;
    /// How many files of each log are kept.
    logs_kept: u32 = 5, U;
}

impl Assumptions {
    /// What the certificate wizard lets through.
    pub fn wizard_rules(&self) -> WizardRules {
        WizardRules {
            shortest_key_bits: self.wizard_shortest_key_bits,
            sha1: self.wizard_takes_sha1,
            jceks: self.wizard_reads_jceks,
        }
    }
}

/// A value as a scenario file would write it, without quotes.
fn shown<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assumption_is_printed_with_its_value_and_its_default() {
        let changed = Assumptions { hello_answer: "hi".into(), ..Assumptions::default() };
        let shown = changed.list();
        let hello = shown.iter().find(|one| one.name == "hello_answer").unwrap();
        assert_eq!((hello.value.as_str(), hello.default.as_str(), hello.mark), ("hi", "OK", Mark::R));
        assert!(shown.iter().all(|one| !one.about.is_empty()));
        let fields = serde_json::to_value(Assumptions::default()).unwrap().as_object().unwrap().len();
        assert_eq!(shown.len(), fields);
    }

    #[test]
    fn an_unknown_assumption_is_refused() {
        let error = serde_json::from_str::<Assumptions>(r#"{"helo_answer": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("helo_answer"), "{error}");
    }
}
