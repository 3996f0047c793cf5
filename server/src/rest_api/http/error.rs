//! Errors of the REST API in the product's three formats. The status of each is chosen here only.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use epm_protocol::site::{CommandError, ConsoleTrouble};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rest_api::http::response::{described, json};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// A path parameter, a query parameter or the body is invalid.
    #[error("{0}")]
    Invalid(String),
    /// User name or password is wrong. The product responds with 400 instead of 401.
    #[error("The user name, the password or the domain is not correct.")]
    Credentials,
    /// The token is missing or not valid.
    #[error("{description}")]
    Token {
        /// `invalid_token`, or the assumed error for a missing token.
        error: String,
        /// Error message.
        description: String,
    },
    /// A refused token request, in OAuth format.
    #[error("{description}")]
    Grant {
        /// `invalid_request`, `invalid_grant` or `invalid_client`.
        error: String,
        /// Error message.
        description: String,
    },
    /// The object does not exist. Some clients look for the words `do not exist`.
    #[error("The {kind} {id} do not exist.")]
    Gone {
        /// Kind of the object in the plural, such as `groups`.
        kind: &'static str,
        /// Identifier of the object.
        id: String,
    },
    /// The event does not exist. The product has its own code and message for this, which a client looks for [R].
    #[error("Failed to update the event {0}.")]
    NoEvent(String),
    /// An object of this name exists.
    #[error("{words}")]
    Taken {
        /// Error message.
        words: String,
        /// Identifier of the existing object, with which a client continues.
        id: Option<String>,
    },
    /// An undocumented case, with an assumed status.
    #[error("{words}")]
    Assumed {
        /// HTTP status.
        status: u16,
        /// Error message.
        words: String,
    },
    /// The product does not have this path.
    #[error("unknown path")]
    NoPath,
    /// The framework's firewall refuses the path before anything else looks at it.
    #[error("rejected path")]
    Rejected,
    /// The body was not received in time.
    #[error("The body did not come in time.")]
    Stalled,
    /// The body is too large.
    #[error("The body is larger than {most} bytes.")]
    TooLarge {
        /// Maximum size in bytes.
        most: usize,
    },
    /// More calls than allowed.
    #[error("More than {calls} calls in {minutes} minutes. Wait and try again.")]
    Throttled {
        /// Number of calls allowed.
        calls: usize,
        /// Period of the limit, in minutes.
        minutes: u64,
    },
    /// Logging in is impossible, because the console's key is too long.
    #[error("{0}.")]
    LogIn(ConsoleTrouble),
    /// An operation of the product that the lab does not have.
    #[error("This mock does not serve this operation.")]
    NotServed,
}

/// An application error in the product's format.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiError")]
pub(crate) struct ErrorBody {
    /// HTTP status as a string.
    error_code: String,
    /// Code of the application; mostly empty.
    app_error_code: &'static str,
    /// Error message.
    error_message: String,
    /// Identifier of the existing object, when a name is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// The message of an answer about an object that does not exist, for operations that have another status for it.
#[derive(Clone, Debug)]
pub(crate) struct Gone(pub(crate) String);

/// A token error in the product's format.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OAuthError {
    /// Error code, such as `invalid_token` or `unauthorized`.
    error: String,
    /// Error message.
    error_description: String,
}

impl ApiError {
    /// Refuses a text with more characters than a field may have.
    pub(crate) fn unless_short(field: &str, text: &str, most: usize) -> Result<(), Self> {
        match text.chars().count() <= most {
            true => Ok(()),
            false => Err(Self::Invalid(format!("The field {field} must have at most {most} characters."))),
        }
    }

