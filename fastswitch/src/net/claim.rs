//! Claims addresses on a link by ARP and neighbour discovery: asks first whether somebody else has them, and announces
//! them then.
//!
//! It refuses to defend an address: it neither answers requests (the kernel does) nor decides what follows from a
//! conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::link::Link;
use super::{Family, Interface, Mac, NetError, arp, ndp};

/// How often each address is asked for: a single question may be lost.
const PROBES: u32 = 3;
/// Between two questions; the last one is given twice that.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Asks the link of `interface` who else has, or is about to take, one of `vips` (as RFC 5227 and RFC 4862 do, in
/// 400 ms in all).
/// Returns those addresses, each with the other machine. Answers of this machine's own interfaces do not count.
///
/// # Errors
/// Without CAP_NET_RAW, or when the interface is gone or down.
pub async fn conflicts(interface: &Interface, vips: &[IpAddr]) -> Result<BTreeMap<IpAddr, Mac>, NetError> {
    let asked = async {
        let (mut found, more) =
            tokio::try_join!(ask(interface, vips, Family::V4), ask(interface, vips, Family::V6))?;
        found.extend(more);
        Ok(found)
    };
    asked.await.map_err(|source| {
        let action = format!("ask on interface {} whether another host has {}", interface.name, list(vips));
        NetError::new(action, "CAP_NET_RAW", source)
    })
}

/// Tells every machine on the link of `interface` that `vips` are here now. Nobody confirms it: repeat it.
///
/// # Errors
/// Without CAP_NET_RAW, or when the interface is gone or down.
pub async fn announce(interface: &Interface, vips: &[IpAddr]) -> Result<(), NetError> {
    tell(interface, vips).await.map_err(|source| {
        let action = format!("announce {} on interface {}", list(vips), interface.name);
        NetError::new(action, "CAP_NET_RAW", source)
    })
}

async fn ask(interface: &Interface, vips: &[IpAddr], family: Family) -> io::Result<BTreeMap<IpAddr, Mac>> {
    let mut open: BTreeSet<IpAddr> = of_family(vips, family).collect();
    let mut found = BTreeMap::new();
    if open.is_empty() {
        return Ok(found);
    }
    let mut link = Link::open(interface, family)?;
    link.listen(of_family(vips, family))?;
    let mut until = Instant::now();
    for round in 1..=PROBES {
        for vip in &open {
            link.send(&probe(interface.mac, *vip)).await?;
        }
        until += if round < PROBES { PROBE_INTERVAL } else { 2 * PROBE_INTERVAL };
        while !open.is_empty() {
            let Ok(claim) = timeout_at(until, link.foreign_claim()).await else {
                break;
            };
            let (address, mac) = claim?;
            if open.remove(&address) {
                found.insert(address, mac);
            }
        }
    }
    Ok(found)
}

async fn tell(interface: &Interface, vips: &[IpAddr]) -> io::Result<()> {
    for family in [Family::V4, Family::V6] {
        let mut vips = of_family(vips, family).peekable();
        if vips.peek().is_none() {
            continue;
        }
        let link = Link::open(interface, family)?;
        for vip in vips {
            for frame in announcements(interface.mac, vip) {
                link.send(&frame).await?;
            }
        }
    }
    Ok(())
}

fn of_family(vips: &[IpAddr], family: Family) -> impl Iterator<Item = IpAddr> {
    vips.iter().copied().filter(move |vip| Family::of(*vip) == family)
}

fn probe(from: Mac, vip: IpAddr) -> Vec<u8> {
    match vip {
        IpAddr::V4(vip) => arp::probe(from, vip).to_vec(),
        IpAddr::V6(vip) => ndp::probe(from, vip).to_vec(),
    }
}

fn announcements(mac: Mac, vip: IpAddr) -> Vec<Vec<u8>> {
    match vip {
        IpAddr::V4(vip) => {
            vec![arp::announcement(mac, vip).to_vec(), arp::unsolicited_reply(mac, vip).to_vec()]
        }
        IpAddr::V6(vip) => vec![ndp::announcement(mac, vip).to_vec()],
    }
}

/// For messages: a thousand addresses are no help.
fn list(vips: &[IpAddr]) -> String {
    match vips {
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len())
        }
        few => few.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
    }
}
