//! Why a request is refused, and the three shapes in which the product says so. One place chooses the status.

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
    /// A part of the path, a field of the query or the body is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// User and password do not fit. The product says 400 and not 401.
    #[error("The user name, the password or the domain is not correct.")]
    Credentials,
    /// No token, or none that is in force.
    #[error("{description}")]
    Token {
        /// What is wrong with it: `invalid_token`, or what is assumed where there is none.
        error: String,
        /// In words.
        description: String,
    },
    /// The refusal of a token request, in the form of OAuth.
    #[error("{description}")]
    Grant {
        /// `invalid_request`, `invalid_grant` or `invalid_client`.
        error: String,
        /// In words.
        description: String,
    },
    /// There is no such object. The words `do not exist` are what a client looks for.
    #[error("The {kind} {id} do not exist.")]
    Gone {
        /// What it would be, in the plural: `groups`.
        kind: &'static str,
        /// Its identifier.
        id: String,
    },
    /// There is no such event, which the product says with a code of its own, and in words that a client looks for [R].
    #[error("Failed to update the event {0}.")]
    NoEvent(String),
    /// There is something of that name.
    #[error("{words}")]
    Taken {
        /// What is wrong.
        words: String,
        /// Which: a client goes on with what is there.
        id: Option<String>,
    },
    /// What nobody documents: the status is assumed.
    #[error("{words}")]
    Assumed {
        /// The status.
        status: u16,
        /// What is wrong.
        words: String,
    },
    /// Nobody has this path.
    #[error("there is nothing at this path")]
    NoPath,
    /// The body did not come in time.
    #[error("The body did not come in time.")]
    Stalled,
    /// The body is too large.
    #[error("The body is larger than {most} bytes.")]
    TooLarge {
        /// How large it may be.
        most: usize,
    },
    /// More calls than are allowed.
    #[error("More than {calls} calls in {minutes} minutes. Wait, and try again.")]
    Throttled {
        /// How many are allowed.
        calls: usize,
        /// In how many minutes.
        minutes: u64,
    },
    /// Nobody can log in: the console's key is too long.
    #[error("{0}.")]
    LogIn(ConsoleTrouble),
    /// The product has it, and the lab does not.
    #[error("This mock does not serve this operation.")]
    NotServed,
}

/// The body of an application's error, in the product's form.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiError")]
pub(crate) struct ErrorBody {
    /// The status, as text.
    error_code: String,
    /// A code of the application; empty in most cases.
    app_error_code: &'static str,
    /// What is wrong.
    error_message: String,
    /// What is there already, where a name is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// The product's error about a token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OAuthError {
    /// `invalid_token`, `unauthorized`, ..
    error: String,
    /// What is wrong.
    error_description: String,
}

impl ApiError {
    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Credentials | Self::NoEvent(_) => StatusCode::BAD_REQUEST,
            Self::Grant { error, .. } if error != "invalid_client" => StatusCode::BAD_REQUEST,
            Self::Token { .. } | Self::Grant { .. } => StatusCode::UNAUTHORIZED,
            Self::Gone { .. } => StatusCode::GONE,
            Self::Taken { .. } => StatusCode::CONFLICT,
            Self::Assumed { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NoPath => StatusCode::NOT_FOUND,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::LogIn(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotServed => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// There is no such object.
    #[expect(clippy::needless_pass_by_value, reason = "it is an identifier, and written at once")]
    pub(crate) fn gone(kind: &'static str, id: impl ToString) -> Self {
        Self::Gone { kind, id: id.to_string() }
    }

    /// A refusal with a status that is assumed.
    pub(crate) fn assumed(status: u16, words: impl Into<String>) -> Self {
        Self::Assumed { status, words: words.into() }
    }

    /// The same words, with a status that is assumed.
    pub(crate) fn with(self, status: u16) -> Self {
        Self::assumed(status, self.to_string())
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let words = error.to_string();
        match error {
            CommandError::NameTaken { .. } => Self::Taken { words, id: None },
            _ => Self::Invalid(words),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        match self {
            Self::NoPath => {
                let html = HeaderValue::from_static("text/html;charset=utf-8");
                (status, [(header::CONTENT_TYPE, html)], TOMCAT_404).into_response()
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
                let error_code = status.as_u16().to_string();
                let app_error_code = if matches!(other, Self::NoEvent(_)) { "4104" } else { "" };
                let error_message = other.to_string();
                let id = if let Self::Taken { id, .. } = other { id } else { None };
                json(status, &ErrorBody { error_code, app_error_code, error_message, id })
            }
        }
    }
}

impl OperationOutput for ApiError {
    type Inner = ();

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let token = described::<OAuthError>(ctx, "No token, or none that is in force.");
        let error = described::<ErrorBody>(ctx, "The error of an application.");
        let errors = [400, 408, 409, 410, 413, 429].map(|status| (Some(status), error.clone()));
        errors.into_iter().chain([(Some(401), token)]).collect()
    }
}

/// Tomcat's page, in short.
const TOMCAT_404: &str = "<!doctype html><html lang=\"en\"><head><title>HTTP Status 404 – Not Found</title></head>\
<body><h1>HTTP Status 404 – Not Found</h1><hr class=\"line\" /><p><b>Type</b> Status Report</p>\
<p><b>Description</b> The origin server did not find a current representation for the target resource or is not \
willing to disclose that one exists.</p><hr class=\"line\" /><h3>Apache Tomcat</h3></body></html>";
