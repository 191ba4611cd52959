//! What must be true of every step of every machine.

use std::time::Duration;

use fastswitch::machine::spec::{Failback, Service, Tier};
use fastswitch::machine::{
    BackendId, Cause, DrainEnd, Effect, Event, Freeze, Machine, Position, RETRY_PAUSE_MAX, Role, State, Time,
};

use super::memory::Memory;
use super::model::Model;
use super::watch::Input;

/// An input and what came of it.
pub(crate) struct Step<'a> {
    pub(crate) service: &'a Service,
    pub(crate) input: &'a Input,
    pub(crate) effects: &'a [Effect],
    pub(crate) refused: bool,
    pub(crate) before: &'a Memory,
    pub(crate) after: &'a Memory,
    /// With the input, without the effects.
    pub(crate) earlier: &'a Model,
    /// With both.
    pub(crate) model: &'a Model,
    pub(crate) machine: &'a Machine,
    /// By the wall clock.
    pub(crate) now: Time,
    /// By the machine's own.
    pub(crate) own_now: Time,
    /// Whether to look at what is dear to look at.
    pub(crate) thoroughly: bool,
}

type Verdict = Result<(), String>;

/// Holds a step against every rule.
pub(crate) fn check(step: &Step) -> Verdict {
    if step.refused {
        rule(step.effects.is_empty(), "a refused command does nothing")?;
        return views_are_true(step);
    }
    stores_come_first_and_count_up(step)?;
    changes_are_told(step)?;
    targets_are_eligible(step)?;
    causes_are_true(step)?;
    nothing_up_is_left_unused(step)?;
    frozen_is_still(step)?;
    drains_end_once(step)?;
    restarts_change_nothing(step)?;
    starts_are_due(step)?;
    stops_are_due(step)?;
    pauses_grow(step)?;
    if step.thoroughly {
        deadlines_suffice(step)?;
        views_are_true(step)?;
    }
    Ok(())
}

impl Step<'_> {
    fn was(&self) -> Option<BackendId> {
        self.before.position.and_then(|position| position.active)
    }

    fn active(&self) -> Option<BackendId> {
        self.after.position.and_then(|position| position.active)
    }

    fn outage(&self) -> bool {
        self.after.position.is_some_and(|position| position.outage)
    }

    fn was_outage(&self) -> bool {
        self.before.position.is_some_and(|position| position.outage)
    }

    fn is_frozen(&self) -> bool {
        self.after.freeze != Freeze::No
    }

    fn ids(&self) -> impl Iterator<Item = BackendId> {
        (0..self.service.backends.len()).map(BackendId)
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Event { event, .. } => Some(event),
            _ => None,
        })
    }

    /// Up, and not in maintenance.
    fn is_serving(&self, id: BackendId) -> bool {
        self.model.of(id).health == State::Up && !self.model.of(id).maintenance
    }

    fn is_hot(&self, id: BackendId) -> bool {
        self.service.backends[id.0].tier == Tier::Hot
    }
}

fn rule(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(format!("broken: {what}")) }
}

fn stores_come_first_and_count_up(step: &Step) -> Verdict {
    let is_store = |effect: &Effect| matches!(effect, Effect::Store(_));
    let mut after_stores = step.effects.iter().skip_while(|effect| is_store(effect));
    rule(!after_stores.any(is_store), "a store comes before everything else of its input")?;
    let mut last = step.before.position;
    for effect in step.effects {
        if let Effect::Store(position) = *effect {
            let epoch = last.map_or(0, |last| last.epoch);
            rule(position.epoch == epoch.wrapping_add(1), "each store raises the epoch by one")?;
            let is_news = last.is_none_or(|last: Position| {
                (last.active, last.draining, last.outage)
                    != (position.active, position.draining, position.outage)
            });
            rule(is_news, "a store changes something")?;
            last = Some(position);
        }
    }
    let unborn = Position { active: None, draining: None, outage: false, epoch: 0 };
    rule(step.machine.position() == last.unwrap_or(unborn), "the machine's position is what was stored last")
}

