//! The HTTP side of the stand-in server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::history::{Job, unix_ms};
use super::{Service, blob};

type Shared = State<Arc<Service>>;
type Reply = Result<Response, (StatusCode, String)>;

pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/whoami", get(whoami))
        .route("/transcribe", post(transcribe))
        .route("/echo", post(echo))
        .route("/blob", get(blob::download).put(blob::upload).post(blob::upload))
        .route("/history", get(history))
        .with_state(service)
}

async fn health(State(service): Shared) -> (StatusCode, Json<Value>) {
    if service.loaded.load(Ordering::Acquire) {
        (StatusCode::OK, Json(json!({ "status": "ok" })))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "loading" })))
    }
}

async fn version(State(service): Shared) -> Json<Value> {
    Json(json!({ "version": service.version }))
}

async fn whoami(State(service): Shared) -> String {
    service.name.clone()
}

/// Sends the body back as it comes, so that large transfers can be compared byte by byte, both ways at once.
async fn echo(body: Body) -> Body {
    body
}

#[derive(Deserialize)]
struct Transcribe {
    #[serde(default)]
    seconds: f64,
}

async fn transcribe(State(service): Shared, Query(ask): Query<Transcribe>, body: Body) -> Reply {
    let time = Duration::try_from_secs_f64(ask.seconds)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("seconds={}: {error}\n", ask.seconds)))?;
    if !service.loaded.load(Ordering::Acquire) {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "the model is loading\n".to_owned()));
    }
    let bytes =
        drain(body).await.map_err(|error| (StatusCode::BAD_REQUEST, format!("body cut short: {error}\n")))?;
    // A task of its own: a job goes on, and into the history, also when whoever asked for it hangs up.
    let job = tokio::spawn(async move {
        tokio::time::sleep(time).await;
        let job = service.job(bytes, ask.seconds);
        service.history.append(&job).map(|()| job)
    });
    match job.await {
        Ok(Ok(job)) => {
            Ok(Json(json!({ "id": job.id, "text": job.text, "backend": job.backend })).into_response())
        }
        Ok(Err(error)) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("history: {error}\n"))),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("job: {error}\n"))),
    }
}

async fn history(State(service): Shared) -> Reply {
    let jobs = service.history.read();
    let jobs = jobs.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("history: {error}\n")))?;
    Ok(Json(jobs).into_response())
}

/// Reads the body to its end without keeping it: recordings are large.
async fn drain(mut body: Body) -> Result<u64, axum::Error> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}

impl Service {
    fn job(&self, bytes: u64, seconds: f64) -> Job {
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        Job {
            id: format!("{}-{}-{number}", self.name, self.run),
            text: format!("{bytes} bytes of speech, heard by {}", self.name),
            backend: self.name.clone(),
            bytes,
            seconds,
            finished_ms: unix_ms(),
        }
    }
}
