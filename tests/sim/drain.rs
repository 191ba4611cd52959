//! After a planned switch the backend before keeps what was open, for a while.

use std::time::Duration;

use fastswitch::machine::spec::{Protocol, Service};

use super::services::{failing_back, service};
use super::table::play;

fn draining(service: Service) -> Service {
    Service { drain: Duration::from_secs(5), ..service }
}

#[test]
fn a_planned_switch_leaves_open_connections_until_their_time_is_up() {
    let mut play = play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         5   primary +      |
         5.5 left 3         |",
    );
    assert_eq!(play.watched.deadline().map(|due| due.0), Some(Duration::from_secs(6)));
    let draining = play.watched.view().draining.unwrap();
    assert_eq!((draining.backend.0, draining.until.0, draining.left), (0, Duration::from_secs(6), Some(3)));
    play.on("6 tick | store standby, primary drained (time_up, 3 left)");
    assert_eq!((play.watched.deadline(), play.watched.view().draining), (None, None));
}

#[test]
fn a_drain_ends_when_no_connection_is_left() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +               | primary up
         0.1 standby +               | standby up
         1   switch standby drain 90 | store standby<primary, cause operator, drain 90, switched primary>standby
         2.9 left 0                  |
         3   left 1                  |
         20  left 0 unsettled        |
         21  left 0                  | store standby, primary drained (empty, 0 left)
         22  left 0                  |",
    );
}

#[test]
fn an_operator_says_how_long_and_may_change_his_mind() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +               | primary up
         0.1 standby +               | standby up
         1   switch standby drain 0  | store standby, cause operator, switched primary>standby
         2   switch primary drain 60 | store primary<standby, cause operator, drain 60, switched standby>primary
         3   switch primary          | cause operator
         4   switch primary drain 90 | cause operator, drain 90
         93  primary +               |
         94  tick                    | store primary, standby drained (time_up)
         95  switch primary drain 10 | cause operator
         96  switch standby          | store standby<primary, cause operator, drain 5, switched primary>standby
         97  switch standby drain 0  | store standby, cause operator, drain 0, primary drained (time_up)",
    );
}

#[test]
fn there_and_back_each_keeps_its_own() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         2   switch primary | store primary<standby, cause operator, drain 5, switched standby>primary
         3   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         8   tick           | store standby, primary drained (time_up)",
    );
}

#[test]
fn a_third_backend_takes_the_place_of_the_first() {
    play(
        draining(service(&["primary", "standby", "spare"])),
        "0.1 primary +            | primary up
         0.1 standby +            | standby up
         0.1 spare +              | spare up
         1   switch standby       | store standby<primary, cause operator, drain 5, switched primary>standby
         2   switch spare drain 9 | store spare<standby, cause operator, drain 9, switched standby>spare, primary drained (superseded)
         3   switch primary drain 0 | store primary<standby, cause operator, switched spare>primary
         11  tick                 | store primary, standby drained (time_up)",
    );
}

#[test]
fn a_drain_ends_with_its_backend() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         2   primary ---    | store standby, primary down, primary drained (down)",
    );
}

#[test]
fn a_failover_leaves_nothing_behind() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +   | primary up
         0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby",
    );
}

#[test]
fn a_failover_in_the_middle_returns_to_what_drains() {
    let play = play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         2   standby ---    | standby suspected, store primary, standby down, cause failover, switched standby>primary",
    );
    assert_eq!(play.watched.deadline(), None);
}

#[test]
fn what_is_healthy_goes_on_draining_whatever_fails_beside_it() {
    play(
        draining(service(&["primary", "standby", "spare"])),
        "0.1 primary +          | primary up
         0.1 standby +          | standby up
         0.1 spare +            | spare up
         1   maint primary on   | store standby<primary, cause maintenance, drain 5, switched primary>standby, primary maintenance on
         2   standby ---        | standby suspected, store spare<primary, standby down, cause failover, switched standby>spare
         3   spare ---          | spare suspected, store spare!<primary, spare down, outage began
         4   spare ++           | store spare<primary, spare up, outage ended
         6   tick               | store spare, primary drained (time_up)",
    );
}

#[test]
fn what_drains_is_stopped_afterwards() {
    play(
        draining(failing_back(0, &["primary", "cold cold stop"])),
        "0.1 primary --- | primary suspected, store primary!, primary down, outage began
         0.1 cold ---    | cold down, START cold, cold attempt 1
         1 start cold ok | cold script done
         3 cold ++       | store cold, cold up, cold ready after 2.9, cause failover, switched primary>cold, outage ended
         4 primary ++    | store primary<cold, primary up, cause failback, drain 5, switched cold>primary
         8 left 0        | store primary, cold drained (empty, 0 left), STOP cold, cold stopping",
    );
}

#[test]
fn frozen_a_drain_ends_all_the_same() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, drain 5, switched primary>standby
         2   freeze         | frozen
         6   tick           | store standby, primary drained (time_up)",
    );
}

#[test]
fn a_restart_goes_on_with_a_drain() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +               | primary up
         0.1 standby +               | standby up
         1   switch standby drain 60 | store standby<primary, cause operator, drain 60, switched primary>standby
         30  restart                 |
         30  left 7                  |
         61  tick                    | store standby, primary drained (time_up, 7 left)",
    );
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +               | primary up
         0.1 standby +               | standby up
         1   switch standby drain 60 | store standby<primary, cause operator, drain 60, switched primary>standby
         90  restart                 | store standby, primary drained (time_up)",
    );
}

#[test]
fn datagrams_do_not_drain() {
    let udp = Service { protocol: Protocol::Udp, ..draining(service(&["primary", "standby"])) };
    play(
        udp,
        "0.1 primary +               | primary up
         0.1 standby +               | standby up
         1   switch standby          | store standby, cause operator, switched primary>standby
         2   switch primary drain 60 | refused (datagrams belong to no connection: there is nothing to drain)
         3   switch primary drain 0  | store primary, cause operator, switched standby>primary",
    );
}
