//! After a planned switch the backend before keeps what was open, for a while.

use std::time::Duration;

use fastswitch::machine::spec::Service;

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
         1   switch standby | store standby<primary, cause operator, switched primary>standby
         5   primary +      |",
    );
    assert_eq!(play.watched.deadline().map(|due| due.0), Some(Duration::from_secs(6)));
    play.on("6 tick | store standby, primary drained");
    assert_eq!(play.watched.deadline(), None);
}

#[test]
fn a_drain_ends_with_its_backend() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, switched primary>standby
         2   primary ---    | store standby, primary down, primary drained",
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
fn a_failover_in_the_middle_ends_the_drain() {
    let play = play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, switched primary>standby
         2   standby ---    | standby suspected, store primary, standby down, cause failover, switched standby>primary",
    );
    assert_eq!(play.watched.deadline(), None);
}

#[test]
fn what_drains_is_stopped_afterwards() {
    play(
        draining(failing_back(0, &["primary", "cold cold stop"])),
        "0.1 primary --- | primary suspected, store primary!, primary down, outage began
         0.1 cold ---    | cold down, START cold, cold attempt 1
         1 start cold ok | cold script done
         3 cold ++       | store cold, cold up, cold ready after 2.9, cause failover, switched primary>cold, outage ended
         4 primary ++    | store primary<cold, primary up, cause failback, switched cold>primary
         9 tick          | store primary, cold drained, STOP cold, cold stopping",
    );
}

#[test]
fn frozen_a_drain_ends_all_the_same() {
    play(
        draining(service(&["primary", "standby"])),
        "0.1 primary +      | primary up
         0.1 standby +      | standby up
         1   switch standby | store standby<primary, cause operator, switched primary>standby
         2   freeze         | frozen
         6   tick           | store standby, primary drained",
    );
}
