//! Which version of fastswitch loaded a program, as pins keep it.

/// This one.
pub(super) const OWN: [u8; 4] = [
    number(env!("CARGO_PKG_VERSION_MAJOR")),
    number(env!("CARGO_PKG_VERSION_MINOR")),
    number(env!("CARGO_PKG_VERSION_PATCH")),
    0,
];

/// For people.
pub(super) fn describe([major, minor, patch, _]: [u8; 4]) -> String {
    format!("{major}.{minor}.{patch}")
}

/// A decimal number; one that does not fit does not compile.
const fn number(digits: &str) -> u8 {
    let number = u8::from_str_radix(digits, 10);
    assert!(number.is_ok(), "a part of the version is no number below 256");
    match number {
        Ok(number) => number,
        Err(_) => 0,
    }
}
