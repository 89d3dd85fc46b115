//! Numbers over time, in steps of two lengths.

use std::{collections::VecDeque, time::Duration};

use ilb_connections::Load;
use tokio::time::Instant;

/// Numbers of the last ten minutes in short steps, and of the last day in long ones.
///
/// Memory: 264 steps of 32 bytes, 8.4 KB, all of it from the start.
#[derive(Debug)]
pub(crate) struct Series {
    fine: Steps,
    coarse: Steps,
}

/// A span of time with its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Span {
    /// Ten minutes in steps of 5 s.
    TenMinutes,
    /// A day in steps of 10 minutes.
    Day,
}

/// Numbers of one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Numbers {
    /// Connections that are open.
    pub(crate) connections: u32,
    /// Connections opened since the sample before.
    pub(crate) opened: u32,
    /// Connections closed since then.
    pub(crate) closed: u32,
    /// Connections that were never answered among these.
    pub(crate) failed: u32,
    /// Bytes moved since then.
    pub(crate) bytes: u64,
    /// Excess of the fullest backend over the mean, relative to the mean.
    pub(crate) imbalance: Option<f64>,
}

/// Means of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Point {
    /// `None` if connections were not counted.
    pub(crate) connections: Option<f64>,
    pub(crate) opened_per_second: Option<f64>,
    pub(crate) closed_per_second: Option<f64>,
    pub(crate) failed_per_second: Option<f64>,
    pub(crate) bytes_per_second: Option<f64>,
    /// `None` also where there was nothing to compare.
    pub(crate) imbalance: Option<f64>,
}

#[derive(Debug)]
struct Steps {
    length: Duration,
    max: usize,
    /// The beginning of the first step.
    begun: Option<Instant>,
    /// Number of the newest step since the beginning.
    newest: u64,
    content: VecDeque<Step>,
}

/// Sums of one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    samples: u32,
    compared: u32,
    connections: f32,
    imbalance: f32,
    opened: u32,
    closed: u32,
    failed: u32,
    bytes: f32,
}

impl Numbers {
    /// Takes the numbers of a backend from its load; `failed` of its connections were never answered.
    pub(super) fn new(load: &Load, failed: Option<u32>) -> Self {
        Self {
            connections: load.connections(),
            opened: load.opened,
            closed: load.closed,
            failed: failed.unwrap_or_default(),
            bytes: load.moved,
            imbalance: None,
        }
    }

    /// Adds the numbers of a backend.
    pub(super) fn add(&mut self, other: &Self) {
        self.connections = self.connections.saturating_add(other.connections);
        self.opened = self.opened.saturating_add(other.opened);
        self.closed = self.closed.saturating_add(other.closed);
        self.failed = self.failed.saturating_add(other.failed);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Span {
    /// Returns the length of a step.
    pub(crate) fn step(self) -> Duration {
        match self {
            Self::TenMinutes => Duration::from_secs(5),
            Self::Day => Duration::from_secs(600),
        }
    }

    fn steps(self) -> usize {
        match self {
            Self::TenMinutes => 120,
            Self::Day => 144,
        }
    }
}

impl Series {
    pub(super) fn new() -> Self {
        Self { fine: Steps::new(Span::TenMinutes), coarse: Steps::new(Span::Day) }
    }

    pub(super) fn add(&mut self, numbers: &Numbers, now: Instant) {
        self.fine.add(numbers, now);
        self.coarse.add(numbers, now);
    }

    /// Returns the steps up to now, oldest first.
    pub(super) fn points(&self, span: Span, now: Instant) -> Vec<Point> {
        match span {
            Span::TenMinutes => self.fine.points(now),
            Span::Day => self.coarse.points(now),
        }
    }

    /// Returns the means of the last two complete short steps.
    pub(super) fn recent(&self, now: Instant) -> Option<Point> {
        let points = self.fine.points(now);
        let [.., before, last, _] = points.as_slice() else { return points.first().copied() };
        let mean = |of: fn(&Point) -> Option<f64>| match (of(before), of(last)) {
            (Some(a), Some(b)) => Some(f64::midpoint(a, b)),
            (a, b) => b.or(a),
        };
        Some(Point {
            connections: mean(|p| p.connections),
            opened_per_second: mean(|p| p.opened_per_second),
            closed_per_second: mean(|p| p.closed_per_second),
            failed_per_second: mean(|p| p.failed_per_second),
            bytes_per_second: mean(|p| p.bytes_per_second),
            imbalance: mean(|p| p.imbalance),
        })
    }
}

impl Steps {
    fn new(span: Span) -> Self {
        let content = VecDeque::with_capacity(span.steps());
        Self { length: span.step(), max: span.steps(), begun: None, newest: 0, content }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "seven digits are enough")]
    fn add(&mut self, numbers: &Numbers, now: Instant) {
        self.move_on(now);
        let Some(step) = self.content.back_mut() else { return };
        step.samples += 1;
        step.connections += numbers.connections as f32;
        step.opened = step.opened.saturating_add(numbers.opened);
        step.closed = step.closed.saturating_add(numbers.closed);
        step.failed = step.failed.saturating_add(numbers.failed);
        step.bytes += numbers.bytes as f32;
        if let Some(ratio) = numbers.imbalance {
            step.compared += 1;
            step.imbalance += ratio as f32;
        }
    }

    /// Begins all steps up to `now`.
    fn move_on(&mut self, now: Instant) {
        let missing = self.missing(now);
        self.begun.get_or_insert(now);
        self.newest += if self.content.is_empty() { 0 } else { missing };
        for _ in 0..missing.min(self.max as u64) {
            if self.content.len() == self.max {
                self.content.pop_front();
            }
            self.content.push_back(Step::default());
        }
    }

    /// Returns how many steps have begun since the newest one.
    fn missing(&self, now: Instant) -> u64 {
        let Some(begun) = self.begun else { return 1 };
        let step = now.saturating_duration_since(begun).as_secs() / self.length.as_secs();
        step.saturating_sub(self.newest)
    }

    fn points(&self, now: Instant) -> Vec<Point> {
        let Some(begun) = self.begun else { return Vec::new() };
        let missing = usize::try_from(self.missing(now)).unwrap_or(usize::MAX).min(self.max);
        let kept = self.content.len().min(self.max - missing);
        let last = begun + self.length * u32::try_from(self.newest).unwrap_or(u32::MAX);
        // The newest step is not over, unless others have begun since.
        let in_last = if missing > 0 { self.length } else { now.saturating_duration_since(last) };
        let seconds = |index: usize| if index + 1 == self.content.len() { in_last } else { self.length }.as_secs_f64();
        let steps = self.content.iter().enumerate().skip(self.content.len() - kept);
        let mut points: Vec<_> = steps.map(|(index, step)| step.point(seconds(index).max(1.0))).collect();
        points.resize(kept + missing, Point::default());
        points
    }
}

impl Step {
    fn point(&self, seconds: f64) -> Point {
        if self.samples == 0 {
            return Point::default();
        }
        let rate = |count: u32| Some(f64::from(count) / seconds);
        Point {
            connections: Some(f64::from(self.connections) / f64::from(self.samples)),
            opened_per_second: rate(self.opened),
            closed_per_second: rate(self.closed),
            failed_per_second: rate(self.failed),
            bytes_per_second: Some(f64::from(self.bytes) / seconds),
            imbalance: (self.compared > 0).then(|| f64::from(self.imbalance) / f64::from(self.compared)),
        }
    }
}
