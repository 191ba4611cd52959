//! What must not be given twice, and who gave it first.

use std::collections::HashMap;
use std::hash::Hash;

/// Values that each belong to one object.
pub(super) struct Unique<K>(HashMap<K, Owner>);

/// Who gave a value first, and the byte where.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) who: String,
    pub(super) at: usize,
}

impl<K: Hash + Eq> Unique<K> {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Gives `value` to `who`, unless somebody has it already: then that owner.
    pub(super) fn claim(&mut self, value: K, who: &str, at: usize) -> Option<Owner> {
        let mut earlier = None;
        self.0
            .entry(value)
            .and_modify(|owner| earlier = Some(owner.clone()))
            .or_insert_with(|| Owner { who: who.to_owned(), at });
        earlier
    }

    /// Who has `value`.
    pub(super) fn owner(&self, value: &K) -> Option<&Owner> {
        self.0.get(value)
    }
}
