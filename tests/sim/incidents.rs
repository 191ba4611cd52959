//! An incident's trace id, from the first missed heartbeat through everything that follows from it.

use super::services::service;
use super::table::Play;

#[test]
fn one_trace_runs_from_the_first_missed_heartbeat_to_the_switch() {
    Play::new(service(&["primary", "standby"])).traced().on("0.1 primary + | primary up
         0.1 standby + | standby up
         1 primary -   | primary suspected #a
         2 primary -   |
         3 primary -   | store standby, primary down #a, cause failover, switched primary>standby #a
         4 standby -   | standby suspected #b");
}

#[test]
fn a_suspicion_that_came_to_nothing_ends_its_incident() {
    Play::new(service(&["primary", "standby"])).traced().on("0.1 primary + | primary up
         1 primary -+  | primary suspected #a, primary cleared #a
         2 primary -+  | primary suspected #b, primary cleared #b");
}

#[test]
fn missed_heartbeats_of_a_standby_are_no_incident() {
    Play::new(service(&["primary", "standby"])).traced().on("0.1 standby +    | standby up
         1   standby ---- | standby down
         2   standby ++   | standby up");
}

#[test]
fn one_trace_runs_through_outage_start_and_ready_and_the_stop_has_it_too() {
    Play::new(service(&["primary", "cold cold stop"])).traced().on(
        "0.1 cold ---      | cold down
         1   primary ---   | primary suspected #a, store primary!, primary down #a, outage began #a, START cold #a, \
                             cold attempt 1 #a
         2   start cold ok | cold script done #a
         3   cold ++       | store cold, cold up #a, cold ready after 2 #a, cause failover, switched primary>cold #a, \
                             outage ended #a
         4   primary ++    | primary up
         5   failback      | store primary, cause failback, switched cold>primary #b, STOP cold #a, cold stopping #a
         6   stop cold ok  | cold stopped #a, forget cold",
    );
}

#[test]
fn a_second_attempt_belongs_to_the_same_incident() {
    Play::new(service(&["primary", "a cold", "b cold"])).traced().on(
        "0.1 a ---          | a down
         0.1 b ---          | b down
         1   primary ---    | primary suspected #a, store primary!, primary down #a, outage began #a, START a #a, a attempt 1 #a
         2   start a failed | a failed (exit 1) pause 1 #a, forget a, START b #a, b attempt 1 #a
         3   primary ++     | store primary, primary up #a, outage ended #a, ABORT b, b aborted #a",
    );
}

#[test]
fn a_started_one_that_stops_answering_is_an_incident_of_its_own() {
    Play::new(service(&["primary", "cold cold stop"])).traced().on(
        "0.1 cold ---      | cold down
         1   primary ---   | primary suspected #a, store primary!, primary down #a, outage began #a, START cold #a, \
                             cold attempt 1 #a
         2   cold ++       | store cold, cold up #a, cold ready after 1 #a, cause failover, switched primary>cold #a, \
                             outage ended #a
         3   start cold ok | cold script done #a
         9   cold ---      | cold suspected #b, store cold!, cold down #b, outage began #b, \
                             cold failed (stopped answering) pause 1 #a, STOP cold #a, cold stopping #a
         10  stop cold ok  | cold stopped #a, forget cold
         11  tick          | START cold #b, cold attempt 2 #b",
    );
}

#[test]
fn a_restart_keeps_the_trace_of_a_start() {
    Play::new(service(&["primary", "cold cold stop"])).traced().on(
        "0.1 cold ---      | cold down
         1   primary ---   | primary suspected #a, store primary!, primary down #a, outage began #a, START cold #a, \
                             cold attempt 1 #a
         2   restart       |
         3   primary ---   | primary suspected #a, primary down #a
         4   start cold ok | cold script done #a
         5   cold +        | store cold, cold up #a, cold ready after 4 #a, cause failover, switched primary>cold #a, \
                             outage ended #a
         6   restart       |
         7   cold +        | cold up
         8   primary +     | primary up
         9   failback      | store primary, cause failback, switched cold>primary #b, STOP cold #a, cold stopping #a",
    );
}

#[test]
fn each_command_has_a_trace_of_its_own() {
    Play::new(service(&["primary", "standby"])).traced().on(
        "0.1 primary +         | primary up
         0.1 standby +         | standby up
         1   switch standby    | store standby, cause operator, switched primary>standby #a
         2   failback          | store primary, cause failback, switched standby>primary #b
         3   maint primary on  | store standby, cause maintenance, switched primary>standby #c, primary maintenance on",
    );
}
