//! The types of settings that the lab stores and returns without acting on them, as the vendor's description has them.
//! What a caller sends is checked here, so that no answer has a value of another type.

use serde_json::{Map, Value};

use crate::rest_api::http::ApiError;

/// The type of a setting. Every setting may be null, and a field that is not named may have any value.
pub(super) enum Shape {
    Flag,
    /// A whole number in this range.
    Number(i64, i64),
    /// A text of so many characters.
    Text(usize, usize),
    List(&'static Self),
    Fields(&'static [(&'static str, Self)]),
}

const INTEGER: Shape = Shape::Number(i32::MIN as i64, i32::MAX as i64);
const TEXT: Shape = Shape::Text(0, usize::MAX);
/// Size of a client's log.
const SIZE: Shape = Shape::Number(64, 9_999);
/// Days that a client keeps a log.
const DAYS: Shape = Shape::Number(1, 9_999);
const DAMPER: Shape = Shape::Number(0, 99_999);
const IDLE: Shape = Shape::Number(0, 999_999_999);

const PROXY: Shape = Shape::Fields(&[
    ("http_mode", INTEGER),
    ("http_host", TEXT),
    ("http_port", INTEGER),
    ("http_auth_required", Shape::Flag),
    ("http_auth_type", INTEGER),
    ("http_user_name", Shape::Text(1, 64)),
    ("http_password", Shape::Text(1, 32)),
    ("http_domain", Shape::Text(1, 15)),
    ("https_port", INTEGER),
]);
const CLOUD_CERTIFICATE: Shape = Shape::Fields(&[("name", TEXT), ("content", TEXT)]);
const CLOUD_SERVER: Shape = Shape::Fields(&[
    ("name", TEXT),
    ("description", TEXT),
    ("edr_connect_token", TEXT),
    ("address", TEXT),
    ("port", INTEGER),
    ("protocol", TEXT),
    ("enable", Shape::Flag),
    ("legacyclientsupport", Shape::Flag),
    ("certificates", Shape::List(&CLOUD_CERTIFICATE)),
]);
const CLOUD_GROUP: Shape =
    Shape::Fields(&[("serverCount", INTEGER), ("servers", Shape::List(&CLOUD_SERVER))]);
const THRESHOLD: Shape = Shape::Fields(&[("moniker", TEXT), ("minimumagedays", TEXT)]);

/// `external_communication_settings`.
pub(super) const EXTERNAL: Shape = Shape::Fields(&[
    ("proxy", PROXY),
    ("mac_proxy", PROXY),
    (
        "lowbandwidth",
        Shape::Fields(&[
            ("enablelowbandwidth", Shape::Flag),
            ("networkWeeklyBandwidthLimitKb", INTEGER),
            ("enablelowconnectivity", Shape::Flag),
            ("enablelowconnectivityclient", Shape::Flag),
            ("contentthresholds", Shape::List(&THRESHOLD)),
        ]),
    ),
    (
        "privatecloud",
        Shape::Fields(&[
            ("enableservers", Shape::Flag),
            ("servertype", TEXT),
            ("failover", Shape::Flag),
            ("groups", Shape::List(&CLOUD_GROUP)),
        ]),
    ),
    ("insight", Shape::Flag),
    (
        "telemetry",
        Shape::Fields(&[
            ("enabled", Shape::Flag),
            ("reputation", Shape::Flag),
            ("process", Shape::Flag),
            ("network", Shape::Flag),
            ("config", Shape::Flag),
            ("client_data", Shape::Flag),
        ]),
    ),
]);

/// `general_settings.restart`.
pub(super) const RESTART: Shape = Shape::Fields(&[
    ("enabled", Shape::Flag),
    ("force", Shape::Flag),
    ("force_when_logged_out", Shape::Flag),
    (
        "endpoint_notification",
        Shape::Fields(&[
            ("enabled", Shape::Flag),
            ("endpoint_notification_message", TEXT),
            ("user_pause_TTL", Shape::Number(5, 60)),
            ("countdown", Shape::Number(1, 60)),
            ("user_pause_till_schedule", Shape::Fields(&[])),
        ]),
    ),
    ("immediate", Shape::Fields(&[])),
    (
        "schedule",
        Shape::Fields(&[
            ("randomize_start_time", Shape::Flag),
            ("time_window", INTEGER),
            ("time", TEXT),
            ("monday", Shape::Flag),
            ("tuesday", Shape::Flag),
            ("wednesday", Shape::Flag),
            ("thursday", Shape::Flag),
            ("friday", Shape::Flag),
            ("saturday", Shape::Flag),
            ("sunday", Shape::Flag),
        ]),
    ),
]);

