//! A picture on a terminal that is painted anew again and again, and leaves no trace: it is on the alternate screen, so
//! that what was on the terminal before is there afterwards.
//!
//! It refuses to scroll, to read keys and to handle signals: whoever paints drops the [`Screen`] before the process ends.

mod fit;

use std::io::{self, Write as _};

use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue, style, terminal};

/// What a terminal that does not know its size is taken for, in columns and rows.
const USUAL: (u16, u16) = (80, 24);

/// Standard output's alternate screen, until it is dropped.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Changes to it; standard output must be a terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn enter() -> io::Result<Self> {
        // Made first, so that half of the way is undone as well.
        let screen = Self(());
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Paints the picture in place of the one before, cut to the window's size of this moment.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn paint(&self, picture: &str) -> io::Result<()> {
        let has_size = |(columns, rows): &(u16, u16)| *columns > 0 && *rows > 0;
        let (columns, rows) = terminal::size().ok().filter(has_size).unwrap_or(USUAL);
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate)?;
        let lines = fit::fit(picture, columns.into(), rows.into());
        // Every row is put at its place: a line break could scroll, and somebody may have typed something meanwhile.
        for (row, line) in (0..rows).zip(lines.iter().map(String::as_str).chain(std::iter::repeat(""))) {
            queue!(frame, cursor::MoveTo(0, row), Clear(ClearType::CurrentLine), style::Print(line))?;
        }
        queue!(frame, EndSynchronizedUpdate)?;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone has nothing left to be put right.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
    }
}