fn changes_are_told(step: &Step) -> Verdict {
    let switched: Vec<_> = step.events().filter(|event| matches!(event, Event::Switched { .. })).collect();
    let began = step.events().any(|event| matches!(event, Event::OutageBegan { .. }));
    let ended = step.events().any(|event| matches!(event, Event::OutageEnded { .. }));
    rule(began == (step.outage() && !step.was_outage()), "the beginning of an outage is told")?;
    rule(ended == (!step.outage() && step.was_outage()), "the end of an outage is told")?;
    rule(step.active() == step.was() || switched.len() == 1, "a switch is told once")?;
    for event in switched {
        let Event::Switched { from, to, cause, epoch } = event else { continue };
        let is_true = *from == step.was() && Some(*to) == step.active() && *cause == step.after.cause;
        rule(is_true && *epoch == step.machine.position().epoch, "what is told of a switch is true")?;
    }
    Ok(())
}

fn targets_are_eligible(step: &Step) -> Verdict {
    let Some(active) = step.active().filter(|_| step.active() != step.was()) else { return Ok(()) };
    let by_force = matches!(step.input, Input::Switch(to, true) if *to == active);
    let at_birth = *step.input == Input::Restart && step.was().is_none();
    rule(
        by_force || at_birth || step.model.of(active).is_eligible(),
        "only force switches to a backend that is not eligible",
    )
}

/// A switch has happened for the reason that it gives.
fn causes_are_true(step: &Step) -> Verdict {
    let Some(active) = step.active().filter(|_| step.active() != step.was()) else { return Ok(()) };
    let is_true = match step.after.cause {
        Cause::Initial | Cause::Reconfigured => *step.input == Input::Restart && step.was().is_none(),
        Cause::Failover => step.was().is_none_or(|was| {
            let was = step.model.of(was);
            was.maintenance || was.health == State::Down || was.health == State::Unknown && step.was_outage()
        }),
        Cause::Failback if *step.input == Input::Failback => true,
        Cause::Failback => failback_is_due(step, active),
        Cause::Operator => {
            let drain = matches!(step.input, Input::Drain(to, _) if *to == active);
            drain || *step.input == Input::Switch(active, false) || *step.input == Input::Switch(active, true)
        }
        Cause::Forced => *step.input == Input::Switch(active, true),
        Cause::Maintenance => step.was().is_some_and(|was| *step.input == Input::Maintenance(was, true)),
    };
    rule(is_true, "a switch has the cause that it gives")
}

fn failback_is_due(step: &Step, to: BackendId) -> bool {
    let Failback::Auto { delay } = step.service.failback else { return false };
    let since = step.earlier.of(to).eligible_since.unwrap_or(step.now);
    let preferred = step.was().is_some_and(|was| to < was || !step.is_hot(was));
    let chosen = matches!(step.before.cause, Cause::Operator | Cause::Forced);
    preferred && step.is_hot(to) && !chosen && step.now.since(since) >= delay
}

fn nothing_up_is_left_unused(step: &Step) -> Verdict {
    let serves = step.active().is_some_and(|active| step.is_serving(active));
    rule(!(serves && step.outage()), "an outage ends at the very input that makes the active backend serve")?;
    let Some(active) = step.active() else { return Ok(()) };
    let backend = step.model.of(active);
    let is_lost = backend.health == State::Down || backend.maintenance;
    if is_lost && !step.is_frozen() && step.after.cause != Cause::Forced {
        let eligible = step.ids().find(|&id| step.model.of(id).is_eligible());
        rule(eligible.is_none(), "a dead active backend is left at once for one that is up")?;
        rule(step.outage(), "when nothing serves it is an outage")?;
    }
    Ok(())
}

