//! What is asked of one target, prepared once, and the means shared by all of them.
//!
//! It owns the choice between the kinds of heartbeat. It refuses to know their protocols.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::join_all;

use super::Target;
use super::clock::Clock;
use super::echo::Echo;
use super::http::Get;
use super::miss::Miss;
use super::packet::Icmp;
use super::{tcp, udp};
use crate::machine::Failure;
use crate::machine::spec::Check;

/// What is asked of one target.
pub(super) enum Question {
    Http(Box<Get>),
    Tcp(SocketAddr),
    Udp(SocketAddr, Vec<u8>),
    Icmp(IpAddr),
}

/// Means shared by all targets of a thread.
pub(super) struct Tools {
    pub(super) clock: Rc<Clock>,
    /// One for each kind of ICMP that any target is asked by.
    echoes: Vec<Echo>,
}

impl Question {
    /// Fails on a path that no HTTP request can carry.
    pub(super) fn new(target: &Target) -> io::Result<Self> {
        let address = SocketAddr::new(target.address, target.heartbeat.port);
        Ok(match &target.heartbeat.check {
            Check::Http { path, expect_status } => {
                Self::Http(Box::new(Get::new(address, path, expect_status)?))
            }
            Check::Tcp => Self::Tcp(address),
            Check::Udp { send } => Self::Udp(address, send.clone()),
            Check::Icmp => Self::Icmp(target.address),
        })
    }

    /// Asks once; the moment of the healthy answer.
    pub(super) async fn ask(&self, tools: &Tools, deadline: Instant) -> Result<Instant, Miss> {
        let clock = &tools.clock;
        let answer = match self {
            Self::Http(get) => return get.ask(clock, deadline).await,
            Self::Tcp(address) => clock.within(deadline, tcp::ask(*address)).await,
            Self::Udp(address, send) => clock.within(deadline, udp::ask(*address, send)).await,
            Self::Icmp(address) => match tools.echo(Icmp::of(*address)) {
                Some(echo) => clock.within(deadline, echo.ask(*address)).await,
                None => Some(Err(Failure::Local("no ICMP socket".to_owned()).into())),
            },
        };
        answer.unwrap_or(Err(Miss::Failure(Failure::Timeout)))
    }
}

impl Tools {
    /// Opens what `questions` need on the current runtime.
    pub(super) fn open(clock: Rc<Clock>, questions: &[Question]) -> io::Result<Self> {
        let asked = |question: &Question| match question {
            Question::Icmp(address) => Some(Icmp::of(*address)),
            _ => None,
        };
        let kinds: BTreeSet<Icmp> = questions.iter().filter_map(asked).collect();
        Ok(Self { clock, echoes: kinds.into_iter().map(Echo::open).collect::<io::Result<_>>()? })
    }

    /// Hands out echo replies; never ends while the runtime lives, ends at once when there are none.
    pub(super) async fn receive_echoes(&self) {
        join_all(self.echoes.iter().map(Echo::receive)).await;
    }

    fn echo(&self, icmp: Icmp) -> Option<&Echo> {
        self.echoes.iter().find(|echo| echo.icmp() == icmp)
    }
}
