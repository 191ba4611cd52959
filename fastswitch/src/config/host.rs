//! The machine that a configuration is for. It owns the questions; whoever is on that machine answers them.

/// What a configuration may name of a machine, and whether that is there.
pub trait Host {
    /// Whether it has an interface of this name.
    fn has_interface(&self, name: &str) -> bool;

    /// Why the program at this path cannot be run; none if it can.
    fn unfit(&self, program: &str) -> Option<String>;
}
