//! Network namespaces for tests, wired with veth pairs; gone when dropped, also when the test failed.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::Failed;
use nix::sched::{CloneFlags, setns};

static MADE: AtomicU32 = AtomicU32::new(0);

/// A network namespace.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; `role` makes its name readable, the rest of the name is unique.
    pub(crate) fn new(role: &str) -> Result<Self, Failed> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("fsnet-{}-{number}-{role}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip("link set dev lo up")?;
        Ok(namespace)
    }

    /// A veth pair named `here` in this namespace and `there` in the other, both ends up.
    pub(crate) fn connect(&self, here: &str, other: &Self, there: &str) -> Result<(), Failed> {
        self.ip(&format!("link add {here} type veth peer name {there} netns {}", other.name))?;
        self.ip(&format!("link set dev {here} up"))?;
        other.ip(&format!("link set dev {there} up"))
    }

    /// Runs `ip` with these words in the namespace.
    pub(crate) fn ip(&self, words: &str) -> Result<(), Failed> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(words.split_whitespace()).collect();
        run("ip", &words).map(drop)
    }

    /// What `ip` with these words prints in the namespace.
    pub(crate) fn ip_output(&self, words: &str) -> Result<String, Failed> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(words.split_whitespace()).collect();
        run("ip", &words)
    }

    /// Runs a future in the namespace, on a thread and a tokio runtime of its own.
    pub(crate) fn run<T: Send>(
        &self,
        future: impl AsyncFnOnce() -> Result<T, Failed> + Send,
    ) -> Result<T, Failed> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(File::open(format!("/run/netns/{}", self.name))?, CloneFlags::CLONE_NEWNET)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(future())
            });
            thread.join().unwrap_or_else(|_| Err("the test panicked; see above".into()))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run("ip", &["netns", "del", &self.name]) {
            eprintln!("{}", error.message().unwrap_or("ip netns del failed"));
        }
    }
}

fn run(program: &str, words: &[&str]) -> Result<String, Failed> {
    let output = Command::new(program).args(words).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {}", words.join(" "), said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
