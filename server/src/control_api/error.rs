//! Errors of the control API: RFC 9457, with stable codes.

use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse};
use aide::operation::OperationOutput;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use epm_protocol::assume::AssumeError;
use epm_protocol::fault::FaultError;
use epm_protocol::name::InvalidName;
use epm_protocol::site::CommandError;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::{
    AssumptionsRefused, BaselineError, FleetError, ReportError, SnapshotError, TimeError, UpdateDiffers,
};
use crate::runtime::following::FaultNotSet;

/// An error. Nothing has changed, unless the detail says otherwise.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// URI that identifies the kind of the error.
    r#type: String,
    /// Short description of the status.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Code of the error, stable across releases.
    code: &'static str,
    /// Description of this error.
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        let kind = format!("urn:epm-lab:problem:{code}");
        Self { r#type: kind, title, status: status.as_u16(), code, detail: detail.into() }
    }

    /// Code of the error.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown", detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }
}

impl Problem {
    /// The response depends on dropped data.
    pub(crate) fn dropped(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, DROPPED, detail)
    }
}

/// Code of a request that cannot be answered because the data it needs was dropped.
pub(crate) const DROPPED: &str = "dropped";

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl OperationOutput for Problem {
    type Inner = Self;

    fn operation_response(context: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        let schema = context.schema.subschema_for::<Self>();
        let media = MediaType {
            schema: Some(aide::openapi::SchemaObject {
                json_schema: schema,
                external_docs: None,
                example: None,
            }),
            ..MediaType::default()
        };
        Some(ApiResponse {
            description: "The request failed. It changed nothing unless `detail` says otherwise.".to_owned(),
            content: [("application/problem+json".to_owned(), media)].into_iter().collect(),
            ..ApiResponse::default()
        })
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(context, operation).into_iter().map(|one| (None, one)).collect()
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        use StatusCode as Status;
        let (status, code) = match &error {
            CommandError::Unknown { .. } => (Status::NOT_FOUND, "unknown"),
            CommandError::NameTaken { .. } => (Status::CONFLICT, "name-taken"),
            CommandError::DefaultList { .. } => (Status::CONFLICT, "default-list"),
            CommandError::NotWritten { .. } | CommandError::NotStored { .. } => {
                (Status::INSUFFICIENT_STORAGE, "not-written")
            }
            CommandError::NoDatabase { .. } => (Status::SERVICE_UNAVAILABLE, "no-database"),
            CommandError::Descriptors { .. } => (Status::UNPROCESSABLE_ENTITY, "too-many"),
            CommandError::SeveralProcesses { .. } => (Status::CONFLICT, "several-processes"),
            CommandError::Inherits { .. } => (Status::CONFLICT, "inherits"),
            CommandError::TopGroup { .. } => (Status::CONFLICT, "top-group"),
            CommandError::ListInUse { .. } => (Status::CONFLICT, "list-in-use"),
            CommandError::NoPort { .. } => (Status::UNPROCESSABLE_ENTITY, "no-port"),
            CommandError::Keystore(_) => (Status::UNPROCESSABLE_ENTITY, "keystore"),
            CommandError::Issue(_) => (Status::UNPROCESSABLE_ENTITY, "issue"),
            _ => (Status::UNPROCESSABLE_ENTITY, "invalid"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<UpdateDiffers> for Problem {
    fn from(error: UpdateDiffers) -> Self {
        Self::new(StatusCode::CONFLICT, "differs", error.to_string())
    }
}

impl From<AssumeError> for Problem {
    fn from(error: AssumeError) -> Self {
        match error {
            AssumeError::Unknown { .. } => Self::unknown(error.to_string()),
            AssumeError::Value { .. } => Self::invalid(error.to_string()),
        }
    }
}

impl From<AssumptionsRefused> for Problem {
    fn from(error: AssumptionsRefused) -> Self {
        match error {
            AssumptionsRefused::Value(error) => error.into(),
            AssumptionsRefused::NotStored(error) => error.into(),
        }
    }
}

impl From<FaultNotSet> for Problem {
    fn from(error: FaultNotSet) -> Self {
        match error {
            FaultNotSet::Rule(error) => error.into(),
            FaultNotSet::Shared(error) => error.into(),
        }
    }
}

impl From<FaultError> for Problem {
    fn from(error: FaultError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "fault", error.to_string())
    }
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Self {
        let (status, code) = match error {
            FleetError::Command(error) => return error.into(),
            FleetError::Name(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            FleetError::TooMany(_) => (StatusCode::UNPROCESSABLE_ENTITY, "too-many"),
            FleetError::Differs { .. } => (StatusCode::CONFLICT, "differs"),
            FleetError::NotHere => (StatusCode::GATEWAY_TIMEOUT, "not-here"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        let (status, code) = match error {
            ReportError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            ReportError::Replaced { .. } => (StatusCode::CONFLICT, "replaced"),
            ReportError::TooMany { .. } => (StatusCode::CONFLICT, "too-many"),
            ReportError::Unknown { .. } => (StatusCode::NOT_FOUND, "unknown"),
            ReportError::NotStored(error) => return error.into(),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        let (status, code) = match error {
            SnapshotError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
            SnapshotError::TooMany => (StatusCode::CONFLICT, "too-many"),
            SnapshotError::Taken { .. } | SnapshotError::OfStart => (StatusCode::CONFLICT, "name-taken"),
            SnapshotError::Name(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            SnapshotError::Refused(error) => return error.into(),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<BaselineError> for Problem {
    fn from(error: BaselineError) -> Self {
        let (status, code) = match error {
            BaselineError::Unknown { .. } => (StatusCode::NOT_FOUND, "unknown"),
            BaselineError::NotInIt { .. } | BaselineError::NothingRotates | BaselineError::Name(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
            }
            BaselineError::OfStart => (StatusCode::CONFLICT, "name-taken"),
            BaselineError::TooMany => (StatusCode::CONFLICT, "too-many"),
            BaselineError::NotStored(error) => return error.into(),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<TimeError> for Problem {
    fn from(error: TimeError) -> Self {
        let code = match error {
            TimeError::Restless { .. } => "restless",
            TimeError::Waited { .. } => "waited",
            TimeError::Unreported { .. } => "unreported",
            TimeError::Installation(error) => return error.into(),
        };
        Self::new(StatusCode::GATEWAY_TIMEOUT, code, error.to_string())
    }
}