    /// HTTP status of the error.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Credentials | Self::NoEvent(_) => StatusCode::BAD_REQUEST,
            Self::Grant { error, .. } if error != "invalid_client" => StatusCode::BAD_REQUEST,
            Self::Token { .. } | Self::Grant { .. } => StatusCode::UNAUTHORIZED,
            Self::Gone { .. } => StatusCode::GONE,
            Self::Taken { .. } => StatusCode::CONFLICT,
            Self::Assumed { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NoPath => StatusCode::NOT_FOUND,
            Self::Rejected => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::LogIn(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotServed => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// The error for an object that does not exist.
    #[expect(clippy::needless_pass_by_value, reason = "it is an identifier, and written at once")]
    pub(crate) fn gone(kind: &'static str, id: impl ToString) -> Self {
        Self::Gone { kind, id: id.to_string() }
    }

    /// An error with an assumed status.
    pub(crate) fn assumed(status: u16, words: impl Into<String>) -> Self {
        Self::Assumed { status, words: words.into() }
    }

    /// The same message with an assumed status.
    pub(crate) fn with(self, status: u16) -> Self {
        Self::assumed(status, self.to_string())
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let words = sentence(&error);
        match error {
            CommandError::NameTaken { .. } => Self::Taken { words, id: None },
            // As clients are answered without the database (F32). The words say no more: they may name machines.
            CommandError::NoDatabase { .. } => Self::assumed(500, "The database is not available."),
            _ => Self::Invalid(words),
        }
    }
}

/// Why a command is refused, as a sentence of the product: names are not in quotes.
fn sentence(error: &CommandError) -> String {
    match error {
        CommandError::Unknown { kind, name, .. } => format!("The {kind} {name} does not exist."),
        CommandError::NameTaken { kind, name } => format!("The {kind} {name} already exists."),
        CommandError::DefaultList { list } => {
            format!("The default list {list} cannot be changed or removed.")
        }
        CommandError::Inherits { group, from } => {
            format!("The group {group} inherits its settings from {from}. Change them there.")
        }
        CommandError::TopGroup { group } => format!("The group {group} has no parent group to inherit from."),
        CommandError::Fixed { kind, name } => format!("The {kind} {name} cannot be renamed or removed."),
        CommandError::NotEmpty { group, holds } => format!("The group {group} is not empty: it has {holds}."),
        CommandError::ListInUse { list, by } => format!("The list {list} is in use by {by}."),
        CommandError::Invalid { field, found, expected } => {
            format!("The {field} is invalid: {found}. Expected {}.", expected.replace('"', ""))
        }
        CommandError::NoPort { list, manager, protocol } => {
            format!("The list {list} uses {protocol}, and the manager {manager} has no {protocol} port.")
        }
        other => {
            let text = other.to_string();
            let mut letters = text.chars();
            letters.next().map_or_else(String::new, |first| {
                format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.'))
            })
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::NoPath | Self::Rejected => {
                let html = HeaderValue::from_static("text/html;charset=utf-8");
                let page = if status == StatusCode::NOT_FOUND { TOMCAT_404 } else { TOMCAT_500 };
                (status, [(header::CONTENT_TYPE, html)], page).into_response()
            }
            Self::Token { error, description } | Self::Grant { error, description } => {
                let mut response = json(status, &OAuthError { error, error_description: description });
                if status == StatusCode::UNAUTHORIZED {
                    let realm = HeaderValue::from_static("Bearer realm=\"sepm\"");
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
                }
                response
            }
            other => {
                let gone = matches!(other, Self::Gone { .. }).then(|| Gone(other.to_string()));
                let error_code = status.as_u16().to_string();
                let app_error_code = if matches!(other, Self::NoEvent(_)) { "4104" } else { "" };
                let error_message = other.to_string();
                let id = if let Self::Taken { id, .. } = other { id } else { None };
                let mut response = json(status, &ErrorBody { error_code, app_error_code, error_message, id });
                if let Some(gone) = gone {
                    response.extensions_mut().insert(gone);
                }
                response
            }
        }
    }
}

impl OperationOutput for ApiError {
    type Inner = ();

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let token = described::<OAuthError>(ctx, "The token is missing or not valid.");
        let error = described::<ErrorBody>(ctx, "The request is invalid or refused.");
        let errors = [400, 408, 409, 410, 413, 429].map(|status| (Some(status), error.clone()));
        errors.into_iter().chain([(Some(401), token)]).collect()
    }
}

/// Tomcat's error page for a failure, shortened.
const TOMCAT_500: &str = "<!doctype html><html lang=\"en\"><head><title>HTTP Status 500 – Internal Server Error</title></head>\
<body><h1>HTTP Status 500 – Internal Server Error</h1><hr class=\"line\" /><p><b>Type</b> Exception Report</p>\
<p><b>Message</b> The request was rejected because the URL contained a potentially malicious String &quot;&#47;&#47;&quot;</p>\
<hr class=\"line\" /><h3>Apache Tomcat</h3></body></html>";

/// Tomcat's error page, shortened.
const TOMCAT_404: &str = "<!doctype html><html lang=\"en\"><head><title>HTTP Status 404 – Not Found</title></head>\
<body><h1>HTTP Status 404 – Not Found</h1><hr class=\"line\" /><p><b>Type</b> Status Report</p>\
<p><b>Description</b> The origin server did not find a current representation for the target resource or is not \
willing to disclose that one exists.</p><hr class=\"line\" /><h3>Apache Tomcat</h3></body></html>";
