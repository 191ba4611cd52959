//! After any unrest, what must come true does.

use std::time::Duration;

use fastswitch::machine::spec::{Failback, Tier};
use fastswitch::machine::{BackendId, Cause, Time};

use super::world::{Fate, World};

/// Seeds of each fate; `SIM_SEEDS` asks for more or fewer.
const SEEDS: u64 = 500;

/// Starts of one backend within `minutes` at most: about one a minute, and some more while its pauses still grow.
fn few(minutes: usize) -> usize {
    minutes + 4
}

/// Says which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was seed {}", self.0);
        }
    }
}

fn worlds(fate: Fate, check: impl Fn(&mut World)) {
    let seeds = std::env::var("SIM_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let _seed = Seed(seed);
        let mut world = World::new(seed);
        world.unrest(Duration::from_secs(60));
        world.calm(fate);
        check(&mut world);
    }
}

fn pass(world: &mut World, seconds: u64) {
    world.run(world.now() + Duration::from_secs(seconds));
}

fn has_cold_ones(world: &World) -> bool {
    world.watched.service.backends.iter().any(|backend| backend.tier != Tier::Hot)
}

/// What was started, and by now neither serves nor was undone.
fn left_running(world: &World) -> Vec<BackendId> {
    let active = world.watched.memory.position.unwrap().active;
    world.ids().filter(|&id| Some(id) != active && world.watched.memory.records[id.0].is_some()).collect()
}

/// How often each backend was started since then, at most.
fn most_starts(world: &World, since: Time) -> usize {
    let count = |id| world.starts.iter().filter(|(of, when)| *of == id && *when >= since).count();
    world.ids().map(count).max().unwrap_or(0)
}

#[test]
fn once_hot_ones_are_well_one_serves_and_what_was_started_is_stopped() {
    worlds(Fate::HotOnesRecover, |world| {
        pass(world, 200);
        world.demand("somebody serves", world.serves());
        world.demand("nothing is left running", left_running(world).is_empty());
        let is_chosen = matches!(world.watched.memory.cause, Cause::Operator | Cause::Forced);
        if matches!(world.watched.service.failback, Failback::Auto { .. }) && !is_chosen {
            let active = world.watched.memory.position.unwrap().active;
            world.demand("automatic failback has returned to the primary", active == Some(BackendId(0)));
        }
    });
}

#[test]
fn while_only_cold_ones_can_serve_one_does() {
    worlds(Fate::OnlyColdOnesCanServe, |world| {
        pass(world, 200);
        if has_cold_ones(world) {
            world.demand("somebody serves", world.serves());
            world.demand("nothing else is left running", left_running(world).is_empty());
        } else {
            world.demand("an outage", world.watched.memory.position.unwrap().outage);
        }
    });
}

#[test]
fn while_nothing_works_it_is_tried_again_and_again_but_seldom() {
    worlds(Fate::NothingWorks, |world| {
        pass(world, 300);
        let since = world.now();
        pass(world, 600);
        world.demand("an outage", world.watched.memory.position.unwrap().outage);
        let most = most_starts(world, since);
        world.demand("starts are tried, but seldom", most <= few(10) && (most >= 3 || !has_cold_ones(world)));
    });
}

#[test]
fn what_crashes_after_each_start_is_started_seldom() {
    worlds(Fate::ColdOnesCrash, |world| {
        pass(world, 200);
        let since = world.now();
        pass(world, 300);
        world.demand("starts are seldom", most_starts(world, since) <= few(5));
    });
}
