//! Cold and warm backends: when they are started, when they serve, when they are stopped.

use super::services::{failing_back, service};
use super::table::{Play, play};

/// In an outage, with the one cold backend being started at second 1.
fn started(cold: &str) -> Play {
    play(
        service(&["primary", cold]),
        "0.1 primary + | primary up
         0.1 cold ---  | cold down
         1 primary --- | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1",
    )
}

#[test]
fn a_cold_backend_is_started_once_and_serves_when_it_answers() {
    started("cold cold stop").on(
        "1.1 primary --- |
         2   cold ---    |
         3   start cold ok | cold script done
         4   cold ---    |
         9   cold +      |
         9.5 cold +      | store cold, cold up, cold ready after 8.5, cause failover, switched primary>cold, outage ended",
    );
}

#[test]
fn it_serves_as_soon_as_it_answers_even_while_its_script_runs() {
    started("cold cold stop").on(
        "9 cold ++       | store cold, cold up, cold ready after 8, cause failover, switched primary>cold, outage ended
         20 start cold ok | cold script done",
    );
}

#[test]
fn nothing_is_started_before_its_health_is_known() {
    play(
        service(&["primary", "cold cold"]),
        "0.1 primary --- | primary suspected, store primary!, primary down, outage began
         0.2 cold --     |
         0.3 cold -      | cold down, START cold, cold attempt 1",
    );
}

#[test]
fn one_that_runs_already_needs_no_start() {
    play(
        service(&["primary", "cold cold"]),
        "0.1 primary --- | primary suspected, store primary!, primary down, outage began
         0.2 cold +      | store cold, cold up, cause failover, switched primary>cold, outage ended",
    );
}

#[test]
fn nothing_is_started_while_a_hot_one_serves() {
    play(
        service(&["primary", "standby", "cold cold"]),
        "0.1 cold ---    | cold down
         0.1 standby +   | standby up
         1   primary --- | primary suspected, store standby, primary down, cause failover, switched primary>standby
         99  cold ---    |",
    );
}

#[test]
fn a_warm_backend_is_resumed_the_same_way() {
    play(
        service(&["primary", "warm warm stop"]),
        "0.1 warm ---    | warm down
         1   primary --- | primary suspected, store primary!, primary down, outage began, START warm, warm attempt 1
         2   start warm ok | warm script done
         3   warm ++     | store warm, warm up, warm ready after 2, cause failover, switched primary>warm, outage ended
         9   primary ++  | primary up
         10  failback    | store primary, cause failback, switched warm>primary, STOP warm, warm stopping
         11  stop warm ok | warm stopped, forget warm",
    );
}

#[test]
fn after_the_return_to_a_hot_backend_what_was_started_is_stopped() {
    play(
        failing_back(30, &["primary", "cold cold stop"]),
        "0.1 cold ---      | cold down
         1   primary ---   | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1
         2   start cold ok | cold script done
         3   cold ++       | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         100 primary ++    | primary up
         130 tick          | store primary, cause failback, switched cold>primary, STOP cold, cold stopping
         131 stop cold ok  | cold stopped, forget cold
         132 cold ---      | cold down",
    );
}

#[test]
fn what_has_no_stop_script_is_forgotten() {
    started("cold cold").on(
        "2 start cold ok  | cold script done
         3 cold ++        | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         4 primary ++     | primary up
         5 failback       | store primary, cause failback, switched cold>primary, forget cold",
    );
}

#[test]
fn a_stop_that_fails_is_told_and_not_repeated() {
    started("cold cold stop").on(
        "2 start cold ok    | cold script done
         3 cold ++          | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         4 primary ++       | primary up
         5 failback         | store primary, cause failback, switched cold>primary, STOP cold, cold stopping
         6 stop cold failed | cold stopped (exit 1), forget cold
         7 cold +           |",
    );
}

#[test]
fn the_recovery_of_a_hot_backend_wins_over_a_running_start_script() {
    started("cold cold stop").on(
        "2 primary ++        | store primary, primary up, outage ended, ABORT cold, cold aborted
         3 start cold failed | STOP cold, cold stopping
         4 primary ---       | primary suspected, store primary!, primary down, outage began
         5 stop cold ok      | cold stopped, forget cold, START cold, cold attempt 1",
    );
}

