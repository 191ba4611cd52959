//! Scripts that a runner starts itself.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::runner::RunnerError;

#[tokio::test]
async fn a_success_is_told_and_kept() {
    let mut lab = Lab::new();
    lab.runner.run(lab.job("exit 0")).unwrap();
    let finished = lab.finished().await;
    let expected = Finished {
        service: IDS.0,
        backend: IDS.1,
        kind: ScriptKind::Start,
        trace: lab.trace(),
        outcome: Ok(()),
    };
    assert_eq!(finished, expected);
    assert_eq!(lab.record().unwrap()["state"], "started");

    lab.runner.run(Job { kind: ScriptKind::Stop, ..lab.job("exit 0") }).unwrap();
    assert_eq!(lab.finished().await, Finished { kind: ScriptKind::Stop, ..expected });
    assert_eq!(lab.record(), None);
}

#[tokio::test]
async fn a_failure_says_how() {
    let mut lab = Lab::new();
    assert_eq!(lab.outcome("exit 3").await, Err("exit status 3".to_owned()));
    assert_eq!(lab.outcome("kill -9 $$").await, Err("killed by signal 9".to_owned()));
    assert_eq!(lab.record().unwrap()["state"], "starting", "who knows how far it came");

    lab.runner.forget("asr", "cold").unwrap();
    assert_eq!(lab.record(), None);
    lab.runner.forget("asr", "cold").unwrap();
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_named() {
    let mut lab = Lab::new();
    let plain = lab.file("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let orphan = lab.file("orphan");
    let text = "printf '#!/no/such/shell\n' > $1/orphan && chmod +x $1/orphan";
    assert_eq!(lab.outcome(text).await, Ok(()));
    assert!(orphan.metadata().unwrap().permissions().mode() & 0o111 != 0);
    for (program, why) in [
        ("/no/such/program", "No such file"),
        ("/etc", "Permission denied"),
        (plain.to_str().unwrap(), "Permission denied"),
        (orphan.to_str().unwrap(), "interpreter"),
    ] {
        let mut job = lab.job("");
        job.script.command = vec![program.to_owned()];
        lab.runner.run(job).unwrap();
        let error = lab.finished().await.outcome.unwrap_err();
        assert!(error.contains(program) && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_script_knows_what_it_is_for_and_nothing_else() {
    let mut lab = Lab::new();
    let text =
        "env | sort; pwd; cat; ps -o pid=,pgid= -p $$ | { read a b; test $a = $b && echo leads its group; }";
    lab.outcome(text).await.unwrap();
    let log = lab.log();
    let lines = log.lines().collect::<Vec<_>>();
    for expected in [
        "FASTSWITCH_ACTION=start",
        "FASTSWITCH_ADDRESS=192.0.2.7:7860",
        "FASTSWITCH_BACKEND=cold",
        "FASTSWITCH_REASON=primary and standby are down",
        "FASTSWITCH_SERVICE=asr",
        &format!("FASTSWITCH_TRACE_ID={}", lab.trace()),
        "/",
        "leads its group",
    ] {
        assert!(lines.contains(&expected), "{expected} is missing:\n{log}");
    }
    assert!(lines.iter().any(|line| line.starts_with("PATH=")));
    assert!(!log.contains("CARGO"), "the daemon's environment leaks:\n{log}");
}

/// Ignores SIGTERM, and so does what it leaves in the background; each writes its process id.
const STUBBORN: &str = "trap '' TERM
    for n in 1 2 3; do sh -c 'trap \"\" TERM; echo $$ >> $1/pids; while :; do sleep 1; done' child \"$1\" & done
    echo $$ >> $1/pids
    while :; do sleep 1; done";

#[tokio::test]
async fn a_time_limit_ends_the_whole_group() {
    let mut lab = Lab::new();
    let mut job = lab.job(STUBBORN);
    job.script.timeout = Duration::from_secs(2);
    lab.runner.run(job).unwrap();
    assert_eq!(lab.finished().await.outcome, Err("timed out after 2s".to_owned()));
    let pids = pids(&lab.file("pids"));
    assert_eq!(pids.len(), 4);
    until("the group is gone", || !pids.iter().any(lives)).await;
}

#[tokio::test]
async fn an_abort_ends_the_whole_group() {
    let mut lab = Lab::new();
    lab.runner.run(lab.job(STUBBORN)).unwrap();
    until("all four run", || pids(&lab.file("pids")).len() == 4).await;
    lab.runner.abort(IDS.0, IDS.1);
    assert_eq!(lab.finished().await.outcome, Err("aborted".to_owned()));
    let pids = pids(&lab.file("pids"));
    until("the group is gone", || !pids.iter().any(lives)).await;
    lab.runner.abort(IDS.0, IDS.1);
}

#[tokio::test]
async fn an_abort_leaves_time_to_tidy_up() {
    let mut lab = Lab::new();
    let text = "trap 'touch $1/tidied; exit 0' TERM; touch $1/began; while :; do sleep 0.05; done";
    lab.runner.run(lab.job(text)).unwrap();
    until("it began", || lab.file("began").exists()).await;
    lab.runner.abort(IDS.0, IDS.1);
    assert_eq!(lab.finished().await.outcome, Err("aborted".to_owned()));
    assert!(lab.file("tidied").exists());
}

#[tokio::test]
async fn an_abort_may_come_before_the_start() {
    let mut lab = Lab::new();
    lab.runner.run(lab.job(STUBBORN)).unwrap();
    lab.runner.abort(IDS.0, IDS.1);
    assert_eq!(lab.finished().await.outcome, Err("aborted".to_owned()));
    let pids = pids(&lab.file("pids"));
    until("the group is gone", || !pids.iter().any(lives)).await;
}

#[tokio::test]
async fn one_script_at_a_time() {
    let mut lab = Lab::new();
    let text = "echo $$ >> $1/pids; while ! test -e $1/go; do sleep 0.05; done";
    lab.runner.run(lab.job(text)).unwrap();
    for again in [lab.job(text), Job { kind: ScriptKind::Stop, ..lab.job(text) }] {
        assert!(matches!(lab.runner.run(again), Err(RunnerError::Busy { .. })));
    }
    assert!(matches!(lab.runner.forget("asr", "cold"), Err(RunnerError::Busy { .. })));
    let other = Job { backend: BackendId(6), backend_name: "colder".to_owned(), ..lab.job("exit 0") };
    lab.runner.run(other).unwrap();
    assert_eq!(lab.finished().await.backend, BackendId(6));
    std::fs::write(lab.file("go"), "").unwrap();
    assert_eq!(lab.finished().await.outcome, Ok(()));
    assert_eq!(pids(&lab.file("pids")).len(), 1);
    assert_eq!(lab.outcome("exit 0").await, Ok(()), "as soon as its end is told, the next may run");
}

#[tokio::test]
async fn a_server_in_the_background_stays_and_keeps_its_output() {
    let mut lab = Lab::new();
    let text =
        "sh -c 'echo $$ > $1/pids; while ! test -e $1/go; do sleep 0.05; done; echo served; sleep 600' \
                server $1 &
                while ! test -s $1/pids; do sleep 0.05; done";
    assert_eq!(lab.outcome(text).await, Ok(()));
    let server = pids(&lab.file("pids"))[0];
    assert!(lives(&server));
    std::fs::write(lab.file("go"), "").unwrap();
    until("it writes", || lab.log().contains("served")).await;
    let group = nix::unistd::getpgid(Some(Pid::from_raw(server))).unwrap();
    kill(Pid::from_raw(-group.as_raw()), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn names_cannot_leave_the_directory_or_meet() {
    let mut lab = Lab::new();
    for (service, backend) in [("../../x", "y"), ("a.b", "c"), ("a", "b.c")] {
        let (service_name, backend_name) = (service.to_owned(), backend.to_owned());
        lab.runner.run(Job { service_name, backend_name, ..lab.job("exit 0") }).unwrap();
        assert_eq!(lab.finished().await.outcome, Ok(()));
    }
    let files = std::fs::read_dir(lab.file("scripts")).unwrap().count();
    assert_eq!(files, 6, "a record and an output each");
}

/// The log of the current thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the log says, each line as JSON, of a start script that is run to its end.
async fn logged(lab: &mut Lab, text: &str) -> Vec<serde_json::Value> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    lab.outcome(text).await.unwrap();
    drop(guard);
    let bytes = log.0.lock().unwrap().clone();
    let lines = String::from_utf8(bytes).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.map(|event| event["fields"].clone()).collect()
}

fn output_lines(events: &[serde_json::Value]) -> Vec<&str> {
    events
        .iter()
        .filter(|fields| fields["message"] == "script output")
        .map(|f| f["line"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn output_comes_into_the_log_line_by_line() {
    let mut lab = Lab::new();
    let events = logged(&mut lab, "echo one; echo two >&2; printf 'half '; sleep 0.3; printf three").await;
    assert_eq!(output_lines(&events), ["one", "two", "half three"]);
    let line = events.iter().find(|fields| fields["line"] == "two").unwrap();
    assert_eq!(line["service"], "asr");
    assert_eq!(line["backend"], "cold");
    assert_eq!(line["action"], "start");
    assert_eq!(line["trace_id"], lab.trace().to_string());
    assert_eq!(lab.log(), "one\ntwo\nhalf three");
    assert_eq!(output_lines(&logged(&mut lab, "echo again").await), ["again"]);
}

#[tokio::test]
async fn a_flood_of_output_does_not_hurt() {
    let mut lab = Lab::new();
    let events = logged(&mut lab, "head -c 300000 /dev/zero | tr '\\0' x; echo; seq 1 20000; echo end").await;
    let lines = output_lines(&events);
    assert_eq!(lines[0].len(), 4096);
    assert!(lines.len() < 2000, "{}", lines.len());
    let end = events.iter().find(|fields| fields.get("lines").is_some()).expect("what is left out is told");
    assert_eq!(lines.len() as u64 + end["lines"].as_u64().unwrap(), 20002);
    assert_eq!(end["bytes"], 0);

    let events = logged(&mut lab, "timeout 1 yes; true").await;
    let end = events.iter().find(|fields| fields.get("lines").is_some()).expect("what is left out is told");
    assert!(end["bytes"].as_u64().unwrap() > 0);
}