/// `password_protection`.
pub(super) const PASSWORD_PROTECTION: Shape = Shape::Fields(&[
    ("password", Shape::Text(6, 256)),
    ("user_interface", Shape::Flag),
    ("service", Shape::Flag),
    ("installation", Shape::Flag),
    ("policy", Shape::Flag),
]);

/// `live_update_content_settings`.
pub(super) const LIVE_UPDATE: Shape = Shape::Fields(&[("description", TEXT)]);

/// `client_log`.
pub(super) const CLIENT_LOG: Shape = Shape::Fields(&[
    ("max_upload", Shape::Number(1, 500)),
    ("system_upload", Shape::Flag),
    ("system_maxsize", SIZE),
    ("system_TTL", DAYS),
    ("security_upload", Shape::Flag),
    ("security_maxsize", SIZE),
    ("security_TTL", DAYS),
    ("traffic_upload", Shape::Flag),
    ("traffic_maxsize", SIZE),
    ("traffic_TTL", DAYS),
    ("packet_upload", Shape::Flag),
    ("packet_maxsize", Shape::Number(128, 9_999)),
    ("packet_TTL", DAYS),
    ("control_upload", Shape::Flag),
    ("control_maxsize", SIZE),
    ("control_TTL", DAYS),
    ("security_damper_time", DAMPER),
    ("security_idle_time", IDLE),
    ("traffic_damper_time", DAMPER),
    ("traffic_idle_time", IDLE),
    ("noisy_traffic_damper_time", DAMPER),
    ("noisy_traffic_idle_time", IDLE),
]);

impl Shape {
    /// Checks settings of this type, found at this place of the request.
    ///
    /// # Errors
    ///
    /// The first setting of another type.
    pub(super) fn check(&self, place: &str, settings: &Map<String, Value>) -> Result<(), ApiError> {
        let Self::Fields(fields) = self else { return Ok(()) };
        let known = |name: &str| fields.iter().find(|(field, _)| *field == name);
        let named = settings.iter().filter_map(|(name, value)| Some((name, value, &known(name)?.1)));
        named
            .map(|(name, value, shape)| shape.check_value(&format!("{place}{name}"), value))
            .find(Result::is_err)
            .unwrap_or(Ok(()))
    }

    fn check_value(&self, place: &str, value: &Value) -> Result<(), ApiError> {
        let expected = match (self, value) {
            (_, Value::Null) | (Self::Flag, Value::Bool(_)) => return Ok(()),
            (Self::Fields(_), Value::Object(inner)) => return self.check(&format!("{place}."), inner),
            (Self::List(of), Value::Array(values)) => {
                // An element of a list is not null.
                let each = values.iter().map(|value| match value {
                    Value::Null => Err(wrong(place, "no null in the list")),
                    value => of.check_value(place, value),
                });
                return each.into_iter().find(Result::is_err).unwrap_or(Ok(()));
            }
            (Self::Number(least, most), value)
                if value.as_i64().is_some_and(|found| (*least..=*most).contains(&found)) =>
            {
                return Ok(());
            }
            (Self::Text(least, most), Value::String(found))
                if (*least..=*most).contains(&found.chars().count()) =>
            {
                return Ok(());
            }
            (Self::Flag, _) => "true or false".to_owned(),
            (Self::Number(least, most), _) => format!("a whole number from {least} to {most}"),
            (Self::Text(0, usize::MAX), _) => "a text".to_owned(),
            (Self::Text(least, most), _) => format!("a text of {least} to {most} characters"),
            (Self::List(_), _) => "a list".to_owned(),
            (Self::Fields(_), _) => "an object".to_owned(),
        };
        Err(wrong(place, &expected))
    }
}

fn wrong(place: &str, expected: &str) -> ApiError {
    ApiError::Invalid(format!("The field {place} has the wrong type; expected {expected}."))
}
