//! Requests and responses: paths, queries and bodies, with errors as problems, and the formats of responses.

use std::convert::Infallible;
use std::sync::Arc;

use aide::OperationInput;
use aide::axum::ApiRouter;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse};
use aide::operation::OperationOutput;
use aide::transform::TransformOperation as Described;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAliveStream, Sse};
use axum::response::{IntoResponse, Response};
use epm_protocol::plain::plain;
use futures_util::stream::Stream;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub(super) use crate::control_api::error::Problem;
use crate::lab::Lab;
use crate::unique_keys;
use crate::wire::PATIENCE;

/// The state of every handler.
pub(super) type LabState = State<Arc<Lab>>;
/// A JSON response, described by its type.
pub(super) type Answer<T> = Result<Json<T>, Problem>;
pub(super) type Routes = ApiRouter<Arc<Lab>>;

/// The origin at which the request found the lab, and with it its page. The guard has checked the host.
pub(super) fn origin(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8015");
    format!("http://{host}")
}

/// Describes an operation by its identifier and a summary.
pub(super) fn doc(id: &'static str, summary: &'static str) -> impl Fn(Described<'_>) -> Described<'_> {
    move |operation| operation.id(id).summary(summary)
}

/// Format of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// JSON.
    #[default]
    Json,
    /// JSON lines, one per entry; for the journal only.
    Ndjson,
    /// HTTP archive; for the journal only.
    Har,
    /// JUnit XML; for expectations only.
    Junit,
}

impl Format {
    /// The error for a format that the operation does not have.
    pub(crate) fn refused(self) -> Problem {
        Problem::invalid(format!("format: {self:?} is not available for this operation"))
    }
}

/// A response in JSON or in another format.
pub(crate) enum Written<T> {
    /// JSON.
    Json(T),
    /// The other format.
    Other(String),
}

/// A type with another format than JSON.
pub(crate) trait OtherForm {
    /// Media type of the other format.
    const MEDIA_TYPE: &'static str;
}

/// A file as a response, of kind `K`.
pub(crate) struct Download<K>(pub(crate) Vec<u8>, pub(crate) K);

/// The kind of a downloaded file.
pub(crate) trait Kind {
    /// Media type of the file.
    const MEDIA_TYPE: &'static str;
}

/// An XML file.
pub(crate) struct Xml;
/// A capture of traffic.
pub(crate) struct Pcapng;
/// A ZIP archive.
pub(crate) struct Zip;

impl Kind for Xml {
    const MEDIA_TYPE: &'static str = "application/xml";
}

impl Kind for Pcapng {
    const MEDIA_TYPE: &'static str = "application/x-pcapng";
}

impl Kind for Zip {
    const MEDIA_TYPE: &'static str = "application/zip";
}

impl<T: Serialize + OtherForm> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Json(answer) => Json(answer).into_response(),
            Self::Other(text) => ([(header::CONTENT_TYPE, T::MEDIA_TYPE)], text).into_response(),
        }
    }
}

impl<T: JsonSchema + OtherForm> OperationOutput for Written<T> {
    type Inner = T;

    fn operation_response(context: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        let mut response = Json::<T>::operation_response(context, operation)?;
        response.content.insert(T::MEDIA_TYPE.to_owned(), MediaType::default());
        Some(response)
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(context, operation).into_iter().map(|one| (Some(200), one)).collect()
    }
}

/// A stream of server-sent events.
pub(crate) struct Events<S>(pub(crate) Sse<KeepAliveStream<S>>);

impl<S> IntoResponse for Events<S>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl<S> OperationOutput for Events<S> {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        Some(of_type(
            "Server-sent events with a journal entry as JSON in the data of each.",
            "text/event-stream",
        ))
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(context, operation).into_iter().map(|one| (Some(200), one)).collect()
    }
}

/// A response of this media type without a schema.
fn of_type(description: &str, media_type: &str) -> ApiResponse {
    ApiResponse {
        description: description.to_owned(),
        content: [(media_type.to_owned(), MediaType::default())].into_iter().collect(),
        ..ApiResponse::default()
    }
}

impl<K: Kind> IntoResponse for Download<K> {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, K::MEDIA_TYPE)], self.0).into_response()
    }
}

impl<K: Kind> OperationOutput for Download<K> {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        Some(of_type("The requested file.", K::MEDIA_TYPE))
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(context, operation).into_iter().map(|one| (Some(200), one)).collect()
    }
}

/// A request body: a file of any kind.
pub(crate) struct File(pub(crate) Bytes);
/// A request body: JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);
/// Path parameters.
pub(crate) struct Path<T>(pub(crate) T);
/// Query parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let File(body) = File::from_request(Request::from_parts(parts.clone(), body), state).await?;
        let read = Json::<T>::from_request(Request::from_parts(parts, body.clone().into()), state).await;
        match read {
            // The type finds duplicate keys of its own fields, and not those of maps and of values without a type.
            Ok(Json(read)) => match unique_keys::check(&body) {
                Ok(()) => Ok(Self(read)),
                Err(error) => Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "malformed",
                    format!("the body: {error}"),
                )),
            },
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "no-json",
                "expected a JSON body with `content-type: application/json`",
            )),
            Err(error) => Err(Problem::new(error.status(), "malformed", shortened(&error.body_text()))),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for File {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = timeout(PATIENCE, Bytes::from_request(request, state)).await.map_err(|_| slow())?;
        let refused = |error: BytesRejection| {
            let code =
                if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "too-large" } else { "malformed" };
            Problem::new(error.status(), code, error.body_text())
        };
        read.map(Self).map_err(refused)
    }
}

/// Shortens the library's messages, and takes Rust's types out of them.
fn shortened(words: &str) -> String {
    let own = [
        ("Failed to deserialize the JSON body into the target type: ", "the body: "),
        ("Failed to parse the request body as JSON: ", "the body is not JSON: "),
        ("Failed to deserialize query string: ", "the query: "),
    ];
    let found = own.iter().find_map(|(said, meant)| Some(format!("{meant}{}", words.strip_prefix(said)?)));
    plain(&found.unwrap_or_else(|| words.to_owned()))
}

/// The error for a body that arrives too slowly.
fn slow() -> Problem {
    let detail = format!("timed out after {} s waiting for the body", PATIENCE.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "slow", detail)
}

impl OperationInput for File {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        Bytes::operation_input(context, operation);
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found: Result<axum::extract::Path<T>, PathRejection> =
            axum::extract::Path::from_request_parts(parts, state).await;
        let refused = |error: PathRejection| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", shortened(&error.body_text()))
        };
        found.map(|part| Self(part.0)).map_err(refused)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        let refused = |error: QueryRejection| {
            Problem::new(StatusCode::BAD_REQUEST, "malformed", shortened(&error.body_text()))
        };
        found.map(|fields| Self(fields.0)).map_err(refused)
    }
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        Json::<T>::operation_input(context, operation);
    }
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        axum::extract::Path::<T>::operation_input(context, operation);
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(context: &mut GenContext, operation: &mut Operation) {
        axum::extract::Query::<T>::operation_input(context, operation);
    }
}
