//! What is printed: a line for each figure, measured next to what it is compared with in the same run.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::sample::Samples;

/// A figure that was measured.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) figure: &'static str,
    /// Of the numbers below.
    pub(crate) unit: &'static str,
    /// The measured value.
    pub(crate) measured: f64,
    /// The middle half of the samples behind it.
    pub(crate) spread: [f64; 2],
    /// What it was compared with in the same run, with unit.
    pub(crate) against: String,
    /// What it is to be.
    pub(crate) reach: Reach,
}

/// A goal.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    /// The `percent`th percentile of `samples`.
    pub(crate) fn percentile(
        figure: &'static str,
        unit: &'static str,
        samples: &Samples,
        percent: usize,
    ) -> Row {
        Row {
            figure,
            unit,
            measured: samples.percentile(percent),
            spread: [samples.percentile(25), samples.percentile(75)],
            against: String::new(),
            reach: Reach::AtMost(0.0),
        }
    }

    /// The same with its goal.
    pub(crate) fn at_most(self, reach: f64) -> Row {
        Row { reach: Reach::AtMost(reach), ..self }
    }

    /// The same with its goal.
    pub(crate) fn at_least(self, reach: f64) -> Row {
        Row { reach: Reach::AtLeast(reach), ..self }
    }

    /// The same, next to something else of the same run.
    pub(crate) fn against(self, against: impl Into<String>) -> Row {
        Row { against: against.into(), ..self }
    }

    /// Whether the goal was reached; it is not by what could not be measured.
    pub(crate) fn met(&self) -> bool {
        match self.reach {
            Reach::AtMost(reach) => self.measured <= reach,
            Reach::AtLeast(reach) => self.measured >= reach,
        }
    }

    fn cells(&self) -> [String; 6] {
        let [low, high] = self.spread.map(number);
        [
            self.figure.to_owned(),
            format!("{} {}", number(self.measured), self.unit),
            format!("{low} .. {high}"),
            self.against.clone(),
            format!("{} {} {}", self.reach.words(), number(self.reach.value()), self.unit),
            if self.met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "figure": self.figure,
            "unit": self.unit,
            "measured": self.measured,
            "spread": self.spread,
            "against": self.against,
            "reach": self.reach.value(),
            "goal": self.reach.words(),
            "met": self.met(),
        })
    }
}

impl Reach {
    fn words(self) -> &'static str {
        match self {
            Reach::AtMost(_) => "at most",
            Reach::AtLeast(_) => "at least",
        }
    }

    fn value(self) -> f64 {
        let (Reach::AtMost(value) | Reach::AtLeast(value)) = self;
        value
    }
}

/// All rows, aligned.
pub(crate) fn text(rows: &[Row]) -> String {
    let head = ["figure", "measured", "middle half", "floor or peer", "reach", "met?"].map(str::to_owned);
    let lines: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let widths: [usize; 6] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text += cells.join(" | ").trim_end();
        text.push('\n');
    }
    text
}

/// Writes all rows to `file`.
pub(crate) fn write_json(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "figures": rows }))?;
    std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Three digits that say something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
