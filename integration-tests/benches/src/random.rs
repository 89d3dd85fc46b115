//! Pseudo-random numbers, the same in every run.

/// A generator of the kind xorshift64*.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator; another seed makes other numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number between 0 and 1, both excluded.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Returns another generator, whose numbers depend on those of this one.
    #[must_use]
    pub fn another(&mut self) -> Self {
        self.uniform();
        Self::new(self.0)
    }

    /// Returns one of the `choices`, of which there are some.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "there are few choices"
    )]
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.uniform() * choices.len() as f64) as usize]
    }

    /// Returns a number of an exponential distribution.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.uniform().ln()
    }

    /// Returns a number of a Pareto distribution with a shape of 1.5: many are small, few are very large.
    pub fn pareto(&mut self, mean: f64) -> f64 {
        mean / 3.0 / self.uniform().powf(1.0 / 1.5)
    }
}
