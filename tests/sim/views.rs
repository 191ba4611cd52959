//! What people see at each point of a story.

use fastswitch::machine::{Role, View};

use super::services::service;
use super::table::play;

/// Role and holds of one backend, as `status` prints them.
fn seen(view: &View, index: usize) -> String {
    let backend = &view.backends[index];
    let holds: Vec<String> = backend.holds.iter().map(ToString::to_string).collect();
    format!("{} [{}]", backend.role.name(), holds.join("; "))
}

#[test]
fn a_cold_backend_through_its_life() {
    let mut play = play(service(&["primary", "cold cold stop"]), "0.1 primary + | primary up");
    assert_eq!(seen(&play.watched.view(), 1), "cold [not started]");
    play.on(
        "0.2 cold ---    | cold down
         1   primary --- | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1",
    );
    assert_eq!(seen(&play.watched.view(), 0), "last [down: no answer in time]");
    assert_eq!(seen(&play.watched.view(), 1), "starting [starting]");
    play.on("2 start cold failed | cold failed (exit 1) pause 1, STOP cold, cold stopping");
    assert_eq!(seen(&play.watched.view(), 1), "stopping [stopping]");
    play.on("3 stop cold ok | cold stopped, forget cold");
    assert_eq!(seen(&play.watched.view(), 1), "cold [start failed: exit 1; next attempt possible in 1 s]");
    play.on(
        "4 tick    | START cold, cold attempt 2
         5 cold ++ | store cold, cold up, cold ready after 1, cause failover, switched primary>cold, outage ended",
    );
    assert_eq!(seen(&play.watched.view(), 1), "active []");
    play.on("6 start cold ok  | cold script done
         7 primary ++     | primary up
         8 switch primary | store primary, cause operator, switched cold>primary, STOP cold, cold stopping");
    assert_eq!(seen(&play.watched.view(), 1), "stopping [stopping]");
    play.on("9  stop cold ok  | cold stopped, forget cold
         10 cold ---      | cold down
         11 maint cold on | cold maintenance on");
    assert_eq!(seen(&play.watched.view(), 1), "cold [in maintenance; not started]");
}

#[test]
fn after_an_outage_a_failed_start_is_still_seen() {
    let mut play = play(
        service(&["primary", "cold cold"]),
        "0.2 cold ---          | cold down
         1   primary ---       | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1
         2   start cold failed | cold failed (exit 1) pause 1, forget cold
         2.5 primary ++        | store primary, primary up, outage ended
         9   primary +         |",
    );
    assert_eq!(seen(&play.watched.view(), 1), "cold [not started: the last attempt failed: exit 1]");
    play.on("10 maint cold on | cold maintenance on\n11 maint cold off | cold maintenance off");
    assert_eq!(seen(&play.watched.view(), 1), "cold [not started]");
}

#[test]
fn hot_and_warm_backends_have_the_roles_of_their_tiers() {
    let mut play = play(service(&["primary", "standby", "warm warm"]), "0.1 standby --- | standby down");
    let roles = |view: &View| view.backends.iter().map(|backend| backend.role).collect::<Vec<_>>();
    assert_eq!(roles(&play.watched.view()), [Role::Active, Role::Standby, Role::Warm]);
    assert_eq!(seen(&play.watched.view(), 1), "standby [down: no answer in time]");
    assert_eq!(seen(&play.watched.view(), 0), "active [no heartbeat yet]");
    play.on("0.2 warm + | warm up");
    assert_eq!(roles(&play.watched.view()), [Role::Active, Role::Standby, Role::Standby]);
}

#[test]
fn stalled_rounds_and_round_trip_times_are_seen() {
    let play = play(service(&["primary"]), "0.1 primary +~~~ | primary up");
    let view = play.watched.view();
    assert_eq!(view.backends[0].stalled, 3);
    assert_eq!(view.backends[0].rtt.map(|rtt| rtt.as_micros()), Some(200));
}
