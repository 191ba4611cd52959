//! Processes of scripts: starting them, noticing their end, ending them, finding them again.
//!
//! It owns process ids and signals. It refuses to signal a group of which it is not sure: the leader is held by a
//! pidfd from the first to the last, and a child of this process is not reaped before its group is done with.

use std::fs::{self, File};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, timeout};

use super::Job;
use super::record::{Identity, Record};
use super::supervise::Task;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long the kernel may take to end a process after SIGKILL before nobody waits for it any more.
const REAP_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at who is left of a group.
const LOOK: Duration = Duration::from_millis(20);
/// Where programs are looked for when the daemon's own environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A script's process, the leader of its group.
#[derive(Debug)]
pub(super) struct Process {
    leader: Pid,
    /// Not there when an earlier daemon was its parent.
    child: Option<Child>,
    end: AsyncFd<OwnedFd>,
}

impl Process {
    /// Runs the script of `job` in a process group of its own, with `output` as its standard output and error.
    pub(super) fn start(task: &Task, job: &Job, output: &File) -> Result<Self, String> {
        let Some((program, arguments)) = job.script.command.split_first() else {
            return Err("the command is empty".to_owned());
        };
        let describe = |error: &io::Error| match Path::new(program).try_exists() {
            Ok(true) if error.kind() == io::ErrorKind::NotFound => {
                format!("cannot run {program}: the interpreter that its first line names does not exist")
            }
            _ => format!("cannot run {program}: {error}"),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
            .envs(environment(task))
            .env("FASTSWITCH_ADDRESS", job.address.to_string())
            .env("FASTSWITCH_REASON", &job.reason)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null());
        let child = output
            .try_clone()
            .and_then(|error| Ok((error, output.try_clone()?)))
            .and_then(|(error, output)| command.stdout(output).stderr(error).spawn())
            .map_err(|error| describe(&error))?;
        let leader = Pid::from_raw(child.id().cast_signed());
        match watch_end(leader) {
            Ok(end) => Ok(Self { leader, child: Some(child), end }),
            Err(error) => {
                end_unwatched(leader, child);
                Err(format!("cannot watch {program}, which was ended again: {error}"))
            }
        }
    }

    /// What is to be recorded to find it again.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        let pid = self.leader.as_raw();
        let began = Stat::read(pid).ok_or(io::ErrorKind::NotFound)?.began;
        Ok(Identity { pid, began, boot: boot_id()? })
    }

    /// Waits for its end; the group may live on.
    pub(super) async fn ended(&self) {
        // An error means that the runtime itself is ending.
        let _ = self.end.readable().await;
    }

    /// Its exit status, once it has ended and if it can be known.
    pub(super) fn reap(mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Ends the whole group, if need be by force.
    pub(super) async fn terminate(&self) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while group_lives(self.leader) {
            if Instant::now() >= deadline {
                self.signal(Signal::SIGKILL);
                break;
            }
            sleep(LOOK).await;
        }
        if timeout(REAP_LIMIT, self.ended()).await.is_err() {
            tracing::warn!(
                pid = self.leader.as_raw(),
                "a script does not end although it was killed; it is left behind"
            );
        }
    }

    fn signal(&self, signal: Signal) {
        // Nobody left to signal is what the signal was for.
        let _ = killpg(self.leader, signal);
    }
}

/// Finds the script of `task`, which an earlier daemon started, if it still runs.
///
/// Without a recorded process, that daemon died between starting the script and recording it. Then the environment
/// tells: the oldest group leader that has the script's. A session leader is something that the script started.
pub(super) fn find(record: &Record, task: &Task) -> Option<Process> {
    let pid = match &record.process {
        Some(identity) if boot_id().ok()? == identity.boot => identity.pid,
        Some(_) => return None,
        None => {
            let wanted = environment(task).map(|(key, value)| format!("{key}={value}"));
            let script = |stat: &Stat| {
                stat.pid == stat.group && stat.pid != stat.session && has_environment(stat.pid, &wanted)
            };
            processes().filter(script).min_by_key(|stat| stat.began)?.pid
        }
    };
    // Held before the last look, so that it cannot be another one by then.
    let end = watch_end(Pid::from_raw(pid)).ok()?;
    let stat = Stat::read(pid)?;
    let same = record.process.as_ref().is_none_or(|identity| identity.began == stat.began);
    (same && stat.alive()).then(|| Process { leader: Pid::from_raw(pid), child: None, end })
}

/// What of a script's environment tells it from all others.
fn environment(task: &Task) -> [(&'static str, String); 4] {
    [
        ("FASTSWITCH_SERVICE", task.service_name.clone()),
        ("FASTSWITCH_BACKEND", task.backend_name.clone()),
        ("FASTSWITCH_ACTION", task.kind.name().to_owned()),
        ("FASTSWITCH_TRACE_ID", task.trace.to_string()),
    ]
}

fn has_environment(pid: i32, wanted: &[String]) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    wanted.iter().all(|wanted| environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes()))
}

fn watch_end(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: takes two integers and touches no memory.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor, for nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: an owned descriptor is open as long as its owner lives, and always the same.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Ends a group that cannot be watched, before it has come far.
fn end_unwatched(leader: Pid, mut child: Child) {
    let _ = killpg(leader, Signal::SIGKILL);
    let _ = child.wait();
}

fn group_lives(group: Pid) -> bool {
    processes().any(|stat| stat.group == group.as_raw() && stat.alive())
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

fn processes() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?))
}

/// What `/proc` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    state: u8,
    group: i32,
    session: i32,
    began: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name, in parentheses, may itself contain anything.
    fn parse(pid: i32, line: &[u8]) -> Option<Self> {
        let after_name = line.iter().rposition(|&byte| byte == b')')? + 1;
        let rest = std::str::from_utf8(line.get(after_name..)?).ok()?;
        let fields = rest.split_ascii_whitespace().collect::<Vec<_>>();
        Some(Self {
            pid,
            state: *fields.first()?.as_bytes().first()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            began: fields.get(19)?.parse().ok()?,
        })
    }

    /// Neither a zombie nor dead.
    fn alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// What an exit status says of a script.
pub(super) fn judge(status: ExitStatus) -> Result<(), String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit status {code}")),
        (None, Some(signal)) => Err(format!("killed by signal {signal}")),
        (None, None) => Err(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let line = b"7 (a) R 1) S 1 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0";
        let stat = Stat { pid: 7, state: b'S', group: 8, session: 9, began: 12345 };
        assert_eq!(Stat::parse(7, line), Some(stat));
        assert_eq!(Stat::parse(7, b"7 (cut) S 1 8"), None);
        assert_eq!(Stat::parse(7, b""), None);
    }
}
