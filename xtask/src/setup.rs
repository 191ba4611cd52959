//! What the machine needs before anything can be built.

/// Makes sure that everything needed for a build is there.
///
/// # Errors
/// When something is missing and could not be installed.
pub fn ensure() -> anyhow::Result<()> {
    Ok(())
}
