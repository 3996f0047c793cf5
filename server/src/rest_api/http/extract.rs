//! Extractors of handlers: path, query, body and caller.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, ReferenceOr, RequestBody, SchemaObject};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use epm_protocol::id::Guid;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::rest_api::auth::tokens::Session;
use crate::rest_api::http::error::ApiError;
use crate::rest_api::http::{json_de, query_de};

/// Maximum size of a body in bytes.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// Longest time for receiving a body, in real time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Path parameters.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

/// Query parameters. Unknown ones are ignored.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// A JSON body, whatever its content type.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A body of any kind; empty if there is none.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

/// An optional body: JSON or a form, described by the type.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) Bytes, pub(crate) PhantomData<T>);

/// An XML body, whatever its content type.
#[derive(Debug)]
pub(crate) struct XmlBody(pub(crate) Bytes);

/// The session of the caller.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Arc<Session>);

/// An identifier: 32 hexadecimal digits, case-insensitive, written in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub(crate) struct Id(pub(crate) Guid);

/// A location: its identifier, or `default` for the group's default location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocationKey {
    /// The default location.
    Default,
    /// The location with this identifier.
    Id(Guid),
}

/// Path parameter for a group.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupPath {
    /// Identifier of the group.
    pub(crate) group_id: Id,
}

/// Path parameters for a location of a group.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocationPath {
    /// Identifier of the group.
    pub(crate) group_id: Id,
    /// Identifier of the location, or `default`.
    pub(crate) location_id: LocationKey,
}

/// Path parameter for an object.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(crate) struct IdPath {
    /// Identifier of the object.
    pub(crate) id: Id,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Guid::from_str(text.trim()).map(Self).map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            serde::de::Error::custom(format!("The id {shown} is invalid; expected 32 hexadecimal digits."))
        })
    }
}

impl JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f]{32}$" })
    }
}

impl<'de> Deserialize<'de> for LocationKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.eq_ignore_ascii_case("default") {
            return Ok(Self::Default);
        }
        Id::deserialize(serde::de::value::StringDeserializer::new(text)).map(|id| Self::Id(id.0))
    }
}

impl JsonSchema for LocationKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LocationKey".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^([0-9A-Fa-f]{32}|default)$" })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|error| ApiError::Invalid(error.to_string()))?;
        let pairs = raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        query_de::read(pairs).map(Self).map_err(|error| ApiError::Invalid(error.to_string()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned();
        query_de::read(pairs).map(Self).map_err(|error| ApiError::Invalid(error.to_string()))
    }
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_body(request.into_body(), MAX_BODY).await.map(Self)
    }
}

impl<S: Send + Sync, T> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_body(request.into_body(), MAX_BODY).await.map(|body| Self(body, PhantomData))
    }
}

impl<S: Send + Sync> FromRequest<S> for XmlBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        read_body(request.into_body(), MAX_BODY).await.map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = read_body(request.into_body(), MAX_BODY).await?;
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
        json_de::read(body).map(Self).map_err(|error| ApiError::Invalid(error.to_string()))
    }
}

/// Reads a body of at most `most` bytes.
pub(crate) async fn read_body(body: Body, most: usize) -> Result<Bytes, ApiError> {
    match timeout(PATIENCE, to_bytes(body, most)).await {
        Err(_) => Err(ApiError::Stalled),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let error = error.into_inner();
            if error.is::<http_body_util::LengthLimitError>() {
                return Err(ApiError::TooLarge { most });
            }
            Err(ApiError::Invalid("The body is incomplete.".to_owned()))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get()
            .cloned()
            .map(Self)
            .ok_or_else(|| crate::rest_api::auth::tokens::none("unauthorized"))
    }
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        parameters::<T>(ctx, operation, ParamLocation::Path);
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        parameters::<T>(ctx, operation, ParamLocation::Query);
    }
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_body::<T>(ctx, operation, &["application/json"], true);
    }
}

impl<T: JsonSchema> OperationInput for OptionalJsonBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_body::<T>(ctx, operation, &["application/json", "application/x-www-form-urlencoded"], false);
    }
}

impl OperationInput for XmlBody {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        describe_body::<String>(ctx, operation, &["application/xml", "application/json"], true);
    }
}

/// Describes a body that may have any of these content types.
fn describe_body<T: JsonSchema>(
    ctx: &mut GenContext,
    operation: &mut Operation,
    kinds: &[&str],
    required: bool,
) {
    let json_schema = ctx.schema.subschema_for::<T>();
    let schema = Some(SchemaObject { json_schema, example: None, external_docs: None });
    let media = MediaType { schema, ..MediaType::default() };
    let content = kinds.iter().map(|kind| ((*kind).to_owned(), media.clone())).collect();
    set_body(ctx, operation, RequestBody { content, required, ..RequestBody::default() });
}

impl OperationInput for RawBody {}
impl OperationInput for Caller {}

fn parameters<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation, location: ParamLocation) {
    let schema = ctx.schema.subschema_for::<T>();
    let mut parameters = parameters_from_schema(ctx, schema, location);
    // OpenAPI describes a list as a repeatable parameter.
    parameters.retain(|one| {
        let name = &one.parameter_data_ref().name;
        !operation.parameters.iter().any(
            |known| matches!(known, ReferenceOr::Item(known) if known.parameter_data_ref().name == *name),
        )
    });
    add_parameters(ctx, operation, parameters);
}