fn frozen_is_still(step: &Step) -> Verdict {
    if !step.is_frozen() {
        return Ok(());
    }
    let commanded =
        matches!(step.input, Input::Switch(..) | Input::Drain(..) | Input::Failback | Input::Maintenance(..));
    let reborn = *step.input == Input::Restart && step.was().is_none();
    rule(step.active() == step.was() || commanded || reborn, "frozen, only an operator switches")?;
    let acts =
        |effect: &Effect| matches!(effect, Effect::Start { .. } | Effect::Stop { .. } | Effect::Abort { .. });
    rule(!step.effects.iter().any(acts), "frozen, nothing is started or stopped")
}

/// A drain begins with a planned switch, and ends once: for a reason that is true, or with the return of its backend.
fn drains_end_once(step: &Step) -> Verdict {
    let draining = |memory: &Memory| memory.position.and_then(|position| position.draining);
    let (was, is) = (draining(step.before), draining(step.after));
    let told: Vec<_> = step.events().filter(|event| matches!(event, Event::Drained { .. })).collect();
    if let Some(is) = is {
        rule(Some(is) != step.active(), "the active backend does not drain")?;
        rule(step.now < step.after.drained_by, "a drain ends in time")?;
        rule(step.model.of(is).health != State::Down, "a drain ends with its backend")?;
    }
    if let Some(begun) = is.filter(|_| is != was) {
        let planned = step.after.cause != Cause::Failover && !step.was_outage();
        rule(step.was() == Some(begun) && planned, "what drains was active until a planned switch")?;
    }
    let Some(was) = was.filter(|_| is != was) else {
        return rule(told.is_empty(), "only an end is told as an end");
    };
    if step.active() == Some(was) && told.is_empty() {
        return Ok(());
    }
    let [Event::Drained { backend, end, .. }] = told[..] else {
        return rule(false, "the end of a drain is told once");
    };
    let is_true = match end {
        DrainEnd::TimeUp => step.now >= step.before.drained_by.min(step.after.drained_by),
        DrainEnd::Empty => *step.input == Input::Left(0, true),
        DrainEnd::Down => step.model.of(was).health == State::Down,
        DrainEnd::Superseded => is == step.was(),
    };
    rule(*backend == was && is_true, "a drain ends for the reason that it gives")
}

fn restarts_change_nothing(step: &Step) -> Verdict {
    if *step.input != Input::Restart || step.was().is_none() {
        return Ok(());
    }
    let is_over = step.now >= step.before.drained_by;
    let place = |memory: &Memory| {
        memory
            .position
            .map(|position| (position.active, position.draining.filter(|_| !is_over), position.outage))
    };
    let same = (place(step.before), step.before.cause) == (place(step.after), step.after.cause);
    // A freeze that ended while no daemon ran may have kept the active backend going in spite of its maintenance.
    let overdue = step.was().is_some_and(|was| step.model.of(was).maintenance);
    rule(same || overdue, "a restart changes nothing")?;
    for effect in step.effects {
        match *effect {
            Effect::Start { .. } => return Err("broken: a restart starts something".to_owned()),
            Effect::Abort { backend } | Effect::Stop { backend, .. } | Effect::Forget { backend } => {
                let of = step.earlier.of(backend);
                rule(
                    of.in_transit || of.maintenance,
                    "a restart stops what was being stopped, nothing else",
                )?;
            }
            Effect::Store(_) | Effect::NoteCause(_) | Effect::NoteDrain(_) | Effect::Event { .. } => {}
        }
    }
    Ok(())
}

