//! A world around the machine: backends that die, flap and lose packets, scripts that work, fail and hang, operators and
//! restarts at any moment. What must come true in the end, whatever happened before.

use std::collections::BTreeMap;
use std::time::Duration;

use fastswitch::machine::spec::{Failback, Service, Tier};
use fastswitch::machine::{BackendId, Cause, Effect, Failure, Freeze, Outcome, ScriptKind, Time};

use super::chance::Chance;
use super::services::service;
use super::watch::{Input, Watched};

/// What the world comes to after its unrest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Every hot backend is well.
    HotOnesRecover,
    /// No hot backend is, but scripts work.
    OnlyColdOnesCanServe,
    /// No backend is, and no script works.
    NothingWorks,
    /// Scripts work, but what they start dies seconds after it has answered.
    ColdOnesCrash,
}

/// What happens at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Happening {
    Beat(BackendId),
    ScriptEnds(BackendId, ScriptKind, Result<(), String>),
    Boots(BackendId),
    Dies(BackendId),
    /// A backend's luck changes.
    Turn(BackendId),
    Command,
    DaemonDies,
    DaemonBegins,
}

/// A backend as it really is.
#[derive(Debug, Clone, Copy, Default)]
struct Truth {
    alive: bool,
    /// Heartbeats lost, in percent.
    loss: u64,
}

