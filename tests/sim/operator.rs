//! What an operator asks for: switch, force, maintenance.

use super::services::{failing_back, service};
use super::table::play;

#[test]
fn a_switch_needs_an_eligible_target() {
    play(
        service(&["primary", "standby", "cold cold"]),
        "0.1 switch standby | refused (no heartbeat yet)
         0.2 standby ---    | standby down
         0.3 switch standby | refused (down: no answer in time)
         0.4 switch cold    | refused (not started)
         0.5 standby ++     | standby up
         0.6 switch standby | store standby, cause operator, switched primary>standby",
    );
}

#[test]
fn a_forced_switch_sticks_until_the_heartbeats_agree() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +            | primary up
         0.1 standby ---          | standby down
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   standby -----        |
         3   standby ++           | standby up, cause operator
         4   standby ---          | standby suspected, store primary, standby down, cause failover, switched standby>primary",
    );
}

#[test]
fn force_sticks_to_a_backend_in_maintenance_until_that_ends() {
    play(
        failing_back(10, &["primary", "standby"]),
        "0.1 primary +            | primary up
         0.1 maint standby on     | standby maintenance on
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   standby +            | standby up
         3   maint standby off    | standby maintenance off, cause operator
         4   standby ---          | standby suspected, store primary, standby down, cause failover, switched standby>primary",
    );
}

#[test]
fn force_ends_when_what_was_up_dies() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +            | primary up
         0.1 standby +            | standby up
         0.2 maint standby on     | standby maintenance on
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   standby ---          | standby suspected, store primary, standby down, cause operator, cause failover, \
                                    switched standby>primary",
    );
}

#[test]
fn maintenance_ends_force() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby ---          | standby down
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   maint standby on     | store standby!, cause operator, standby maintenance on, outage began",
    );
}

#[test]
fn a_dead_backend_that_was_forced_is_left_when_it_is_put_into_maintenance() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +            | primary up
         0.1 standby ---          | standby down
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   maint standby on     | store primary, cause maintenance, switched standby>primary, standby maintenance on",
    );
}

#[test]
fn a_switch_to_the_active_backend_keeps_it_active() {
    let mut play = play(
        failing_back(10, &["primary", "standby"]),
        "0.1 standby +      | standby up
         0.2 primary ---    | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   switch standby | cause operator
         2   primary ++     | primary up",
    );
    assert_eq!(play.watched.deadline(), None);
    play.on("3 freeze               | frozen
         4 standby ---          | standby suspected, standby down
         5 switch standby force | cause forced
         6 unfreeze             | unfrozen");
}

#[test]
fn force_is_not_noted_where_it_was_not_needed() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +            | primary up
         0.1 standby +            | standby up
         1   switch standby force | store standby, cause operator, switched primary>standby",
    );
}

#[test]
fn force_ends_an_outage() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby ---          | standby down
         0.1 primary ---          | primary suspected, store primary!, primary down, outage began
         1   switch standby force | store standby, cause forced, switched primary>standby, outage ended
         2   switch primary force | store primary, cause forced, switched standby>primary",
    );
}

#[test]
fn the_active_backend_is_switched_away_from_before_its_maintenance() {
    play(
        failing_back(10, &["primary", "standby"]),
        "0.1 primary +         | primary up
         0.1 standby +         | standby up
         1   maint primary on  | store standby, cause maintenance, switched primary>standby, primary maintenance on
         1   maint primary on  |
         2   switch primary    | refused (in maintenance)
         3   failback          | refused (primary: in maintenance)
         50  primary ---++     | primary down, primary up
         60  maint primary off | primary maintenance off
         70  tick              | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn maintenance_of_the_active_backend_needs_another_eligible_one() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +        | primary up
         0.2 maint primary on | refused (it is active and no other backend is eligible to take over)
         0.3 standby +        | standby up
         0.4 maint standby on | standby maintenance on
         0.5 maint primary on | refused (it is active and no other backend is eligible to take over)",
    );
}

#[test]
fn a_standby_in_maintenance_is_passed_over() {
    play(
        service(&["a", "b", "c"]),
        "0.1 a +         | a up
         0.1 b +         | b up
         0.1 c +         | c up
         0.2 maint b on  | b maintenance on
         0.3 a ---       | a suspected, store c, a down, cause failover, switched a>c
         0.4 c ---       | c suspected, store c!, c down, outage began
         0.5 maint b off | store b, b maintenance off, cause failover, switched c>b, outage ended",
    );
}

#[test]
fn a_dead_active_backend_may_be_put_into_maintenance() {
    play(
        service(&["only"]),
        "0.1 only ---      | only suspected, store only!, only down, outage began
         0.2 maint only on | only maintenance on
         0.3 only ++       | only up
         0.4 maint only off | store only, only maintenance off, outage ended",
    );
}
