//! What is asked of one target, prepared once, and the means shared by all of them.
//!
//! It owns the choice between the kinds of heartbeat. It refuses to know their protocols.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Instant;

use super::Target;
use super::clock::Clock;
use super::echo::Echo;
use super::http::Get;
use super::miss::Miss;
use super::{tcp, udp};
use crate::machine::Failure;
use crate::machine::spec::Check;

/// What is asked of one target.
pub(super) enum Question {
    Http(Box<Get>),
    Tcp(SocketAddrV4),
    Udp(SocketAddrV4, Vec<u8>),
    Icmp(Ipv4Addr),
}

/// Means shared by all targets of a thread.
pub(super) struct Tools {
    pub(super) clock: Rc<Clock>,
    /// There when any target is asked by ICMP.
    pub(super) echo: Option<Echo>,
}

impl Question {
    /// Fails on a path that no HTTP request can carry.
    pub(super) fn new(target: &Target) -> io::Result<Self> {
        let address = SocketAddrV4::new(target.address, target.heartbeat.port);
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
            Self::Icmp(address) => match &tools.echo {
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
        let pings = questions.iter().any(|question| matches!(question, Question::Icmp(_)));
        Ok(Self { clock, echo: if pings { Some(Echo::open()?) } else { None } })
    }

    /// Hands out echo replies; never ends while the runtime lives, ends at once when there are none.
    pub(super) async fn receive_echoes(&self) {
        if let Some(echo) = &self.echo {
            echo.receive().await;
        }
    }
}
