//! Who serves: the beginning, failover, outage.

use super::services::service;
use super::table::{Play, play};

#[test]
fn a_new_service_assumes_that_its_primary_serves() {
    let (_, said) = Play::left_behind(
        service(&["primary", "standby"]),
        super::memory::Memory::new(2),
        fastswitch::machine::Time::default(),
    );
    assert_eq!(said, "store primary, cause initial, switched nobody>primary");
}

#[test]
fn one_success_makes_an_unknown_backend_up() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary + | primary up
         0.1 standby + | standby up
         0.2 primary + |",
    );
}

#[test]
fn an_unknown_backend_is_down_after_fall_failures() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby - |
         0.2 standby - |
         0.3 standby - | standby down",
    );
}

#[test]
fn a_standby_that_answers_first_does_not_displace_an_unknown_primary() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby +   | standby up
         0.1 primary --  | primary suspected
         0.2 primary +   | primary up",
    );
}

#[test]
fn a_primary_that_was_never_up_is_left_too() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby +   | standby up
         0.1 primary --  | primary suspected
         0.3 primary -   | store standby, primary down, cause failover, switched primary>standby",
    );
}

#[test]
fn the_standby_serves_at_the_failure_that_makes_the_primary_down() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary -   | primary suspected
         0.3 primary -   |
         0.4 primary -   | store standby, primary down, cause failover, switched primary>standby",
    );
}

#[test]
fn fewer_failures_in_a_row_than_fall_do_nothing() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary --+ | primary suspected, primary cleared
         0.5 primary --+ | primary suspected, primary cleared
         0.8 primary -+-+-+ | primary suspected, primary cleared, primary suspected, primary cleared, \
                              primary suspected, primary cleared",
    );
}

#[test]
fn with_fall_one_there_is_no_suspicion() {
    play(
        service(&["primary fall=1", "standby"]),
        "0.1 standby +   | standby up
         0.2 primary -   | store standby, primary down, cause failover, switched primary>standby",
    );
}

#[test]
fn stalled_rounds_never_count() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +        | primary up
         0.1 standby +        | standby up
         0.2 primary ~~~~~~~~ |
         0.3 primary --~~~~~~ | primary suspected
         0.4 primary +        | primary cleared
         0.5 primary -~-~     | primary suspected
         0.6 primary -        | store standby, primary down, cause failover, switched primary>standby
         0.7 primary ~~~~+~~  |
         0.8 primary +        | primary up",
    );
}

#[test]
fn a_down_backend_is_up_after_rise_successes_in_a_row() {
    play(
        service(&["primary", "standby rise=3"]),
        "0.1 standby ---   | standby down
         0.2 standby ++-++ |
         0.3 standby +     | standby up",
    );
}

#[test]
fn hot_standbys_are_taken_in_the_configured_order() {
    play(
        service(&["a", "b", "c", "d"]),
        "0.1 a +   | a up
         0.1 d +   | d up
         0.1 c +   | c up
         0.2 a --- | a suspected, store c, a down, cause failover, switched a>c
         0.3 b +   | b up
         0.4 c --- | c suspected, store b, c down, cause failover, switched c>b
         0.5 b --- | b suspected, store d, b down, cause failover, switched b>d",
    );
}

#[test]
fn hot_comes_before_cold_whatever_the_order() {
    play(
        service(&["primary", "cold cold", "warm warm", "standby"]),
        "0.1 cold +      | cold up
         0.1 warm +      | warm up
         0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         0.3 standby --- | standby suspected, store cold, standby down, cause failover, switched standby>cold
         0.4 cold ---    | cold suspected, store warm, cold down, cause failover, switched cold>warm",
    );
}

#[test]
fn a_suspected_standby_is_still_eligible() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +-  | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         0.3 standby -+  | standby cleared",
    );
}

#[test]
fn in_an_outage_the_last_active_stays_in_place() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         0.3 standby --  | standby suspected
         0.4 standby -   | store standby!, standby down, outage began
         0.5 standby --- |
         0.6 standby ++  | store standby, standby up, outage ended",
    );
}

#[test]
fn an_outage_ends_with_whoever_answers_first() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby --- | standby down
         0.2 primary --- | primary suspected, store primary!, primary down, outage began
         0.3 standby +   |
         0.4 standby +   | store standby, standby up, cause failover, switched primary>standby, outage ended
         0.5 primary ++  | primary up",
    );
}

#[test]
fn a_backend_alone_goes_and_comes() {
    play(
        service(&["only"]),
        "0.1 only ---  | only suspected, store only!, only down, outage began
         0.2 only ++   | store only, only up, outage ended
         0.3 only ---  | only suspected, store only!, only down, outage began",
    );
}
