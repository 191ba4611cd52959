//! Cutting a picture to a window. It counts characters, each of which is taken to be one column wide.

/// The picture's lines, as many and as much of each as the window has room for. What is missing is said.
pub(super) fn fit(picture: &str, columns: usize, rows: usize) -> Vec<String> {
    let count = picture.lines().count();
    let shown = if count > rows { rows.saturating_sub(1) } else { count };
    let mut lines: Vec<String> = picture.lines().take(shown).map(|line| cut(line, columns)).collect();
    if count > shown {
        lines.push(cut(&format!("… {} more lines: enlarge the window", count - shown), columns));
    }
    lines
}

/// As much of the line as fits, on one line whatever is in it.
fn cut(line: &str, columns: usize) -> String {
    let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    if line.chars().count() <= columns {
        return shown.collect();
    }
    shown.take(columns.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn a_picture_that_fits_stays_as_it_is() {
        assert_eq!(fit("one\n\nthree\n", 5, 3), ["one", "", "three"]);
        assert_eq!(fit("", 5, 3), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_counted() {
        assert_eq!(fit("123456\n12345", 5, 2), ["1234…", "12345"]);
        let lines = "line\n".repeat(10);
        assert_eq!(fit(&lines, 80, 3), ["line", "line", "… 8 more lines: enlarge the window"]);
        assert_eq!(fit(&lines, 4, 1), ["… 1…"]);
    }

    #[test]
    fn nothing_in_it_moves_the_cursor() {
        assert_eq!(fit("a\tb\x1b[H", 80, 1), ["a b [H"]);
    }
}
