//! A daemon that ends and another one that begins: nothing changes that should not.

use std::time::Duration;

use fastswitch::machine::{BackendId, Cause, Freeze, Position, ScriptKind, Time, TraceId};

use super::memory::{Memory, Record};
use super::services::{failing_back, service};
use super::table::{Play, play};

const TRACE: TraceId = TraceId(7);

fn seconds(seconds: u64) -> Time {
    Time(Duration::from_secs(seconds))
}

fn record(kind: ScriptKind, running: bool, since: u64) -> Option<Record> {
    Some(Record { kind, running, aborted: false, trace: TRACE, since: seconds(since) })
}

/// At second 100 somebody begins where a primary and a cold backend with a stop script were left like this.
fn left_behind(active: usize, outage: bool, cold: Option<Record>) -> (Play, String) {
    let memory = Memory {
        position: Some(Position { active: Some(BackendId(active)), draining: None, outage, epoch: 41 }),
        cause: Cause::Failover,
        records: vec![None, cold],
        ..Memory::new(2)
    };
    Play::left_behind(service(&["primary", "cold cold stop ready=20"]), memory, seconds(100))
}

#[test]
fn the_active_backend_goes_on_whatever_the_preference() {
    play(
        failing_back(30, &["primary", "standby"]),
        "0.1 standby +   | standby up
         0.2 primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         1   restart     |
         1.1 primary ++  | primary up
         1.2 standby +   | standby up
         31.1 tick       | store primary, cause failback, switched standby>primary",
    );
}

#[test]
fn an_active_backend_that_died_meanwhile_is_left_after_fall_failures() {
    play(
        service(&["primary", "standby"]),
        "0.1 primary +   | primary up
         1   restart     |
         1.1 standby +   | standby up
         1.2 primary --  | primary suspected
         1.3 primary -   | store standby, primary down, cause failover, switched primary>standby",
    );
}

#[test]
fn an_outage_goes_on_until_something_is_known_to_serve() {
    play(
        service(&["primary", "standby"]),
        "0.1 standby --- | standby down
         0.1 primary --- | primary suspected, store primary!, primary down, outage began
         1   restart     |
         2   primary --  | primary suspected
         2.1 primary -   | primary down
         3   restart     |
         3.1 primary +   | store primary, primary up, outage ended
         4   restart     |
         4.1 primary --- | primary suspected, store primary!, primary down, outage began
         5   restart     |
         5.1 standby +   | store standby, standby up, cause failover, switched primary>standby, outage ended",
    );
}

#[test]
fn freeze_and_maintenance_go_on() {
    play(
        service(&["a", "b", "c"]),
        "0.1 a +        | a up
         0.2 maint b on | b maintenance on
         1   freeze 60  | frozen
         2   restart    |
         3   a ---      | a suspected, a down
         4   b +        | b up
         5   c +        | c up
         61  tick       | store c, unfrozen, cause failover, switched a>c",
    );
}

#[test]
fn a_freeze_that_ended_meanwhile_has_ended() {
    let memory = Memory { freeze: Freeze::Until(seconds(50)), ..Memory::new(1) };
    let (_, said) = Play::left_behind(service(&["only"]), memory, seconds(100));
    assert_eq!(said, "store only, cause initial, switched nobody>only, unfrozen");
}

#[test]
fn an_operators_choice_and_force_go_on() {
    play(
        failing_back(10, &["primary", "standby"]),
        "0.1 primary +            | primary up
         0.2 standby ---          | standby down
         1   switch standby force | store standby, cause forced, switched primary>standby
         2   restart              |
         3   primary +            | primary up
         4   standby ---          | standby suspected, standby down
         90  standby ++           | standby up, cause operator
         91  restart              |
         92  primary +            | primary up
         93  standby +            | standby up
         199 restart              |",
    );
}

#[test]
fn a_position_whose_backend_left_the_configuration_goes_to_the_most_preferred() {
    let memory = |maintenance: &[bool]| Memory {
        position: Some(Position { active: None, draining: None, outage: false, epoch: 41 }),
        cause: Cause::Operator,
        maintenance: maintenance.to_vec(),
        ..Memory::new(3)
    };
    let begin =
        |maintenance| Play::left_behind(service(&["a", "b cold", "c"]), memory(maintenance), seconds(100)).1;
    assert_eq!(begin(&[false, false, false]), "store a, cause reconfigured, switched nobody>a");
    assert_eq!(begin(&[true, false, false]), "store c, cause reconfigured, switched nobody>c");
    assert_eq!(begin(&[true, false, true]), "store b, cause reconfigured, switched nobody>b");
    assert_eq!(begin(&[true, true, true]), "store nobody!, outage began");
}