#[test]
fn the_recovery_of_a_hot_backend_wins_over_a_start_that_awaits_heartbeats() {
    started("cold cold stop").on("2 start cold ok | cold script done
         3 primary ++    | store primary, primary up, outage ended, STOP cold, cold stopping
         4 stop cold ok  | cold stopped, forget cold");
}

#[test]
fn the_recovery_of_a_standby_wins_too() {
    play(
        service(&["primary", "standby", "cold cold stop"]),
        "0.1 cold ---          | cold down
         0.1 standby ---       | standby down
         1   primary ---       | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1
         2   standby ++        | store standby, standby up, cause failover, switched primary>standby, outage ended, \
                                 ABORT cold, cold aborted
         3   start cold failed | STOP cold, cold stopping
         4   stop cold ok      | cold stopped, forget cold",
    );
}

#[test]
fn a_start_script_that_fails_is_cleared_away_and_tried_again_with_growing_pauses() {
    started("cold cold stop").on(
        "2  start cold failed | cold failed (exit 1) pause 1, STOP cold, cold stopping
         3  stop cold ok      | cold stopped, forget cold
         4  tick              | START cold, cold attempt 2
         5  start cold failed | cold failed (exit 1) pause 2, STOP cold, cold stopping
         6  stop cold ok      | cold stopped, forget cold
         8  tick              | START cold, cold attempt 3
         9  start cold failed | cold failed (exit 1) pause 4, STOP cold, cold stopping
         10 stop cold ok      | cold stopped, forget cold
         14 tick              | START cold, cold attempt 4",
    );
}

#[test]
fn pauses_grow_to_a_minute() {
    let mut play = started("cold cold");
    let mut table = String::new();
    let mut now = 2;
    for (attempt, pause) in (2..).zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        table += &format!("{now} start cold failed | cold failed (exit 1) pause {pause}, forget cold\n");
        now += pause;
        table += &format!("{now} tick | START cold, cold attempt {attempt}\n");
        now += 1;
    }
    play.on(&table);
}

#[test]
fn failures_are_forgiven_after_a_minute_without_one() {
    started("cold cold stop").on(
        "2  start cold failed | cold failed (exit 1) pause 1, STOP cold, cold stopping
         3  stop cold ok      | cold stopped, forget cold
         4  tick              | START cold, cold attempt 2
         5  start cold failed | cold failed (exit 1) pause 2, STOP cold, cold stopping
         6  stop cold ok      | cold stopped, forget cold
         7  primary ++        | store primary, primary up, outage ended
         90 primary ---       | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1
         91 start cold failed | cold failed (exit 1) pause 1, STOP cold, cold stopping
         92 primary ++        | store primary, primary up, outage ended
         93 stop cold ok      | cold stopped, forget cold
         94 primary ---       | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 2",
    );
}

#[test]
fn one_that_dies_shortly_after_each_start_is_started_with_growing_pauses() {
    started("cold cold").on(
        "2   start cold ok | cold script done
         3   cold ++       | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         5   cold ---      | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 1, \
                             forget cold
         6   tick          | START cold, cold attempt 2
         7   start cold ok | cold script done
         8   cold ++       | store cold, cold up, cold ready after 2, outage ended
         9   cold ---      | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 2, \
                             forget cold
         11  tick          | START cold, cold attempt 3
         12  cold ++       | store cold, cold up, cold ready after 1, outage ended
         13  start cold ok | cold script done
         72  cold ---      | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 1, \
                             forget cold",
    );
}

