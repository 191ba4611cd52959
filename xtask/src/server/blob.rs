//! Files to and from the server: what comes is hashed, what goes follows from the request. Nothing is kept.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde::Deserialize;

use crate::blob::{Blob, Hash};

#[derive(Deserialize)]
pub(super) struct Ask {
    bytes: u64,
    #[serde(default)]
    seed: u64,
}

pub(super) async fn download(Query(Ask { bytes, seed }): Query<Ask>) -> impl IntoResponse {
    let chunks = Blob::new(bytes, seed).map(Ok::<_, Infallible>);
    ([(header::CONTENT_LENGTH, bytes)], Body::from_stream(stream::iter(chunks)))
}

/// Answers with the SHA-256 of the body.
pub(super) async fn upload(mut body: Body) -> Result<String, (StatusCode, String)> {
    let mut hash = Hash::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (StatusCode::BAD_REQUEST, format!("body cut short: {error}\n")))?;
        if let Some(data) = frame.data_ref() {
            hash.update(data);
        }
    }
    Ok(hash.finish())
}
