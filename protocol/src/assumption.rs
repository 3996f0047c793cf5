//! Undocumented behaviour of the real product: each guess is a field, with its default, its mark and its reason.
//!
//! A rule that was read in a source is code. A rule that was recalled, inferred or simply chosen, because something
//! has to happen, is a field here: printed by `epm-lab assumptions`, set in a scenario's `[assumptions]`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assume::{AssumeError, accepted, is_at_once, read};
use crate::statement::{Statement, TitledStatement};
use crate::suggest::hint;
use crate::trust::{DateRule, NameRule, WizardRules};
use crate::version::ClientVersion;

/// How well a statement about the real product is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Mark {
    /// Read in a source.
    C,
    /// Inferred from something that was read in a source.
    I,
    /// Recalled; found in no source.
    R,
    /// Unknown; chosen so that every documented outcome follows.
    U,
}

impl Mark {
    /// The letter that stands for it.
    pub const fn letter(self) -> char {
        match self {
            Self::C => 'C',
            Self::I => 'I',
            Self::R => 'R',
            Self::U => 'U',
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::C => "read in a source",
            Self::I => "inferred",
            Self::R => "recalled",
            Self::U => "unknown",
        })
    }
}

/// One assumption, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Assumption {
    /// The name of the field in a scenario's `[assumptions]`.
    pub name: &'static str,
    /// The mark of the assumption: how well it is founded.
    pub mark: Mark,
    /// The value in force.
    pub value: String,
    /// The value when nothing is set.
    pub default: String,
    /// What the assumption decides, and why this default.
    pub about: &'static str,
    /// The statements of the documented procedure that it decides about, by number and title.
    #[schemars(with = "Vec<TitledStatement>")]
    pub statements: &'static [Statement],
    /// The value from the next reset of the lab on; absent if it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The accepted values, in words.
    pub accepts: String,
    /// Whether a new value takes effect in a running lab at once. The others do at the next reset of the lab.
    pub at_once: bool,
}

/// The order in which a client adopts a new policy and a new list that one index names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdoptionOrder {
    /// First the policy, with the switch for secure communications in it, then the list.
    #[default]
    PolicyThenList,
    /// First the list, with the certificates in it, then the policy.
    ListThenPolicy,
}

/// How clients of 14.2 fail at the procedure for several managers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Module142 {
    /// The client takes from a new list only the certificate of the manager that sent it; with secure communications
    /// off it takes the whole list.
    #[default]
    LearnsOnlyTheSendingManager,
    /// The client ends the heartbeat at a server that it does not trust, instead of trying the next.
    StopsAtAnUntrustedServer,
    /// The client behaves like clients of other versions.
    AsOthers,
}

/// The number of servers that a client tries in one heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServersPerBeat {
    /// Every server of its list, until one serves the client.
    #[default]
    All,
    /// One server; the next one is tried at the next heartbeat.
    One,
}

/// How a client chooses between servers of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalance {
    /// A random order, drawn anew at each heartbeat that consults the list.
    #[default]
    Drawn,
    /// The order of the list.
    InOrder,
}

/// Which communication settings change over the REST API where a location uses those of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestLocation {
    /// The location gets settings of its own.
    #[default]
    OfItsOwn,
    /// The settings of the group change, and with them those of all its locations that use them.
    OfTheGroup,
}

/// How the REST API names a policy that is assigned to a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyReference {
    /// An address of the REST API, as for locations.
    #[default]
    Address,
    /// The identifier of the policy.
    Identifier,
    /// The name of the policy.
    Name,
}

/// The status of the REST API for an object that does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownObjects {
    /// The status that the vendor's description has for the operation: 410, 404 or 400.
    #[default]
    AsDescribed,
    /// 410 for every operation.
    Gone,
}

/// One of a manager's two certificate stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The store of the console: `tomcat\etc\keystore.jks` [C S4].
    #[default]
    Console,
    /// The store of the clients' port: `apache\conf\ssl\server.crt` and `server.key` [C S4].
    Client,
}