fn starts_are_due(step: &Step) -> Verdict {
    let starting = step.ids().filter(|&id| step.model.of(id).starting).count();
    rule(starting <= 1, "one start at a time")?;
    for effect in step.effects {
        let Effect::Start { backend, .. } = *effect else { continue };
        let of = step.model.of(backend);
        rule(step.outage(), "nothing is started while something serves")?;
        rule(
            !step.is_hot(backend) && !of.maintenance,
            "hot ones, and those in maintenance, are not started",
        )?;
        rule(of.health == State::Down, "only what is known to be down is started")?;
        let rested = step.earlier.of(backend).resting_until.is_none_or(|until| step.now >= until);
        rule(rested, "after a failure comes a pause")?;
        let failed = |id| step.earlier.of(id).last_pause(step.now);
        let passed_over = |id: BackendId| {
            !step.is_hot(id) && step.earlier.of(id).may_start(step.now) && step.before.records[id.0].is_none()
        };
        let other = step.ids().filter(|&id| id != backend && passed_over(id)).min_by_key(|&id| failed(id));
        rule(other.is_none_or(|other| failed(other) >= failed(backend)), "who failed least is started")?;
    }
    Ok(())
}

fn stops_are_due(step: &Step) -> Verdict {
    for effect in step.effects {
        let (Effect::Stop { backend, .. } | Effect::Abort { backend }) = *effect else { continue };
        let (earlier, of) = (step.earlier.of(backend), step.model.of(backend));
        if Some(backend) == step.active() && !step.outage() {
            rule(of.health != State::Up || earlier.in_transit, "what serves is not stopped")?;
        }
        let failed = earlier.in_transit
            || step
                .events()
                .any(|event| matches!(event, Event::StartFailed { backend: of, .. } if *of == backend));
        let is_up = |id| step.model.of(id).health == State::Up;
        let replaced =
            !step.outage() && step.active().is_some_and(|active| active != backend && is_up(active));
        rule(failed || of.maintenance || replaced, "a start is undone once another one is up, not before")?;
    }
    Ok(())
}

fn pauses_grow(step: &Step) -> Verdict {
    for event in step.events() {
        let Event::StartFailed { backend, pause, .. } = event else { continue };
        let of = step.earlier.of(*backend);
        let expected = match of.pause.filter(|_| !of.has_run_long(step.now)) {
            Some(last) => (last * 2).min(RETRY_PAUSE_MAX),
            None => Duration::from_secs(1),
        };
        rule(*pause == expected, "each pause is twice the one before, from a second to a minute")?;
    }
    Ok(())
}

/// Nothing is left undone, nothing is due before the deadline, and the deadline is in the future.
fn deadlines_suffice(step: &Step) -> Verdict {
    let idle_at = |moment: Time| {
        let mut effects = Vec::new();
        step.machine.clone().tick(moment, &mut effects);
        effects.is_empty()
    };
    rule(idle_at(step.own_now), "nothing is left undone by an input")?;
    match step.machine.deadline() {
        Some(due) => {
            rule(due > step.own_now, "a deadline lies in the future")?;
            let shortly = Time(due.0 - Duration::from_nanos(1));
            rule(idle_at(shortly), "nothing is due before the deadline")
        }
        None => rule(idle_at(step.own_now + Duration::from_secs(3600)), "without a deadline nothing is due"),
    }
}

fn views_are_true(step: &Step) -> Verdict {
    let view = step.machine.view(step.own_now);
    rule(view.position == step.machine.position() && view.freeze == step.machine.freeze(), "a view is true")?;
    rule(view.cause == step.after.cause, "the cause noted is the cause seen")?;
    rule((view.freeze != Freeze::No) == step.is_frozen(), "a freeze is seen")?;
    for id in step.ids() {
        let (seen, of) = (&view.backends[id.0], step.model.of(id));
        rule(seen.health == of.health, "health is what the heartbeats say")?;
        rule(seen.maintenance == of.maintenance, "maintenance is seen")?;
        rule(seen.holds.is_empty() == of.is_eligible(), "there is a hold exactly if it is not eligible")?;
        let target = view.position.active == Some(id);
        let active = target && !view.position.outage;
        rule((seen.role == Role::Active) == active, "the active one is seen as active, in an outage none")?;
        rule(seen.role != Role::Last || (target && !active), "the last one is seen as such in an outage")?;
    }
    Ok(())
}