pub(crate) struct World {
    chance: Chance,
    pub(crate) watched: Watched,
    now: Time,
    agenda: BTreeMap<(Time, u64), Happening>,
    entries: u64,
    truths: Vec<Truth>,
    daemon_runs: bool,
    /// None: unrest.
    fate: Option<Fate>,
    beat: Duration,
    /// Every start: whose, when.
    pub(crate) starts: Vec<(BackendId, Time)>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let service = any_service(&mut chance);
        let truths =
            service.backends.iter().map(|backend| Truth { alive: backend.tier == Tier::Hot, loss: 0 });
        let mut world = Self {
            truths: truths.collect(),
            watched: Watched::new(service, Time::default()).0,
            chance,
            now: Time::default(),
            agenda: BTreeMap::new(),
            entries: 0,
            daemon_runs: true,
            fate: None,
            beat: Duration::from_millis(500),
            starts: Vec::new(),
        };
        for id in world.ids() {
            world.plan(Duration::ZERO, Happening::Beat(id));
            world.plan_within(20.0, Happening::Turn(id));
        }
        world.plan_within(20.0, Happening::Command);
        world.plan_within(60.0, Happening::DaemonDies);
        world
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = BackendId> + use<> {
        (0..self.truths.len()).map(BackendId)
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Whether packets of clients are answered.
    pub(crate) fn serves(&self) -> bool {
        let position = self.watched.memory.position.unwrap();
        !position.outage && position.active.is_some_and(|active| self.truths[active.0].alive)
    }

    /// What must have come true by now.
    pub(crate) fn demand(&self, what: &str, is_true: bool) {
        if !is_true {
            self.watched.fail(&format!("not come true by {:?}: {what}", self.now.0));
        }
    }

    /// Everything that chance has in store, for a while.
    pub(crate) fn unrest(&mut self, duration: Duration) {
        self.run(self.now + duration);
    }

    /// Chance ends, nobody holds automation back, and what follows is fate.
    pub(crate) fn calm(&mut self, fate: Fate) {
        self.agenda.retain(|_, happening| {
            matches!(happening, Happening::Beat(_) | Happening::ScriptEnds(..) | Happening::DaemonBegins)
        });
        self.fate = Some(fate);
        while !self.daemon_runs {
            self.step();
        }
        self.beat = Duration::from_secs(if fate == Fate::NothingWorks { 5 } else { 2 });
        for id in self.ids() {
            let is_hot = self.tier(id) == Tier::Hot;
            self.truths[id.0].loss = 0;
            self.truths[id.0].alive = is_hot && fate == Fate::HotOnesRecover;
            // A script that hangs is ended by the runner in the end.
            if self.watched.memory.script(id).is_some() {
                self.end_script(id, Err("time limit".to_owned()), Duration::from_secs(1));
            }
        }
        self.input(Input::Freeze(Freeze::No));
        for id in self.ids() {
            self.input(Input::Maintenance(id, false));
        }
        self.run(self.now + Duration::from_secs(20));
        // What was forced, and is still dead, is given up by way of maintenance.
        if let Some(active) = self.watched.memory.position.unwrap().active
            && self.watched.memory.cause == Cause::Forced
        {
            self.input(Input::Maintenance(active, true));
            self.input(Input::Maintenance(active, false));
        }
    }

    pub(crate) fn run(&mut self, until: Time) {
        while self.next() <= until {
            self.step();
        }
        self.now = self.now.max(until);
    }

    fn next(&self) -> Time {
        let planned = self.agenda.first_key_value().map_or(Time(Duration::MAX), |(&(time, _), _)| time);
        match self.watched.deadline().filter(|_| self.daemon_runs) {
            Some(due) => due.min(planned),
            None => planned,
        }
        .max(self.now)
    }

    /// The deadline or what is planned next. The daemon may be late for its deadline.
    fn step(&mut self) {
        let (now, due) = (self.next(), self.watched.deadline().filter(|_| self.daemon_runs));
        self.now = now;
        let is_due = due.is_some_and(|due| due <= now);
        let planned = self.agenda.first_key_value().map(|(&key, _)| key);
        match planned {
            Some(key) if key.0 <= now || (is_due && self.chance.percent(20)) => {
                self.now = self.now.max(key.0);
                let happening = self.agenda.remove(&key).unwrap();
                self.happen(happening);
            }
            _ => self.input(Input::Tick),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Beat(id) => {
                let jitter = Duration::from_millis(self.chance.below(40));
                self.plan(self.beat + jitter, Happening::Beat(id));
                let truth = self.truths[id.0];
                let outcome = if self.fate.is_none() && self.chance.percent(2) {
                    Outcome::Stalled
                } else if truth.alive && !self.chance.percent(truth.loss) {
                    Outcome::Success { rtt: Duration::from_micros(200) }
                } else {
                    Outcome::Failure(Failure::Timeout)
                };
                self.input(Input::Beat(id, outcome));
            }
            Happening::ScriptEnds(id, kind, outcome) => {
                if kind == ScriptKind::Stop && outcome.is_ok() {
                    self.truths[id.0].alive = false;
                    self.agenda.retain(|_, other| *other != Happening::Boots(id));
                }
                if self.daemon_runs {
                    self.input(Input::ScriptEnded(id, kind, outcome));
                } else {
                    self.watched.memory.script_ended(id);
                }
            }
            Happening::Boots(id) => {
                self.truths[id.0].alive = true;
                if self.fate == Some(Fate::ColdOnesCrash) {
                    self.plan(Duration::from_secs(12), Happening::Dies(id));
                }
            }
            Happening::Dies(id) => self.truths[id.0].alive = false,
            Happening::Turn(id) => {
                self.plan_within(20.0, Happening::Turn(id));
                let is_hot = self.tier(id) == Tier::Hot;
                let truth = &mut self.truths[id.0];
                truth.alive =
                    if is_hot { self.chance.percent(50) } else { truth.alive && self.chance.percent(70) };
                truth.loss = *self.chance.one_of(&[0, 0, 10, 40]);
            }
            Happening::Command => {
                self.plan_within(20.0, Happening::Command);
                let command = self.command();
                self.input(command);
            }
            Happening::DaemonDies => {
                self.daemon_runs = false;
                self.plan_within(5.0, Happening::DaemonBegins);
            }
            Happening::DaemonBegins => {
                self.daemon_runs = true;
                if self.fate.is_none() {
                    self.plan_within(60.0, Happening::DaemonDies);
                }
                self.input(Input::Restart);
            }
        }
    }

    fn command(&mut self) -> Input {
        let id = BackendId(usize::try_from(self.chance.below(self.truths.len() as u64)).unwrap());
        match self.chance.below(10) {
            0 => Input::Switch(id, false),
            1 => Input::Switch(id, true),
            2 => Input::Failback,
            3 => Input::Freeze(Freeze::Indefinitely),
            4 => Input::Freeze(Freeze::Until(self.now + Duration::from_secs(self.chance.below(20)))),
            5 => Input::Freeze(Freeze::No),
            6 => Input::Maintenance(id, true),
            7 => Input::Drain(id, Duration::from_secs(self.chance.below(30))),
            8 => Input::Left(self.chance.below(3), self.chance.percent(80)),
            _ => Input::Maintenance(id, false),
        }
    }

    fn input(&mut self, input: Input) {
        if !self.daemon_runs {
            return;
        }
        for effect in self.watched.input(input, self.now).effects {
            match effect {
                Effect::Start { backend, .. } => {
                    self.starts.push((backend, self.now));
                    self.start(backend);
                }
                Effect::Abort { backend } => {
                    // Its good end may be on its way already.
                    if self.chance.percent(80) {
                        let soon = self.chance.seconds(2.0);
                        self.end_script(backend, Err("aborted".to_owned()), soon);
                    }
                    self.hurry(backend);
                }
                Effect::Stop { backend, .. } => {
                    let works = self.fate.is_some() || self.chance.percent(90);
                    let outcome = if works { Ok(()) } else { Err("exit 1".to_owned()) };
                    let duration = self.chance.seconds(3.0);
                    self.plan(duration, Happening::ScriptEnds(backend, ScriptKind::Stop, outcome));
                }
                Effect::Store(_)
                | Effect::NoteCause(_)
                | Effect::NoteDrain(_)
                | Effect::Forget { .. }
                | Effect::Event { .. } => {}
            }
        }
    }

    /// A start script begins: it works, fails or hangs.
    fn start(&mut self, id: BackendId) {
        let luck = match self.fate {
            None => self.chance.below(100),
            Some(Fate::NothingWorks) => 50 + self.chance.below(50),
            Some(_) => 0,
        };
        let duration = self.chance.seconds(3.0);
        match luck {
            0..50 => {
                self.plan(duration, Happening::ScriptEnds(id, ScriptKind::Start, Ok(())));
                let boot = self.chance.seconds(6.0);
                self.plan(boot, Happening::Boots(id));
            }
            50..80 => {
                let failure = Err("exit 1".to_owned());
                self.plan(duration, Happening::ScriptEnds(id, ScriptKind::Start, failure));
            }
            _ => {}
        }
    }

    /// An aborted script ends now, if nothing else has been planned for it.
    fn hurry(&mut self, id: BackendId) {
        let ends = |happening: &Happening| matches!(happening, Happening::ScriptEnds(of, ..) if *of == id);
        if !self.agenda.values().any(ends) {
            self.end_script(id, Err("aborted".to_owned()), Duration::from_millis(10));
        }
    }

    /// The script that runs ends like this, whatever was planned.
    fn end_script(&mut self, id: BackendId, outcome: Result<(), String>, after: Duration) {
        let Some(kind) = self.watched.memory.script(id) else { return };
        let other = |happening: &Happening| !matches!(happening, Happening::ScriptEnds(of, ..) if *of == id);
        self.agenda.retain(|_, happening| other(happening));
        self.plan(after, Happening::ScriptEnds(id, kind, outcome));
    }

    fn tier(&self, id: BackendId) -> Tier {
        self.watched.service.backends[id.0].tier
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((self.now + after, self.entries), happening);
    }

    fn plan_within(&mut self, seconds: f64, happening: Happening) {
        let after = self.chance.seconds(seconds);
        self.plan(after, happening);
    }
}

/// Some service: a primary, and up to four others of any kind.
fn any_service(chance: &mut Chance) -> Service {
    let mut lines = Vec::new();
    for index in 0..=chance.below(5) {
        let kind =
            if index == 0 { "hot" } else { *chance.one_of(&["hot", "cold stop", "cold", "warm stop"]) };
        let (fall, rise, ready) = (1 + chance.below(3), 1 + chance.below(3), 15 + chance.below(15));
        lines.push(format!("b{index} {kind} fall={fall} rise={rise} ready={ready}"));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let failback = match chance.below(2) {
        0 => Failback::Manual,
        _ => Failback::Auto { delay: Duration::from_secs(chance.below(20)) },
    };
    Service { failback, drain: Duration::from_secs(*chance.one_of(&[0, 2, 10])), ..service(&lines) }
}
