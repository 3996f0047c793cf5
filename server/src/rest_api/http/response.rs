//! Responses: a value, a created object, an empty string, or nothing.
//!
//! JSON is compact, because some clients parse it with regular expressions. An empty body never has the content type
//! of JSON.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// 200 with a value.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

/// 201 with the created object.
#[derive(Debug)]
pub(crate) struct Created<T>(pub(crate) T);

/// One value per requested item, with an assumed status: 207.
#[derive(Debug)]
pub(crate) struct Several<T> {
    /// HTTP status.
    pub(crate) status: u16,
    /// Value for each item.
    pub(crate) items: Vec<T>,
}

/// 200 with the JSON string `""`, the product's response without content.
#[derive(Debug)]
pub(crate) struct Blank;

/// 200 with the bytes of a file.
#[derive(Debug)]
pub(crate) struct File(pub(crate) Vec<u8>);

/// 204 without a body.
#[derive(Debug)]
pub(crate) struct NoContent;

/// A value as a JSON response.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, JSON)], Body::from(body)).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot serialise a response as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Describes a value in the OpenAPI document.
pub(crate) fn described<T: JsonSchema>(ctx: &mut GenContext, words: &str) -> ApiResponse {
    let json_schema = ctx.schema.subschema_for::<T>();
    let schema = Some(SchemaObject { json_schema, example: None, external_docs: None });
    let media = MediaType { schema, ..MediaType::default() };
    ApiResponse {
        description: words.to_owned(),
        content: [("application/json".to_owned(), media)].into_iter().collect(),
        ..ApiResponse::default()
    }
}

const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        json(StatusCode::CREATED, &self.0)
    }
}

impl<T: Serialize> IntoResponse for Several<T> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::MULTI_STATUS);
        json(status, &self.items)
    }
}

impl IntoResponse for Blank {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &"")
    }
}

impl IntoResponse for File {
    fn into_response(self) -> Response {
        (StatusCode::OK, [(header::CONTENT_TYPE, BINARY)], Body::from(self.0)).into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

macro_rules! describes {
    ($($reply:ident<$($inner:ident)?>, $holds:ty, $status:literal;)*) => {$(
        impl<$($inner: JsonSchema)?> OperationOutput for $reply<$($inner)?> {
            type Inner = $holds;

            fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
                Some(described::<$holds>(ctx, "Success."))
            }

            fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
                vec![(Some($status), described::<$holds>(ctx, "Success."))]
            }
        }
    )*};
}

describes! {
    Json<T>, T, 200;
    Created<T>, T, 201;
    Several<T>, Vec<T>, 207;
}

impl OperationOutput for Blank {
    type Inner = String;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(Some(200), described::<String>(ctx, "Success, with an empty string."))]
    }
}

impl OperationOutput for File {
    type Inner = ();

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let content = [("application/octet-stream".to_owned(), MediaType::default())].into_iter().collect();
        let description = "The bytes of the file.".to_owned();
        vec![(Some(200), ApiResponse { description, content, ..ApiResponse::default() })]
    }
}

impl OperationOutput for NoContent {
    type Inner = ();

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(
            Some(204),
            ApiResponse { description: "Success, without content.".to_owned(), ..ApiResponse::default() },
        )]
    }
}
