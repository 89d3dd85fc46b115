//! A model of Traefik's weighted round robin, for tests.

use std::net::SocketAddr;

use crate::{gcd::gcd, plan::Plan};

/// Models Traefik's weighted round robin for TCP, pick by pick.
///
/// There is one difference: Traefik shuffles the entries when it applies a configuration; the model takes them in the
/// order given.
#[derive(Clone, Debug)]
pub struct TraefikRoundRobin {
    entries: Vec<(SocketAddr, u64)>,
    next: usize,
    level: u64,
    highest: u64,
    step: u64,
}

impl TraefikRoundRobin {
    /// Creates the round robin of a Traefik that has just applied `plan`, with its entries in this order.
    pub fn new(plan: &Plan) -> Self {
        let entries: Vec<_> = plan.entries().iter().map(|e| (e.address, u64::from(e.weight))).collect();
        let highest = entries.iter().map(|e| e.1).max().unwrap_or(0);
        let step = gcd(entries.iter().map(|e| e.1));
        Self { entries, next: 0, level: 0, highest, step }
    }

    /// Returns the backend of the next connection; `None` if no entry has a weight.
    pub fn pick(&mut self) -> Option<SocketAddr> {
        if self.highest == 0 {
            return None;
        }
        loop {
            if self.next == 0 {
                self.level = self.level.saturating_sub(self.step);
                if self.level == 0 {
                    self.level = self.highest;
                }
            }
            let (address, weight) = self.entries[self.next];
            self.next = (self.next + 1) % self.entries.len();
            if weight >= self.level {
                return Some(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], count: usize) -> String {
        let plan: Plan = (0..).zip(weights).map(|(i, w)| (([10, 0, 0, i], 1).into(), *w)).collect();
        let mut round_robin = TraefikRoundRobin::new(&plan);
        let name = |address: SocketAddr| char::from(b'a' + address.ip().to_string().pop().unwrap() as u8 - b'0');
        (0..count).map_while(|_| round_robin.pick()).map(name).collect()
    }

    #[test]
    fn a_heavy_entry_is_served_several_times_in_a_row() {
        assert_eq!(picks(&[5, 1, 1], 14), "aaaaabcaaaaabc");
        assert_eq!(picks(&[3, 2, 1], 12), "aababcaababc");
    }

    #[test]
    fn levels_go_down_by_the_common_divisor() {
        assert_eq!(picks(&[6, 4, 2], 6), "aababc");
        assert_eq!(picks(&[7, 7, 7], 6), "abcabc");
    }

    #[test]
    fn nothing_is_picked_without_weight() {
        assert_eq!(picks(&[0, 2, 0], 3), "bbb");
        assert_eq!(picks(&[0, 0], 3), "");
        assert_eq!(picks(&[], 3), "");
    }
}