#[test]
fn a_running_start_script_is_not_started_again() {
    let (mut play, said) = left_behind(0, true, record(ScriptKind::Start, true, 98));
    assert_eq!(said, "");
    play.on(
        "101 primary ---   | primary suspected, primary down
         101 cold ---      | cold down
         102 start cold ok | cold script done
         103 cold ++       | store cold, cold up, cold ready after 5, cause failover, switched primary>cold, outage ended",
    );
}

#[test]
fn the_age_of_a_start_counts() {
    let (mut play, _) = left_behind(0, true, record(ScriptKind::Start, true, 90));
    play.on("101 primary --- | primary suspected, primary down
         101 cold ---    | cold down
         110 tick        | cold failed (no healthy heartbeat within 20s) pause 1, ABORT cold");
}

#[test]
fn a_start_that_expired_meanwhile_may_have_worked() {
    let (mut play, _) = left_behind(0, true, record(ScriptKind::Start, false, 30));
    play.on(
        "101 primary --- | primary suspected, primary down
         102 cold +      | store cold, cold up, cold ready after 72, cause failover, switched primary>cold, outage ended",
    );
}

#[test]
fn a_start_that_expired_meanwhile_and_has_not_worked_is_cleared_away() {
    let (mut play, _) = left_behind(0, true, record(ScriptKind::Start, false, 30));
    play.on(
        "101 primary --- | primary suspected, primary down
         102 cold --     |
         103 cold -      | cold down, cold failed (no healthy heartbeat within 20s) pause 1, STOP cold, cold stopping",
    );
}

#[test]
fn a_start_whose_script_has_ended_is_still_given_its_time() {
    let (mut play, _) = left_behind(0, true, record(ScriptKind::Start, false, 95));
    play.on(
        "101 primary --- | primary suspected, primary down
         101 cold ---    | cold down
         114 cold ++     | store cold, cold up, cold ready after 19, cause failover, switched primary>cold, outage ended",
    );
}

#[test]
fn a_started_one_that_serves_goes_on_serving() {
    let (mut play, said) = left_behind(1, false, record(ScriptKind::Start, false, 10));
    assert_eq!(said, "");
    play.on("101 cold +       | cold up
         102 primary +    | primary up
         103 failback     | store primary, cause failback, switched cold>primary, STOP cold, cold stopping
         104 stop cold ok | cold stopped, forget cold");
}

#[test]
fn a_started_one_that_serves_while_its_script_runs_goes_on_serving() {
    let (mut play, said) = left_behind(1, false, record(ScriptKind::Start, true, 10));
    assert_eq!(said, "");
    play.on(
        "101 primary +         | primary up
         102 cold +            | cold up
         103 failback          | store primary, cause failback, switched cold>primary, ABORT cold, cold aborted
         104 start cold failed | STOP cold, cold stopping",
    );
}

#[test]
fn a_started_one_that_served_and_died_meanwhile_is_started_again() {
    let (mut play, _) = left_behind(1, false, record(ScriptKind::Start, false, 10));
    play.on(
        "101 primary ---  | primary down
         102 cold ---     | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 1, \
                            STOP cold, cold stopping
         103 stop cold ok | cold stopped, forget cold
         104 tick         | START cold, cold attempt 2",
    );
}

#[test]
fn a_started_one_that_is_no_longer_needed_is_stopped_once_that_is_certain() {
    let (mut play, said) = left_behind(0, false, record(ScriptKind::Start, false, 10));
    assert_eq!(said, "");
    play.on("101 cold -    |
         102 primary + | primary up, STOP cold, cold stopping");
}

#[test]
fn a_running_stop_script_is_not_started_again() {
    let (mut play, said) = left_behind(0, false, record(ScriptKind::Stop, true, 10));
    assert_eq!(said, "");
    play.on("101 primary +    | primary up
         102 stop cold ok | cold stopped, forget cold");
}

#[test]
fn a_stop_script_that_ended_unseen_runs_again() {
    let (mut play, said) = left_behind(0, false, record(ScriptKind::Stop, false, 10));
    assert_eq!(said, "STOP cold, cold stopping");
    play.on("101 stop cold ok | cold stopped, forget cold");
}

#[test]
fn a_backend_that_became_hot_is_returned_to_once_its_start_has_ended() {
    let memory = Memory {
        position: Some(Position { active: Some(BackendId(2)), draining: None, outage: false, epoch: 41 }),
        cause: Cause::Failover,
        records: vec![None, record(ScriptKind::Start, true, 99), None],
        ..Memory::new(3)
    };
    let (mut play, said) = Play::left_behind(failing_back(0, &["a", "b", "c"]), memory, seconds(100));
    assert_eq!(said, "");
    play.on("101 c +            | c up, ABORT b, b aborted
         102 b +            | b up
         103 start b failed | store b, forget b, cause failback, switched c>b");
}
