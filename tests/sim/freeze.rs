//! Frozen, automation neither switches nor starts nor stops anything.

use super::services::{failing_back, service};
use super::table::play;

#[test]
fn frozen_the_active_backend_stays_active() {
    play(
        service(&["primary", "standby", "cold cold"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.1 cold ---    | cold down
         1   freeze      | frozen
         2   primary --- | primary suspected, primary down
         3   standby --- | standby down
         4   standby ++  | standby up
         5   unfreeze    | store standby, unfrozen, cause failover, switched primary>standby",
    );
}

#[test]
fn frozen_nothing_is_started() {
    play(
        service(&["primary", "cold cold"]),
        "0.1 cold ---    | cold down
         1   freeze      | frozen
         2   primary --- | primary suspected, primary down
         3   unfreeze    | store primary!, unfrozen, outage began, START cold, cold attempt 1",
    );
}

#[test]
fn frozen_an_outage_still_ends_with_the_recovery_of_the_active_backend() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby --- | standby down
         0.1 primary --- | primary suspected, store primary!, primary down, outage began
         1   freeze      | frozen
         2   standby ++  | standby up
         3   primary ++  | store primary, primary up, outage ended",
    );
}

#[test]
fn frozen_an_operator_switches_all_the_same() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +        | primary up
         0.1 standby +        | standby up
         1   freeze           | frozen
         2   switch standby   | store standby, cause operator, switched primary>standby
         3   failback         | store primary, cause failback, switched standby>primary
         4   maint primary on | store standby, cause maintenance, switched primary>standby, primary maintenance on",
    );
}

#[test]
fn a_timed_freeze_ends_by_itself() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         1   freeze 60   | frozen
         2   primary --- | primary suspected, primary down
         61  tick        | store standby, unfrozen, cause failover, switched primary>standby",
    );
}

#[test]
fn a_later_freeze_replaces_an_earlier_one() {
    play(
        service(&["primary", "standby"]),
        "1  freeze 60 | frozen
         2  freeze 9  | frozen
         11 tick      | unfrozen
         12 unfreeze  |
         13 freeze 9  | frozen
         14 freeze    | frozen
         99 unfreeze  | unfrozen",
    );
}

#[test]
fn failback_that_fell_due_in_a_freeze_follows_it() {
    play(
        failing_back(10, &["primary", "standby"]),
        "0.1 standby +   | standby up
         0.1 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   freeze 60   | frozen
         2   primary ++  | primary up
         12  tick        |
         61  tick        | store primary, unfrozen, cause failback, switched standby>primary",
    );
}
