//! Scripts that outlive the daemon that started them.

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::runner::{Recovered, State};

/// Runs `text` in a daemon that is killed as soon as the script has made the file `began`.
async fn orphan(text: &str, limit: Duration) -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runner::tests::recovery::daemon_to_be_killed"])
        .env("FASTSWITCH_TEST_DIRECTORY", directory.path())
        .env("FASTSWITCH_TEST_SCRIPT", text)
        .env("FASTSWITCH_TEST_LIMIT", limit.as_millis().to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let recorded = directory.path().join("scripts/asr.cold.json");
    let began = directory.path().join("began");
    until("the script runs and is recorded", || {
        began.exists() && std::fs::read_to_string(&recorded).is_ok_and(|record| record.contains("pid"))
    })
    .await;
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    Lab::on(directory)
}

/// The daemon that `orphan` starts and kills; nothing without it.
#[tokio::test]
async fn daemon_to_be_killed() {
    let Ok(directory) = std::env::var("FASTSWITCH_TEST_DIRECTORY") else { return };
    let variable = |name: &str| std::env::var(format!("FASTSWITCH_TEST_{name}")).unwrap();
    let (sender, _finished) = mpsc::unbounded_channel();
    let directory = PathBuf::from(directory);
    let runner = Runner::open(&directory, sender).unwrap();
    let mut job = job(&directory, &variable("SCRIPT"));
    job.script.timeout = Duration::from_millis(variable("LIMIT").parse().unwrap());
    runner.run(job).unwrap();
    std::future::pending::<()>().await;
}

fn recover(lab: &Lab) -> Vec<Recovered> {
    lab.runner.recover(|service, backend| (service == "asr" && backend == "cold").then_some(IDS)).unwrap()
}

/// The one record, without its time.
fn recovered(lab: &Lab) -> (State, bool) {
    let [recovered] = recover(lab).try_into().unwrap();
    assert_eq!((recovered.service, recovered.backend), IDS);
    assert_eq!((recovered.service_name.as_str(), recovered.backend_name.as_str()), ("asr", "cold"));
    assert_eq!(recovered.trace, lab.trace());
    assert!(recovered.since.elapsed().unwrap() < LIMIT);
    (recovered.state, recovered.running)
}

const UNTIL_GO: &str =
    "echo $$ >> $1/pids; touch $1/began; while ! test -e $1/go; do sleep 0.05; done; echo went on";

#[tokio::test]
async fn a_script_that_still_runs_is_adopted() {
    let mut lab = orphan(UNTIL_GO, LIMIT).await;
    assert_eq!(recovered(&lab), (State::Starting, true));
    assert!(lab.runner.run(lab.job(UNTIL_GO)).is_err(), "it is not started twice");
    std::fs::write(lab.file("go"), "").unwrap();
    let finished = lab.finished().await;
    assert_eq!((finished.service, finished.backend, finished.trace), (IDS.0, IDS.1, lab.trace()));
    assert_eq!(finished.outcome, Ok(()));
    assert_eq!(pids(&lab.file("pids")).len(), 1);
    assert!(lab.log().contains("went on"), "its output did not end with the daemon");
    assert_eq!(recovered(&lab), (State::Started, false));
}

/// Makes the record look as if the daemon had died right after starting the script.
fn lose_process(lab: &Lab) {
    let mut record = lab.record().unwrap();
    record["process"] = serde_json::Value::Null;
    std::fs::write(lab.file("scripts/asr.cold.json"), record.to_string()).unwrap();
}

#[tokio::test]
async fn a_script_is_found_by_its_environment() {
    let mut lab = orphan(UNTIL_GO, LIMIT).await;
    lose_process(&lab);
    assert_eq!(recovered(&lab), (State::Starting, true));
    std::fs::write(lab.file("go"), "").unwrap();
    assert_eq!(lab.finished().await.outcome, Ok(()));
}

#[tokio::test]
async fn what_a_script_left_behind_is_not_the_script() {
    let text = "setsid sh -c 'echo $$ > $1/pids; exec sleep 600' server $1 &
                while ! test -s $1/pids; do sleep 0.05; done; echo $$ > $1/script; touch $1/began; exec sleep 600";
    let lab = orphan(text, LIMIT).await;
    let server = pids(&lab.file("pids"))[0];
    let script = pids(&lab.file("script"))[0];
    kill(Pid::from_raw(script), Signal::SIGKILL).unwrap();
    until("the script is gone", || !lives(&script)).await;
    assert_eq!(recovered(&lab), (State::Starting, false));
    lose_process(&lab);
    assert_eq!(recovered(&lab), (State::Starting, false));
    assert!(lives(&server));
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn the_time_limit_counts_from_the_first_start() {
    let text = "trap '' TERM; echo $$ >> $1/pids; sleep 600 & echo $! >> $1/pids; touch $1/began; while :; do sleep 1; done";
    let mut lab = orphan(text, Duration::from_secs(3)).await;
    assert_eq!(recovered(&lab), (State::Starting, true));
    assert_eq!(lab.finished().await.outcome, Err("timed out after 3s".to_owned()));
    let pids = pids(&lab.file("pids"));
    assert_eq!(pids.len(), 2);
    until("the group is gone", || !pids.iter().any(lives)).await;
}

#[tokio::test]
async fn an_adopted_script_can_be_aborted() {
    let mut lab = orphan(UNTIL_GO, LIMIT).await;
    assert_eq!(recovered(&lab), (State::Starting, true));
    lab.runner.abort(IDS.0, IDS.1);
    assert_eq!(lab.finished().await.outcome, Err("aborted".to_owned()));
    assert!(!pids(&lab.file("pids")).iter().any(lives));
}

#[tokio::test]
async fn another_boot_or_another_process_is_not_adopted() {
    let lab = orphan(UNTIL_GO, LIMIT).await;
    let record = lab.record().unwrap();
    for (field, value) in [("boot", serde_json::json!("another")), ("began", serde_json::json!(1))] {
        let mut other = record.clone();
        other["process"][field] = value;
        std::fs::write(lab.file("scripts/asr.cold.json"), other.to_string()).unwrap();
        assert_eq!(recovered(&lab), (State::Starting, false), "{field}");
    }
    std::fs::write(lab.file("go"), "").unwrap();
}

#[tokio::test]
async fn torn_records_are_moved_aside() {
    let mut lab = Lab::new();
    assert_eq!(lab.outcome("exit 0").await, Ok(()));
    let record = lab.file("scripts/asr.cold.json");
    let whole = std::fs::read_to_string(&record).unwrap();
    for torn in [
        "",
        &whole[..whole.len() / 2],
        "\0\0\0\0",
        "{}",
        &whole.replace(&lab.trace().to_string(), "no hex"),
        &whole.replace("asr", "tts"),
    ] {
        std::fs::write(&record, torn).unwrap();
        assert_eq!(recover(&lab), []);
        assert!(!record.exists());
        let aside = lab.file("scripts/asr.cold.json.corrupt");
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), torn);
    }
    std::fs::write(lab.file("scripts/asr.cold.tmp"), "half a rec").unwrap();
    assert_eq!(lab.outcome("exit 0").await, Ok(()), "a torn temporary file is in nobody's way");
    assert_eq!(recovered(&lab), (State::Started, false));
}

#[tokio::test]
async fn a_backend_that_is_gone_keeps_its_record() {
    let mut lab = Lab::new();
    assert_eq!(lab.outcome("exit 0").await, Ok(()));
    assert_eq!(lab.runner.recover(|_, _| None).unwrap(), []);
    assert_eq!(recovered(&lab), (State::Started, false));
}
