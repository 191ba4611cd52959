//! Where the segments of a few connections must go while a service with two backends is switched to and fro, and which of
//! the connections count: a second opinion, in ordinary collections.

use std::collections::BTreeMap;

use super::frame::flag;

/// What happens to a service; clients are told apart by a number.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A segment of a client with these flags and this sequence number.
    Segment { client: u16, flags: u8, sequence: u32 },
    /// A segment of a backend to a client.
    Answer { backend: u8, client: u16, flags: u8 },
    /// Another backend becomes active, and one may drain.
    Switch { active: u8, draining: Option<u8> },
}

/// A flow that does not count.
#[derive(Clone, Copy)]
struct Half {
    backend: u8,
    /// Sequence number of the SYN that nothing has followed.
    syn: Option<u32>,
}

/// A connection that counts.
#[derive(Clone, Copy)]
struct Whole {
    backend: u8,
    client_ended: bool,
    backend_ended: bool,
}

#[derive(Default)]
struct Client {
    half: Option<Half>,
    whole: Option<Whole>,
    /// A SYN has come, and no other segment since.
    marked: bool,
}

/// The service.
#[derive(Default)]
pub struct Drains {
    clients: BTreeMap<u16, Client>,
    active: u8,
    draining: Option<u8>,
}

impl Drains {
    /// Another backend becomes active.
    pub fn switch(&mut self, active: u8, draining: Option<u8>) {
        (self.active, self.draining) = (active, draining);
    }

    /// The backend that a client's segment must reach.
    pub fn segment(&mut self, client: u16, flags: u8, sequence: u32) -> u8 {
        let (active, draining) = (self.active, self.draining);
        let client = self.clients.entry(client).or_default();
        let opens = flags & (flag::SYN | flag::RST | flag::ACK) == flag::SYN;
        let backend = match draining {
            Some(draining) if client.belongs_to(opens, sequence, draining) == Some(draining) => draining,
            _ => active,
        };
        if opens {
            client.half = Some(Half { backend, syn: Some(sequence) });
            client.marked = true;
        } else {
            client.goes_on(flags, sequence);
        }
        backend
    }

    /// A backend's segment reaches a client.
    pub fn answer(&mut self, client: u16, flags: u8) {
        let Some(client) = self.clients.get_mut(&client) else { return };
        match &mut client.whole {
            Some(whole) if flags & (flag::FIN | flag::RST) != 0 => {
                whole.backend_ended = true;
                client.end(flags);
            }
            Some(_) => {}
            None => client.refused(flags),
        }
    }

    /// The clients whose connections count, each with its backend.
    pub fn counted(&self) -> Vec<(u16, u8)> {
        let whole = |(port, client): (&u16, &Client)| client.whole.map(|whole| (*port, whole.backend));
        self.clients.iter().filter_map(whole).collect()
    }
}

impl Client {
    fn belongs_to(&mut self, opens: bool, sequence: u32, draining: u8) -> Option<u8> {
        if opens {
            return self.half.filter(|half| half.syn == Some(sequence)).map(|half| half.backend);
        }
        let half = match self.half {
            Some(half) if half.is_followed_by(sequence) => return Some(half.backend),
            other => other,
        };
        let known = self.whole.map(|whole| whole.backend).or(half.map(|half| half.backend));
        if known.is_none() {
            self.half = Some(Half { backend: draining, syn: None });
        }
        known.or(Some(draining))
    }

    fn goes_on(&mut self, flags: u8, sequence: u32) {
        if !std::mem::take(&mut self.marked) && flags & (flag::FIN | flag::RST) == 0 {
            return;
        }
        if let Some(half) = self.half.filter(|half| half.is_followed_by(sequence)) {
            self.whole = Some(Whole { backend: half.backend, client_ended: false, backend_ended: false });
            self.half = None;
        }
        match &mut self.whole {
            Some(whole) => {
                whole.client_ended |= flags & flag::FIN != 0;
                self.end(flags);
            }
            None => self.refused(flags),
        }
    }

    /// A reset ends what was only begun.
    fn refused(&mut self, flags: u8) {
        if let Some(half) = self.half.as_mut().filter(|_| flags & flag::RST != 0) {
            half.syn = None;
        }
    }

    /// Ends the connection if both ends have said so, or one at once.
    fn end(&mut self, flags: u8) {
        if let Some(whole) = self.whole
            && (flags & flag::RST != 0 || (whole.client_ended && whole.backend_ended))
        {
            self.half = Some(Half { backend: whole.backend, syn: None });
            self.whole = None;
        }
    }
}

impl Half {
    fn is_followed_by(self, sequence: u32) -> bool {
        self.syn.is_some_and(|syn| (1..=0x1_0000).contains(&sequence.wrapping_sub(syn)))
    }
}