macro_rules! assumptions {
    ($($(#[doc = $about:literal])+ $name:ident: $type:ty = $default:expr, $mark:ident $($statement:ident)*;)*) => {
        /// Every assumption of the lab. The defaults are the lab's choice.
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
            /// All assumptions, in the order of this file.
            pub fn list(&self) -> Vec<Assumption> {
                let default = Self::default();
                vec![$(Assumption {
                    name: stringify!($name),
                    mark: Mark::$mark,
                    value: shown(&self.$name),
                    default: shown(&default.$name),
                    about: concat!($($about,)+).trim_ascii(),
                    statements: &[$(Statement::$statement),*],
                    next: None,
                    accepts: accepted::<$type>(stringify!($name)),
                    at_once: is_at_once(stringify!($name)),
                },)*]
            }

            /// The assumptions that differ from their defaults, each as `name = value`.
            pub fn differing(&self) -> Vec<String> {
                if *self == Self::default() {
                    return Vec::new();
                }
                let differing = self.list().into_iter().filter(|one| one.value != one.default);
                differing.map(|one| format!("{} = {}", one.name, one.value)).collect()
            }

            /// Sets one assumption by name.
            ///
            /// # Errors
            ///
            /// When there is none of that name, or the value is not accepted; nothing has changed then.
            pub fn set(&mut self, name: &str, value: &Value) -> Result<(), AssumeError> {
                match name {
                    $(stringify!($name) => self.$name = read(name, value)?,)*
                    _ => {
                        let hint = hint(name, [$(stringify!($name)),*]);
                        return Err(AssumeError::Unknown { found: name.chars().take(80).collect(), hint });
                    }
                }
                Ok(())
            }
        }
    };
}

assumptions! {
    /// Whether the certificate of an HTTPS connection is checked against the cached ones even while secure
    /// communications are off. Without this the documented change to HTTP before the update would be needless (F06).
    switch_off_still_checks_tls: bool = true, I P5 P10;
    /// Whether a client checks the validity dates of a certificate that it has cached.
    certificate_dates: DateRule = DateRule::Checked, U P4;
    /// Whether a client checks the name in a certificate that it has cached; with HttpsVerifyCA on, it always does.
    certificate_names: NameRule = NameRule::Ignored, I;
    /// What a client does first with an index that names a new policy and a new list. If the policy comes first, its
    /// setting for secure communications already applies to the list that follows; so switching them on too early
    /// orphans clients, as documented.
    adoption_order: AdoptionOrder = AdoptionOrder::PolicyThenList, U P8;
    /// How clients of 14.2 fail at the procedure for several managers. That they fail is documented; the reason is not.
    /// By default, a client takes from a new list only the certificate of the manager that sent it. With secure
    /// communications off it takes all, as other clients do; otherwise the procedure for one manager, which is
    /// documented for these clients, would orphan them too.
    module_14_2: Module142 = Module142::LearnsOnlyTheSendingManager, U P17;
    /// The first client version with the 14.2 communication module.
    module_14_2_from: ClientVersion = ClientVersion::new(14, 2), I P17;
    /// The first client version without that module. One text of the vendor names all of 14.2, another only 14.2 and
    /// 14.2 RU1.
    module_14_2_until: ClientVersion = ClientVersion::new(14, 3), I P17;
    /// The number of identity conflicts (468) within 24 hours after which a manager tells the next machine with the
    /// same hardware id to make a new one (470); 0 means never. The number is that of the product's `conf.properties`
    /// (F25). The lab counts as a conflict that a machine of another name takes over the record.
    identity_conflicts: u32 = 3, I;
    /// The first client version that makes a new hardware id when told to, 14.0 MP1; older ones keep theirs, and
    /// register again. The build number is recalled.
    new_identity_from: ClientVersion = ClientVersion::build(14, 0, 2332), R;
    /// The first client version in which making a new hardware id fails, as documented for 14.2.
    new_identity_broken_from: ClientVersion = ClientVersion::new(14, 2), I;
    /// The first client version in which making a new hardware id works again, 14.2 RU1. The build number is recalled.
    new_identity_broken_until: ClientVersion = ClientVersion::build(14, 2, 3332), R;
    /// The number of servers of its list that a client tries in one heartbeat.
    servers_per_beat: ServersPerBeat = ServersPerBeat::All, I;
    /// How a client chooses between servers of the same priority.
    load_balance: LoadBalance = LoadBalance::Drawn, U;
    /// The largest random delay of a heartbeat, in per cent of the interval.
    heartbeat_jitter_percent: u8 = 10, U;
    /// Whether a client's heartbeats keep their phase when its interval changes. If not, the series starts anew at the
    /// heartbeat that brings the new interval, and a fleet whose interval grows from 5 minutes to an hour has all its
    /// heartbeats within the same 5 minutes of each hour.
    new_interval_keeps_phase: bool = true, U;
    /// The number of missed heartbeats after which the console shows a client as offline.
    offline_after_heartbeats: u32 = 3, U;
    /// The first client version that offers TLS 1.3; earlier ones, from 14.0 on, speak TLS 1.2.
    tls_1_3_from: ClientVersion = ClientVersion::new(14, 3), U;
    /// The body of the answer to `/secars/secars.dll?hello,secars`.
    hello_answer: String = "OK".to_owned(), R;
    /// The HTTP status that tells a client that its policy is current.
    unchanged_status: u16 = 304, R;
    /// The HTTP status for a client that the manager does not know; the client registers again.
    unregistered_status: u16 = 401, R;
    /// The HTTP status for a registration with the identifier of a domain that the site does not have.
    unknown_domain_status: u16 = 401, U;
    /// The HTTP status for a policy, list or package that does not exist.
    missing_status: u16 = 404, R;
    /// The validity, in days, of a server certificate that the manager makes itself.
    certificate_validity_days: u32 = 3650, R;
    /// How many seconds before it is made such a certificate becomes valid. A machine whose clock is behind the manager's
    /// by more than that rejects it as not yet valid. `up --hold` sets a day, as lab time gets ahead of the machine's.
    certificate_backdated_seconds: u32 = 0, U;
    /// Whether a new group has secure communications switched on.
    secure_communications_by_default: bool = true, R;
    /// Whether an update of the server certificate ends the open connections: the vendor's text wants the services
    /// restarted after it. Otherwise a client in push mode would learn the new certificate over its old connection.
    update_ends_connections: bool = true, I;
    /// Whether cancelling a command also cancels it for clients that are already carrying it out.
    cancel_reaches_running_commands: bool = false, U;
    /// Whether a command to a group reaches the clients of the groups below it.
    group_commands_reach_subgroups: bool = true, U;
    /// Whether a command that names only computers and groups that the site does not know is refused with 400. Recorded
    /// clients expect an answer without a command identifier.
    unknown_command_targets_are_refused: bool = false, U;
    /// The version of the definitions that a client has before a command makes it fetch newer ones.
    installed_definitions: String = "2023-09-04 rev. 002".to_owned(), U;
    /// The lifetime of a REST API token, in seconds. 14.2 returned 43199, 14.3 about a day.
    rest_token_seconds: u32 = 43_199, I;
    /// The lifetime of a refresh token of the REST API, in seconds.
    rest_refresh_token_seconds: u32 = 2_592_000, U;
    /// What a change of a location's communication settings over the REST API changes, where the location uses those of
    /// its group. No recording shows one.
    rest_location_settings: RestLocation = RestLocation::OfItsOwn, U;
    /// The status of the REST API for a group whose name is taken: 400 or 409. The vendor's description has only 400.
    rest_group_name_taken_status: u16 = 400, I;
    /// The status of the REST API for an administrator whose login name is taken. The vendor's description has only 400.
    rest_administrator_taken_status: u16 = 400, I;
    /// The status of the REST API for a policy or a host group whose name is taken. The vendor's description has only 400.
    rest_policy_name_taken_status: u16 = 400, I;
    /// The status of the REST API for a change of settings or policies in a group that inherits them.
    rest_inheriting_group_status: u16 = 400, U;
    /// The status of the REST API for settings that assign a management server list that is not there.
    rest_unknown_list_status: u16 = 400, U;
    /// The status of the REST API for the removal of a group that cannot be removed: the top group, the default group,
    /// or a group with computers or groups in it.
    rest_group_in_use_status: u16 = 400, U;
    /// The status of the REST API for an object that does not exist. The vendor's description has 410 for some operations,
    /// 404 for others, and only 400 for the rest; public clients look for 410 at fingerprint lists.
    rest_unknown_objects: UnknownObjects = UnknownObjects::AsDescribed, I;
    /// The status of the REST API for a method that a path does not have.
    rest_wrong_method_status: u16 = 405, I;
    /// The status of the REST API for locking a group down to a fingerprint list to which it is locked down already.
    /// One recorded client expects 400; another asks again each time, and continues only after 200.
    rest_lockdown_again_status: u16 = 200, U;
    /// The status of the REST API for a move of computers, each with a result of its own: 207 and 200 were seen.
    rest_move_status: u16 = 207, I;
    /// The name of the REST API's error for a request without a token, after Spring.
    rest_no_token_error: String = "unauthorized".to_owned(), I;
    /// Whether a REST API token ends when another is obtained with its refresh token.
    rest_refresh_ends_token: bool = true, U;
    /// Whether the REST API ignores surplus slashes in a path, at its end or doubled. Spring and Tomcat do, unless
    /// configured otherwise. Doubled ones are ignored only while `rest_double_slash_is_refused` is off.
    rest_slashes_do_not_count: bool = true, I;
    /// Whether the REST API answers a path with two slashes in a row with 500, as 14.3 was seen to do: its framework's
    /// firewall refuses such a path before anything else looks at it. Earlier versions served it.
    rest_double_slash_is_refused: bool = true, I;
    /// Whether the REST API shows certain lists without entries as `null` instead of `[]`, as 14.3 was seen to do on a
    /// site without clients: the counts of clients by version and by definitions.
    rest_empty_lists_are_null: bool = true, I;
    /// Whether a `+` in a password at a log-in to the REST API stands for a space, as in a form. The product decodes
    /// `%` sequences there with a decoder that also reads `+` so; the vendor's texts do not mention `+`.
    rest_password_plus_is_space: bool = false, U;
    /// The number of calls that the REST API of a manager allows in `rest_throttle_minutes`; 0 means no limit, so that
    /// tests are not slowed down. The product allows 50.
    rest_throttle_calls: u32 = 0, I;
    /// The period of the limit of calls, in minutes.
    rest_throttle_minutes: u32 = 1, I;
    /// Whether failed log-ins to the REST API lock an administrator's account, after the number of attempts and for the
    /// time that the account's settings name. Off, so that a test of wrong passwords does not stop the next one.
    rest_locks_accounts: bool = false, U;
    /// Whether the REST API lets log-ins of a peer to an account wait after five that failed: from 0.25 to 4 seconds of
    /// real time each. The product is not known to; the lab does so to protect itself.
    rest_slows_log_ins: bool = true, U;
    /// The status of the REST API for a log-in to a locked account.
    rest_locked_account_status: u16 = 400, U;
    /// Whether a file that a client has uploaded is downloaded from the REST API as a zip archive: in it the file,
    /// named by its checksum, each byte combined with a key by exclusive or, and `metadata.xml` with the key, as a public
    /// client reads it. Otherwise the file itself is sent.
    rest_file_is_zipped: bool = true, I;
    /// Whether the REST API closes, without an answer, a connection that has carried a POST when the next request
    /// comes: 14.3 does so to clients of the .NET Framework 4. Leave it off for other clients.
    rest_drops_connection_after_post: bool = false, I;
    /// The largest page of the REST API, in entries; larger ones are cut down to it. Clients were seen to ask for
    /// 10,000.
    rest_largest_page: u32 = 20_000, U;
    /// Whether the REST API refuses page 0 and a page size of 0 with 400; otherwise it uses the defaults.
    rest_page_zero_is_refused: bool = true, U;
    /// Whether groups that the REST API reports as sorted by name are in the order of their paths. A recorded 14.2 says
    /// so, and a recorded 14.3 begins with the top group.
    rest_groups_in_order_of_paths: bool = true, I;
    /// The default page size of the REST API for critical events and host groups, in entries.
    rest_usual_page: u32 = 25, U;
    /// The settings of every location that the lab does not model, until they are changed over the REST API. The
    /// vendor's description names them; no recording shows an answer.
    rest_settings: Value = json!({
        "configuration": {
            "communication_settings": {
                "upload_op_state_heartbeat_freq_in_seconds": 300,
                "upload_log_heartbeat_freq_in_seconds": 300,
                "upload_cmd_state_heartbeat_freq_in_seconds": 300,
                "randomization_frequency": 300,
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
    /// How the REST API names the policies that are assigned to a location, where it lists them. The vendor's
    /// description says only that they are texts.
    rest_assigned_policies: PolicyReference = PolicyReference::Address, U;
    /// How the REST API names the assigned policy of one type.
    rest_assigned_policy: PolicyReference = PolicyReference::Identifier, U;
    /// The `subStateId` of a command that its client has not reported on: -1 means unknown, and 0 was seen.
    rest_initial_sub_state: i64 = 0, I;
    /// What a computer's `quarantineDesc` says while a command has it quarantined.
    rest_quarantine_words: String = "The computer is quarantined by a command of the administrator.".to_owned(), U;
    /// The `licenseType` of a trial license in the REST API. A recorded subscription has 2.
    rest_license_type: i32 = 2, U;
    /// The serial number of the lab's license.
    rest_license_serial: String = "B0000000000".to_owned(), U;
    /// The number of clients that the lab's license covers.
    rest_license_seats: i32 = 100_000, U;
    /// The length of the trial license, in days.
    rest_trial_days: u16 = 60, R;
    /// The subject of the critical event for a trial license.
    rest_event_subject: String = "License Issue".to_owned(), U;
    /// The instance name of the database, also its name in the REST API.
    rest_database_instance: String = "SQLEXPRESSSYMC".to_owned(), R;
    /// The TCP port of the database.
    rest_database_port: u16 = 2638, R;
    /// The type of the database, as the REST API names it.
    rest_database_type: String = "Microsoft SQL Server".to_owned(), R;
    /// The version of the database, as the REST API names it.
    rest_database_version: String = "14.00.1000".to_owned(), U;
    /// The name of the database in its instance.
    rest_database_name: String = "sem5".to_owned(), R;
    /// The user name for the database.
    rest_database_user: String = "DBA".to_owned(), R;
    /// The number of days of silence after which a domain deletes a client. Reported only: the lab deletes none.
    rest_old_clients_days: u32 = 30, R;
    /// The number of days of silence after which a domain deletes a non-persistent virtual desktop. Reported only.
    rest_old_vdi_clients_days: u32 = 7, U;
    /// The rules of a location as XML. Empty, since in the lab the location is set from outside.
    rest_location_rules: String = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><LocationRules/>".to_owned(), U;
    /// The shortest RSA key that the certificate wizard takes, in bits; the vendor names only the longest, 8192. Values
    /// below 2048 have no effect, since the lab does not sign with shorter keys.
    wizard_shortest_key_bits: u32 = 2048, U;
    /// Whether the wizard takes a certificate signed with SHA-1; the vendor only asks that it is RSA-based.
    wizard_takes_sha1: bool = true, I;
    /// Whether the wizard takes a certificate signed with MD5 (MD5withRSA) or MD2. Both are RSA-based, which is all that
    /// the vendor asks for, but the manager's Java disables them for certificates.
    wizard_takes_md5: bool = false, U;
    /// Whether the wizard takes a certificate with an RSASSA-PSS signature. It is RSA-based, but the manager's Java of
    /// that time does not know it.
    wizard_takes_pss: bool = false, U;
    /// Whether the wizard takes a certificate signed with SHA-512/256 or SHA-512/224 (SHA512/256withRSA), which the
    /// manager's Java of that time does not know.
    wizard_takes_sha512_256: bool = false, U;
    /// Whether the wizard takes a certificate signed with SHA-3 (SHA3-256withRSA), which the manager's Java of that time
    /// does not know.
    wizard_takes_sha3: bool = false, U;
    /// Whether the wizard takes a certificate of X.509 v1 or v2, which many TLS libraries refuse from a server.
    wizard_takes_x509_v1: bool = false, U;
    /// Whether the manager's Java can read a given JCEKS keystore; such files work only with the JDK that wrote them.
    wizard_reads_jceks: bool = true, I;
    /// The longest key, in bits, with which the console of version 14 can log in without a manual change (F14).
    console_longest_key_bits: u32 = 2048, I;
    /// Whether a log-in to the REST API fails with 503 where the console cannot connect (F14). Another service serves
    /// the API, which speaks against it; both use one store, which speaks for it.
    rest_shares_console_trouble: bool = false, U;
    /// The store whose key signs policies, lists and packages, and whose certificate the lists carry.
    signing_store: Store = Store::Console, I;
    /// The alias of the console's key in the keystore that the manager writes, unless `server.xml` names another.
    keystore_alias: String = "tomcat".to_owned(), R;
    /// Whether the web server refuses keys below 2048 bits, and certificates that an authority has signed with MD5 or SHA-1, as
    /// OpenSSL 3 does at the security level of many distributions. The lab serves no shorter key in either case.
    web_server_refuses_weak: bool = true, U;
    /// The name of the settings in a recovery file, before the time stamp; the other files keep their names.
    recovery_settings_name: String = "settings".to_owned(), R;
    /// Whether a manager that starts with another keystore makes a recovery file, as the wizard's update does. No
    /// source says whether a rotation by files leaves one.
    recovery_after_files: bool = true, U;
    /// The size, in KiB, at which a log in the installation's folder is rotated.
    log_kibibytes: u32 = 1024, U;
    /// The number of files of each log that are kept.
    logs_kept: u32 = 5, U;
}

impl Assumptions {
    /// Sets one assumption by name, from text: JSON, or a text without quotes.
    ///
    /// # Errors
    ///
    /// As [`Assumptions::set`].
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<(), AssumeError> {
        let as_text = || Value::String(text.to_owned());
        let value = serde_json::from_str(text).unwrap_or_else(|_| as_text());
        let read = self.set(name, &value);
        // A text may look like a number: 14.3 is a version.
        if matches!(read, Err(AssumeError::Value { .. })) && !value.is_string() {
            return self.set(name, &as_text()).or(read);
        }
        read
    }

    /// Returns a copy with the values of `new` that take effect in a running lab at once.
    #[must_use]
    pub fn with_immediate(&self, new: &Self) -> Self {
        let mut all = self.clone();
        if let Ok(Value::Object(fields)) = serde_json::to_value(new) {
            for (name, value) in fields.iter().filter(|(name, _)| is_at_once(name)) {
                let _ = all.set(name, value);
            }
        }
        all
    }

    /// The rules of the certificate wizard.
    pub fn wizard_rules(&self) -> WizardRules {
        WizardRules {
            shortest_key_bits: self.wizard_shortest_key_bits,
            sha1: self.wizard_takes_sha1,
            md5: self.wizard_takes_md5,
            pss: self.wizard_takes_pss,
            sha512_256: self.wizard_takes_sha512_256,
            sha3: self.wizard_takes_sha3,
            x509_v1: self.wizard_takes_x509_v1,
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
mod tests;
