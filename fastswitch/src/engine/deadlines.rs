//! Which service's deadline comes first.

use std::collections::BTreeSet;

use crate::machine::{ServiceId, Time};

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Time, ServiceId)>,
    by_service: Vec<Option<Time>>,
}

impl Deadlines {
    pub(super) fn set(&mut self, service: ServiceId, deadline: Option<Time>) {
        if self.by_service.len() <= service.0 {
            self.by_service.resize(service.0 + 1, None);
        }
        let old = std::mem::replace(&mut self.by_service[service.0], deadline);
        if old == deadline {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, service));
        }
        if let Some(deadline) = deadline {
            self.by_time.insert((deadline, service));
        }
    }

    pub(super) fn first(&self) -> Option<(Time, ServiceId)> {
        self.by_time.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_can_move() {
        let at = |seconds| Some(Time(Duration::from_secs(seconds)));
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.first(), None);
        deadlines.set(ServiceId(4), at(9));
        deadlines.set(ServiceId(1), at(5));
        assert_eq!(deadlines.first().map(|(_, id)| id), Some(ServiceId(1)));
        deadlines.set(ServiceId(1), at(20));
        assert_eq!(deadlines.first().map(|(_, id)| id), Some(ServiceId(4)));
        deadlines.set(ServiceId(4), None);
        deadlines.set(ServiceId(1), None);
        assert_eq!(deadlines.first(), None);
    }
}
