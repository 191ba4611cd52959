//! What outlives the daemon: the switch word, what the maps note beside it, and the runner's records of its scripts.

use fastswitch::machine::{
    BackendId, Cause, Effect, Freeze, Launched, Position, Restored, ScriptKind, Time, TraceId,
};

/// A runner's record: the backend was started by us, and what has become of that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// Which script ran last.
    pub(crate) kind: ScriptKind,
    /// Whether it still runs.
    pub(crate) running: bool,
    /// Whether the daemon that lives now has told it to end.
    pub(crate) aborted: bool,
    pub(crate) trace: TraceId,
    /// When the start script began, by the wall clock.
    pub(crate) since: Time,
}

/// What outlives the daemon. Times are those of the wall clock.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    /// Nothing before the first birth.
    pub(crate) position: Option<Position>,
    pub(crate) cause: Cause,
    /// When the draining backend has had its time.
    pub(crate) drained_by: Time,
    pub(crate) freeze: Freeze,
    pub(crate) maintenance: Vec<bool>,
    pub(crate) records: Vec<Option<Record>>,
}

impl Memory {
    pub(crate) fn new(backends: usize) -> Self {
        Self {
            position: None,
            cause: Cause::Initial,
            drained_by: Time::default(),
            freeze: Freeze::No,
            maintenance: vec![false; backends],
            records: vec![None; backends],
        }
    }

    /// Whether a timed freeze has not ended yet.
    pub(crate) fn is_frozen(&self, now: Time) -> bool {
        match self.freeze {
            Freeze::No => false,
            Freeze::Until(until) => now < until,
            Freeze::Indefinitely => true,
        }
    }

    /// The script of a backend that runs now.
    pub(crate) fn script(&self, id: BackendId) -> Option<ScriptKind> {
        self.records[id.0].filter(|record| record.running).map(|record| record.kind)
    }

    /// Does what the driver and the runner do with an effect.
    ///
    /// # Errors
    /// The effect makes no sense: two scripts of one backend at once, a stop of what was never started.
    pub(crate) fn carry_out(&mut self, effect: &Effect, now: Time) -> Result<(), String> {
        match *effect {
            Effect::Store(position) => self.position = Some(position),
            Effect::NoteCause(cause) => self.cause = cause,
            Effect::NoteDrain(drain) => self.drained_by = now + drain,
            Effect::Start { backend, trace, .. } => {
                self.must_be_idle(backend)?;
                self.records[backend.0] = Some(Record {
                    kind: ScriptKind::Start,
                    running: true,
                    aborted: false,
                    trace,
                    since: now,
                });
            }
            Effect::Stop { backend, trace, .. } => {
                self.must_be_idle(backend)?;
                let record = self.records[backend.0].as_mut().ok_or("a stop of what was never started")?;
                if record.trace != trace {
                    return Err("a stop with another trace id than its start".to_owned());
                }
                (record.kind, record.running) = (ScriptKind::Stop, true);
            }
            Effect::Abort { backend } => match &mut self.records[backend.0] {
                Some(Record { kind: ScriptKind::Start, running: true, aborted: aborted @ false, .. }) => {
                    *aborted = true;
                }
                _ => return Err("an abort of no running start, or a second one".to_owned()),
            },
            Effect::Forget { backend } => {
                self.must_be_idle(backend)?;
                self.records[backend.0] = None;
            }
            Effect::Event { .. } => {}
        }
        Ok(())
    }

    /// A daemon ends. The next one does not know which scripts it told to end, and may tell them once more.
    pub(crate) fn daemon_ended(&mut self) {
        for record in self.records.iter_mut().flatten() {
            record.aborted = false;
        }
    }

    /// A script has ended.
    pub(crate) fn script_ended(&mut self, id: BackendId) {
        if let Some(record) = &mut self.records[id.0] {
            record.running = false;
        }
    }

    /// What a daemon that is born at `now` finds; its own time begins then.
    pub(crate) fn restored(&self, now: Time) -> Restored {
        let launched = |record: &Option<Record>| {
            record.map(|Record { kind, running, trace, since, .. }| match kind {
                ScriptKind::Start => Launched::Started { age: now.since(since), trace, script_runs: running },
                ScriptKind::Stop => Launched::Stopping { trace, script_runs: running },
            })
        };
        Restored {
            position: self.position,
            cause: self.cause,
            drained_by: Time(self.drained_by.since(now)),
            freeze: match self.freeze {
                Freeze::Until(until) => Freeze::Until(Time(until.since(now))),
                other => other,
            },
            maintenance: self.maintenance.clone(),
            launched: self.records.iter().map(launched).collect(),
        }
    }

    fn must_be_idle(&self, id: BackendId) -> Result<(), String> {
        match self.script(id) {
            Some(kind) => Err(format!("the {} script of backend {} still runs", kind.name(), id.0)),
            None => Ok(()),
        }
    }
}
