//! Which ports the gateway's own stack leaves alone.

use std::fs;
use std::io;
use std::ops::RangeInclusive;

use super::NetError;

/// The ports that the stack takes for its own connections, in both families.
const TAKEN: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Those of them that it does not take after all.
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// Below are those of services, which an administrator gives out.
const FIRST: u16 = 1024;

/// The longest run of unprivileged ports that the stack never takes by itself. None if there is none.
///
/// # Errors
/// When the kernel does not say which it takes.
pub fn unused_ports() -> Result<Option<RangeInclusive<u16>>, NetError> {
    let taken = read(TAKEN, |text| range(text, char::is_whitespace))?;
    // Kernels without it reserve none.
    let reserved = if fs::exists(RESERVED).unwrap_or(false) { read(RESERVED, ranges)? } else { Vec::new() };
    Ok(longest_run(&taken, &reserved))
}

fn read<T>(path: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, NetError> {
    let failed = |source| NetError::new(format_args!("read {path}"), "a mounted /proc", source);
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(text.trim()).ok_or_else(|| failed(io::Error::other(format!("it says {text:?}"))))
}

fn range(text: &str, separator: impl Fn(char) -> bool) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once(separator).unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// As in `8080,20000-29999`; may be empty.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| range(part, |letter| letter == '-')).collect()
}

fn longest_run(taken: &RangeInclusive<u16>, reserved: &[RangeInclusive<u16>]) -> Option<RangeInclusive<u16>> {
    let is_unused = |port: &u16| !taken.contains(port) || reserved.iter().any(|range| range.contains(port));
    let ports: Vec<u16> = (FIRST..=u16::MAX).filter(is_unused).collect();
    let runs = ports.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let longest = runs.max_by_key(|run| run.len())?;
    Some(*longest.first()?..=*longest.last()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_outside_is_unused() {
        assert_eq!(longest_run(&(32_768..=60_999), &[]), Some(1024..=32_767));
        assert_eq!(longest_run(&(1024..=9_999), &[]), Some(10_000..=65_535));
        assert_eq!(longest_run(&(1..=u16::MAX), &[]), None);
        assert_eq!(longest_run(&(2000..=u16::MAX), &[]), Some(1024..=1999));
        assert_eq!(longest_run(&(0..=500), &[]), Some(1024..=65_535));
    }

    #[test]
    fn reserved_ports_are_unused_too() {
        assert_eq!(longest_run(&(1024..=u16::MAX), &[8080..=8080, 20_000..=29_999]), Some(20_000..=29_999));
        assert_eq!(longest_run(&(32_768..=60_999), &[32_768..=40_000]), Some(1024..=40_000));
    }

    #[test]
    fn the_kernel_says_it_in_numbers() {
        assert_eq!(range("32768\t60999", char::is_whitespace), Some(32_768..=60_999));
        assert_eq!(range("a b", char::is_whitespace), None);
        assert_eq!(ranges("8080,20000-29999"), Some(vec![8080..=8080, 20_000..=29_999]));
        assert_eq!((ranges(""), ranges("x")), (Some(vec![]), None));
        assert!(unused_ports().is_ok());
    }
}
