//! The return to a preferred backend: by itself, or when told.

use super::services::{failing_back, service};
use super::table::play;

#[test]
fn manual_failback_waits_to_be_told() {
    let mut play = play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   primary ++  | primary up
         900 primary +   |
         999 failback    | store primary, cause failback, switched standby>primary
         999 failback    |",
    );
    assert_eq!(play.watched.deadline(), None);
    play.on("1000 failback |");
}

#[test]
fn automatic_failback_comes_its_delay_after_the_recovery() {
    play(
        failing_back(30, &["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         5   primary +   |
         6   primary +   | primary up
         36  tick        | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn a_heartbeat_that_comes_before_the_late_tick_does_not_swallow_it() {
    play(
        failing_back(30, &["primary", "standby"]),
        "0.1 standby + | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         6   primary ++  | primary up
         36.001 standby + | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn a_flap_restarts_the_delay() {
    play(
        failing_back(30, &["primary", "standby"]),
        "0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   primary ++  | primary up
         30  primary --- | primary down
         31  primary ++  | primary up
         50  primary --+ |
         61  tick        | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn without_delay_the_return_comes_with_the_recovery() {
    play(
        failing_back(0, &["primary", "standby"]),
        "0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   primary ++  | store primary, primary up, cause failback, switched standby>primary",
    );
}

#[test]
fn the_return_may_be_to_a_hot_backend_that_is_not_the_first() {
    play(
        failing_back(10, &["a", "b", "c"]),
        "0.1 c +   | c up
         0.2 a --- | a suspected, store c, a down, cause failover, switched a>c
         1   b +   | b up
         11  tick  | store b, cause failback, switched c>b
         12  a ++  | a up
         22  tick  | store a, cause failback, switched b>a",
    );
}

#[test]
fn nobody_returns_to_a_cold_backend() {
    let mut play = play(
        failing_back(10, &["primary", "cold cold", "standby"]),
        "0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   cold +      | cold up
         100 standby +   |",
    );
    assert_eq!(play.watched.deadline(), None);
    play.on("101 failback | refused (primary: down: no answer in time)");
}

#[test]
fn an_operators_switch_is_not_undone() {
    let mut play = play(
        failing_back(10, &["primary", "standby"]),
        "0.1  primary +      | primary up
         0.1  standby +      | standby up
         1    switch standby | store standby, cause operator, switched primary>standby
         100  primary +      |
         101  primary ---++  | primary down, primary up",
    );
    assert_eq!(play.watched.deadline(), None);
    play.on(
        "200  failback       | store primary, cause failback, switched standby>primary
         201  primary ---    | primary suspected, store standby, primary down, cause failover, switched primary>standby
         210  primary ++     | primary up
         220  tick           | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn after_the_failure_of_an_operators_choice_automation_returns_again() {
    play(
        failing_back(10, &["a", "b", "c"]),
        "0.1 a +      | a up
         0.1 b +      | b up
         0.1 c +      | c up
         1   switch c | store c, cause operator, switched a>c
         2   a ---    | a down
         3   c ---    | c suspected, store b, c down, cause failover, switched c>b
         4   a ++     | a up
         14  tick     | store a, cause failback, switched b>a",
    );
}

#[test]
fn failback_goes_to_the_most_preferred_that_is_eligible() {
    play(
        service(&["a", "b", "c"]),
        "0.1 c +      | c up
         0.2 a ---    | a suspected, store c, a down, cause failover, switched a>c
         0.3 failback | refused (a: down: no answer in time; b: no heartbeat yet)
         0.4 b +      | b up
         0.5 failback | store b, cause failback, switched c>b
         0.6 failback | refused (a: down: no answer in time)",
    );
}