#[test]
fn a_start_without_heartbeats_expires() {
    started("cold cold stop ready=20").on("2  start cold ok | cold script done
         20 cold -        |
         21 tick          | cold failed (no healthy heartbeat within 20s) pause 1, STOP cold, cold stopping
         23 stop cold ok  | cold stopped, forget cold
         24 tick          | START cold, cold attempt 2");
}

#[test]
fn the_first_healthy_heartbeat_in_time_is_enough() {
    started("cold cold stop ready=20").on(
        "2    start cold ok | cold script done
         20.9 cold +        |
         21   tick          |
         21.9 cold +        | store cold, cold up, cold ready after 20.9, cause failover, switched primary>cold, \
                              outage ended",
    );
    started("cold cold stop ready=20").on(
        "2    start cold ok | cold script done
         20.9 cold +        |
         21   tick          |
         21.9 cold -        | cold failed (no healthy heartbeat within 20s) pause 1, STOP cold, cold stopping",
    );
}

#[test]
fn a_start_script_that_hangs_is_aborted() {
    started("cold cold stop ready=20").on(
        "21 tick              | cold failed (no healthy heartbeat within 20s) pause 1, ABORT cold
         22 start cold failed | STOP cold, cold stopping
         23 stop cold ok      | cold stopped, forget cold
         24 tick              | START cold, cold attempt 2",
    );
}

#[test]
fn a_script_that_ends_well_while_it_is_aborted_is_undone_too() {
    started("cold cold stop")
        .on("2 primary ++    | store primary, primary up, outage ended, ABORT cold, cold aborted
         2 start cold ok | STOP cold, cold stopping");
}

#[test]
fn after_a_failure_the_next_one_is_started() {
    play(
        service(&["primary", "a cold stop", "b cold stop ready=20"]),
        "0.1 a ---          | a down
         0.1 b ---          | b down
         1   primary ---    | primary suspected, store primary!, primary down, outage began, START a, a attempt 1
         2   start a failed | a failed (exit 1) pause 1, STOP a, a stopping, START b, b attempt 1
         3   stop a ok      | a stopped, forget a
         4   tick           |
         5   start b ok     | b script done
         22  tick           | b failed (no healthy heartbeat within 20s) pause 1, STOP b, b stopping, START a, a attempt 2
         23  stop b ok      | b stopped, forget b
         24  tick           |
         25  a ++           | store a, a up, a ready after 3, cause failover, switched primary>a, outage ended",
    );
}

#[test]
fn the_next_one_does_not_wait_for_the_pause_of_the_one_before() {
    play(
        service(&["primary", "a cold ready=20", "b cold"]),
        "0.1 a ---       | a down
         0.1 b ---       | b down
         1   primary --- | primary suspected, store primary!, primary down, outage began, START a, a attempt 1
         2   start a ok  | a script done
         21  tick        | a failed (no healthy heartbeat within 20s) pause 1, forget a, START b, b attempt 1",
    );
}

#[test]
fn two_that_hang_do_not_keep_a_third_from_its_turn() {
    play(
        service(&["primary", "a cold ready=20", "b cold ready=20", "c cold"]),
        "0.1 a ---       | a down
         0.1 b ---       | b down
         0.1 c ---       | c down
         1   primary --- | primary suspected, store primary!, primary down, outage began, START a, a attempt 1
         2   start a ok  | a script done
         21  tick        | a failed (no healthy heartbeat within 20s) pause 1, forget a, START b, b attempt 1
         22  tick        |
         23  start b ok  | b script done
         41  tick        | b failed (no healthy heartbeat within 20s) pause 1, forget b, START c, c attempt 1
         42  tick        |
         43  start c failed | c failed (exit 1) pause 1, forget c, START a, a attempt 2",
    );
}

#[test]
fn one_that_comes_up_late_is_taken_and_the_other_start_given_up() {
    play(
        service(&["primary", "a cold", "b cold stop"]),
        "0.1 a ---          | a down
         0.1 b ---          | b down
         1   primary ---    | primary suspected, store primary!, primary down, outage began, START a, a attempt 1
         2   start a failed | a failed (exit 1) pause 1, forget a, START b, b attempt 1
         3   a ++           | store a, a up, cause failover, switched primary>a, outage ended, ABORT b, b aborted
         4   start b failed | STOP b, b stopping",
    );
}

#[test]
fn a_started_one_that_stops_answering_is_started_again() {
    started("cold cold stop").on(
        "2  start cold ok | cold script done
         3  cold ++       | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         90 cold ---      | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 1, \
                            STOP cold, cold stopping
         91 stop cold ok  | cold stopped, forget cold
         92 tick          | START cold, cold attempt 2
         93 start cold ok | cold script done
         94 cold ++       | store cold, cold up, cold ready after 2, outage ended",
    );
}

#[test]
fn a_started_one_that_stops_answering_is_replaced_by_a_hot_one_if_there_is_one() {
    started("cold cold stop").on(
        "2 start cold ok | cold script done
         3 cold ++       | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         4 primary ++    | primary up
         5 cold ---      | cold suspected, store primary, cold down, cause failover, switched cold>primary, \
                           STOP cold, cold stopping",
    );
}

#[test]
fn when_a_started_one_stops_answering_the_next_one_is_started() {
    play(
        service(&["primary", "a cold stop", "b cold"]),
        "0.1 a ---       | a down
         0.1 b ---       | b down
         1   primary --- | primary suspected, store primary!, primary down, outage began, START a, a attempt 1
         2   start a ok  | a script done
         3   a ++        | store a, a up, a ready after 2, cause failover, switched primary>a, outage ended
         9   a ---       | a suspected, store a!, a down, outage began, a failed (stopped answering) pause 1, \
                           STOP a, a stopping, START b, b attempt 1
         10  stop a ok   | a stopped, forget a",
    );
}

#[test]
fn a_cold_backend_in_maintenance_is_not_started() {
    play(
        service(&["primary", "a cold", "b cold"]),
        "0.1 a ---       | a down
         0.1 b ---       | b down
         0.2 maint a on  | a maintenance on
         1   primary --- | primary suspected, store primary!, primary down, outage began, START b, b attempt 1
         2   start b failed | b failed (exit 1) pause 1, forget b
         2.5 maint a off | a maintenance off, START a, a attempt 1",
    );
}

#[test]
fn after_maintenance_earlier_failures_do_not_count() {
    started("cold cold").on("2 start cold failed | cold failed (exit 1) pause 1, forget cold
         3 tick              | START cold, cold attempt 2
         4 start cold failed | cold failed (exit 1) pause 2, forget cold
         5 maint cold on     | cold maintenance on
         5 maint cold off    | cold maintenance off, START cold, cold attempt 1");
}

#[test]
fn maintenance_gives_a_start_up() {
    started("cold cold stop").on("2 maint cold on     | cold maintenance on, ABORT cold, cold aborted
         3 start cold failed | STOP cold, cold stopping
         4 stop cold ok      | cold stopped, forget cold
         5 maint cold off    | cold maintenance off, START cold, cold attempt 1");
}

#[test]
fn maintenance_gives_up_the_start_of_the_last_active_one_too() {
    started("cold cold").on(
        "2 cold ++           | store cold, cold up, cold ready after 1, cause failover, switched primary>cold, outage ended
         3 start cold ok     | cold script done
         4 cold ---          | cold suspected, store cold!, cold down, outage began, cold failed (stopped answering) pause 1, \
                               forget cold
         5 tick              | START cold, cold attempt 2
         6 maint cold on     | cold maintenance on, ABORT cold, cold aborted
         7 start cold failed | forget cold
         8 maint cold off    | cold maintenance off, START cold, cold attempt 1",
    );
}

#[test]
fn a_cold_backend_that_an_operator_started_is_not_ours_to_stop() {
    play(
        service(&["primary", "cold cold stop"]),
        "0.1 primary +      | primary up
         0.1 cold +         | cold up
         1   switch cold    | store cold, cause operator, switched primary>cold
         2   switch primary | store primary, cause operator, switched cold>primary",
    );
}

#[test]
fn what_serves_by_force_without_answering_stops_nothing() {
    play(
        service(&["primary", "cold cold stop"]),
        "0.1 cold ---      | cold down
         1   primary ---   | primary suspected, store primary!, primary down, outage began, START cold, cold attempt 1
         2   start cold ok | cold script done
         3   cold ++       | store cold, cold up, cold ready after 2, cause failover, switched primary>cold, outage ended
         4   switch primary force | store primary, cause forced, switched cold>primary
         5   switch cold   | store cold, cause operator, switched primary>cold
         6   switch primary force | store primary, cause forced, switched cold>primary
         7   primary ++    | primary up, STOP cold, cold stopping, cause operator",
    );
}

#[test]
fn frozen_a_started_one_goes_on() {
    started("cold cold stop ready=20").on("2  freeze        | frozen
         3  start cold ok | cold script done
         21 tick          |
         22 cold ++       | cold up, cold ready after 21
         23 primary ++    | store primary, primary up, outage ended
         24 unfreeze      | unfrozen, STOP cold, cold stopping");
}

#[test]
fn frozen_a_failed_start_is_not_cleared_away() {
    started("cold cold stop").on("2  freeze            | frozen
         3  start cold failed | cold failed (exit 1) pause 1
         60 unfreeze          | unfrozen, STOP cold, cold stopping
         61 stop cold ok      | cold stopped, forget cold
         62 tick              | START cold, cold attempt 2");
}

#[test]
fn frozen_maintenance_stops_nothing() {
    started("cold cold stop").on("2 freeze        | frozen
         3 maint cold on | cold maintenance on
         4 unfreeze      | unfrozen, ABORT cold, cold aborted");
}
