//! stub
#![allow(missing_docs)]
use crate::machine::{spec::*, *};
pub struct Job {
    pub service: ServiceId,
    pub backend: BackendId,
    pub service_name: String,
    pub backend_name: String,
    pub address: std::net::SocketAddrV4,
    pub kind: ScriptKind,
    pub script: Script,
    pub reason: String,
    pub trace: TraceId,
}
pub struct Finished {
    pub service: ServiceId,
    pub backend: BackendId,
    pub kind: ScriptKind,
    pub trace: TraceId,
    pub outcome: Result<(), String>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct RunnerError;
pub enum RecordState {
    Starting,
    Started,
    Stopping,
}
pub struct Recovered {
    pub service: ServiceId,
    pub backend: BackendId,
    pub state: RecordState,
    pub trace: TraceId,
    pub since: std::time::SystemTime,
    pub running: bool,
}
pub struct Runner;
impl Runner {
    pub fn open(
        _: &std::path::Path,
        _: tokio::sync::mpsc::UnboundedSender<Finished>,
    ) -> Result<Self, RunnerError> {
        Ok(Self)
    }
    pub fn run(&mut self, _: Job) {}
    pub fn abort(&mut self, _: ServiceId, _: BackendId) {}
    pub fn forget(&mut self, _: &str, _: &str) {}
    pub fn recover(&mut self, _: &Spec) -> Vec<Recovered> {
        vec![]
    }
}
