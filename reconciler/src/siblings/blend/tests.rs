//! Laws of the heights, over random states and against the model of Traefik's round robin.

mod zones;

use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    ladder::{self, LadderInput},
    plan::Plan,
    traefik_model::TraefikRoundRobin,
};

/// Recent connections that each replica is taken to have had in addition.
const PRIOR: f64 = 10.0;

/// Several replicas that know everything of each other.
#[derive(Clone, Debug)]
struct Replicas {
    /// Connections by replica and backend.
    rows: Vec<Vec<u32>>,
    recent: Vec<f64>,
    capacities: Vec<u8>,
}

impl Replicas {
    fn heights(&self, own: usize) -> Option<Heights> {
        let neighbour = |sibling: usize| Neighbour {
            connections: self.rows[sibling].clone(),
            own_then: self.rows[own].clone(),
            opened_since: 0,
            arrivals: self.recent[sibling] + PRIOR,
        };
        let siblings: Vec<_> = (0..self.rows.len()).filter(|other| *other != own).map(neighbour).collect();
        blend(&self.input(own, &siblings))
    }

    fn input<'a>(&'a self, own: usize, siblings: &'a [Neighbour]) -> Input<'a> {
        let (connections, capacities) = (&self.rows[own], &self.capacities);
        Input { connections, capacities, arrivals: self.recent[own] + PRIOR, siblings }
    }

    /// Returns what the ladder of a replica is given.
    fn ladder(&self, own: usize) -> Vec<LadderInput> {
        let connections: Vec<u32> = match self.heights(own) {
            Some(heights) => heights.whole().iter().map(|whole| whole.connections).collect(),
            None => self.rows[own].clone(),
        };
        let input = |(connections, capacity): (u32, &u8)| LadderInput::new(connections).with_capacity(*capacity);
        connections.into_iter().zip(&self.capacities).map(input).collect()
    }

    fn totals(&self) -> Vec<f64> {
        let total = |backend: usize| self.rows.iter().map(|row| f64::from(row[backend])).sum();
        (0..self.capacities.len()).map(total).collect()
    }

    /// Returns the level of the fullest backend, and the difference between it and the emptiest.
    fn span(&self) -> f64 {
        let levels = self.totals().into_iter().zip(&self.capacities).map(|(total, c)| total / f64::from(*c));
        let (low, high) = levels.fold((f64::INFINITY, 0.0_f64), |(low, high), level| (low.min(level), high.max(level)));
        high - low
    }

    /// Opens connections through one replica by its plan.
    fn open(&mut self, own: usize, traefik: &mut TraefikRoundRobin, connections: usize) {
        for _ in 0..connections {
            let picked = traefik.pick().unwrap();
            let at = (0..self.capacities.len()).find(|at| address(*at) == picked).unwrap();
            self.rows[own][at] += 1;
        }
    }

    /// Returns the level of the fullest backend in the view of one replica.
    fn highest(&self, own: usize) -> f64 {
        let heights = self.heights(own).map_or_else(|| self.totals(), |heights| heights.of_backends);
        heights
            .iter()
            .zip(&self.capacities)
            .map(|(height, capacity)| height / f64::from(*capacity))
            .fold(f64::MIN, f64::max)
    }
}

fn address(index: usize) -> SocketAddr {
    ([10, 0, 0, u8::try_from(index).unwrap()], 1).into()
}

/// Returns the round robin of a Traefik that has applied the plan for `inputs`, with its entries in another order.
fn traefik(inputs: &[LadderInput], shift: usize) -> TraefikRoundRobin {
    let entries = ladder::weights(inputs, 0).into_iter().enumerate();
    let mut entries: Vec<_> =
        entries.flat_map(|(i, weights)| weights.into_iter().map(move |w| (address(i), w))).collect();
    let by = shift % entries.len();
    entries.rotate_left(by);
    TraefikRoundRobin::new(&entries.into_iter().collect::<Plan>())
}

/// Returns how many connections the backends lack compared with the fullest one.
fn gaps(inputs: &[LadderInput]) -> usize {
    let fullest = inputs.iter().map(|i| i.connections.div_ceil(i.capacity.into())).max().unwrap();
    inputs.iter().map(|i| (fullest * u32::from(i.capacity) - i.connections) as usize).sum()
}

fn replicas(
    count: std::ops::Range<usize>,
    capacities: impl Strategy<Value = u8> + Clone,
) -> impl Strategy<Value = Replicas> {
    (count, 2..7usize).prop_flat_map(move |(replicas, backends)| {
        let rows = vec(vec(0..30u32, backends), replicas);
        (rows, vec(0.0..300.0f64, replicas), vec(capacities.clone(), backends))
            .prop_map(|(rows, recent, capacities)| Replicas { rows, recent, capacities })
    })
}

/// Capacities without a common divisor, which the ladder would take out.
fn in_lowest_terms(mut replicas: Replicas) -> Replicas {
    replicas.capacities[0] = 1;
    replicas
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_heights_of_all_replicas_sum_up_to_the_totals(replicas in replicas(2..9, 1..=16u8)) {
        let heights: Vec<_> = (0..replicas.rows.len()).map(|own| replicas.heights(own).unwrap()).collect();
        for (backend, total) in replicas.totals().into_iter().enumerate() {
            let sum: f64 = heights.iter().map(|h| h.of_backends[backend]).sum();
            prop_assert!((sum - total).abs() < 1e-6, "{sum} where there are {total}");
        }
        let shares: f64 = heights.iter().map(|h| h.share).sum();
        prop_assert!((shares - 1.0).abs() < 1e-9, "the shares sum up to {shares}");
    }

    #[test]
    fn counts_fade_as_connections_open_until_only_the_own_ones_decide(replicas in replicas(2..6, 1..=16u8)) {
        let old = |sibling: usize| Neighbour {
            connections: replicas.rows[sibling].clone(),
            own_then: vec![0; replicas.capacities.len()],
            opened_since: 10_000_000,
            arrivals: replicas.recent[sibling] + PRIOR,
        };
        let siblings: Vec<_> = (1..replicas.rows.len()).map(old).collect();
        let whole = blend(&replicas.input(0, &siblings)).unwrap().whole();
        let whole: Vec<u32> = whole.iter().map(|whole| whole.connections).collect();
        prop_assert_eq!(&whole, &replicas.rows[0]);
    }

    /// However the arrivals are spread over the replicas, and as long as each has gaps to fill.
    #[test]
    fn without_news_no_backend_is_filled_beyond_what_each_replica_takes_for_the_fullest(
        replicas in replicas(1..9, Just(1)), shift in any::<usize>(), parts in vec(0..=100usize, 8),
    ) {
        let count = u32::try_from(replicas.rows.len()).unwrap();
        let bound = (0..replicas.rows.len()).map(|own| replicas.highest(own)).sum::<f64>() + f64::from(count);
        let mut after = replicas.clone();
        for (own, part) in (0..replicas.rows.len()).zip(parts) {
            let inputs = replicas.ladder(own);
            after.open(own, &mut traefik(&inputs, shift), gaps(&inputs) * part / 100);
        }
        for total in after.totals() {
            prop_assert!(total <= bound + 1e-6, "{total} where {bound} is the most");
        }
    }

    #[test]
    fn with_capacities_no_backend_is_filled_by_more_than_two_connections_per_share_and_replica_beyond_it(
        replicas in replicas(1..9, 1..=16u8), shift in any::<usize>(), parts in vec(0..=100usize, 8),
    ) {
        let replicas = in_lowest_terms(replicas);
        let count = u32::try_from(replicas.rows.len()).unwrap();
        let bound = (0..replicas.rows.len()).map(|own| replicas.highest(own)).sum::<f64>() + 2.0 * f64::from(count);
        let mut after = replicas.clone();
        for (own, part) in (0..replicas.rows.len()).zip(parts) {
            let inputs = replicas.ladder(own);
            after.open(own, &mut traefik(&inputs, shift), gaps(&inputs) * part / 100);
        }
        for (total, capacity) in after.totals().into_iter().zip(&replicas.capacities) {
            let level = total / f64::from(*capacity);
            prop_assert!(level <= bound + 1e-6, "{level} per share where {bound} is the most");
        }
    }

    /// An empty backend is waited for by all replicas.
    #[test]
    fn together_the_replicas_fill_a_gap_once(
        count in prop::sample::select(vec![2usize, 3, 10, 50]), capacity in 1..=16u8, recent in vec(0.0..300.0f64, 50),
    ) {
        let each = 300 / u32::try_from(count).unwrap();
        let row = vec![0, each, each, each];
        let recent = recent[..count].to_vec();
        let replicas = Replicas { rows: vec![row; count], recent, capacities: vec![capacity, 1, 1, 1] };
        let lacks = |own: usize| {
            let inputs = replicas.ladder(own);
            let fullest = inputs.iter().map(|i| i.connections.div_ceil(i.capacity.into())).max().unwrap();
            i64::from(fullest * u32::from(capacity)) - i64::from(inputs[0].connections)
        };
        let filled: i64 = (0..count).map(lacks).sum();
        let missing = i64::from(capacity) * i64::from(each) * i64::try_from(count).unwrap();
        // Each may round up by a connection per share.
        let tolerance = i64::from(capacity) * i64::try_from(count).unwrap();
        prop_assert!((filled - missing).abs() <= tolerance, "{filled} for {missing}");
    }

    #[test]
    fn no_numbers_make_the_heights_panic_or_lose_a_backend(
        rows in vec((any::<u32>(), any::<u32>(), any::<u32>(), any::<u8>()), 0..12),
        recent in vec(prop_oneof![Just(0.0), 0.0..1e9f64, Just(1e9)], 2..6),
        opened_since in prop_oneof![0..100u64, any::<u64>()],
    ) {
        let connections: Vec<_> = rows.iter().map(|r| r.0).collect();
        let capacities: Vec<_> = rows.iter().map(|r| r.3).collect();
        let neighbour = |recent: &f64| Neighbour {
            connections: rows.iter().map(|r| r.1).collect(),
            own_then: rows.iter().map(|r| r.2).collect(),
            opened_since,
            arrivals: *recent + PRIOR,
        };
        let siblings: Vec<_> = recent[1..].iter().map(neighbour).collect();
        let arrivals = recent[0] + PRIOR;
        let input = Input { connections: &connections, capacities: &capacities, arrivals, siblings: &siblings };
        match blend(&input) {
            None => prop_assert!(rows.is_empty()),
            Some(heights) => {
                prop_assert!(heights.share > 0.0 && heights.share <= 1.0);
                prop_assert!(heights.of_backends.iter().chain(&heights.loads).all(|h| h.is_finite()));
                let whole = heights.whole();
                prop_assert_eq!(whole.len(), rows.len());
                prop_assert!(whole.iter().all(|w| w.rounded_up_by.is_finite()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Rounds of arrivals, after each of which all replicas hear each other.
    #[test]
    fn totals_come_level_and_stay_level(
        replicas in prop_oneof![replicas(2..8, Just(1)).boxed(), replicas(2..8, 1..=8u8).boxed()], order in vec(any::<usize>(), 64), shift in any::<usize>(),
    ) {
        let replicas = in_lowest_terms(replicas);
        let mut replicas = Replicas { recent: vec![50.0; replicas.rows.len()], ..replicas };
        let count = replicas.rows.len();
        let shares: usize = replicas.capacities.iter().map(|c| usize::from(*c)).sum();
        let mut order = order.into_iter().cycle();
        for round in 0..200 {
            let mut traefiks: Vec<_> = (0..count).map(|own| traefik(&replicas.ladder(own), shift ^ round)).collect();
            for _ in 0..shares * count {
                let own = (order.next().unwrap() ^ round) % count;
                replicas.open(own, &mut traefiks[own], 1);
            }
            // Each replica may be in the middle of a pass, and what it knows of the others is a round old.
            let tolerance = f64::from(2 * u32::try_from(count).unwrap() + 2);
            let span = replicas.span();
            prop_assert!(round < 150 || span <= tolerance, "{span} with {count} replicas after {round} rounds");
        }
    }
}

#[test]
fn without_siblings_or_backends_there_are_no_heights() {
    let alone = Replicas { rows: vec![vec![3, 1]], recent: vec![5.0], capacities: vec![1, 1] };
    assert!(alone.heights(0).is_none());
    let empty = Replicas { rows: vec![vec![]; 2], recent: vec![5.0; 2], capacities: vec![] };
    assert!(empty.heights(0).is_none());
}

#[test]
fn the_first_connection_of_each_replica_goes_to_the_backend_that_is_lowest_in_total() {
    // Alone, the first two would choose another one.
    let rows = vec![vec![1, 2, 2, 2], vec![3, 1, 2, 2], vec![2, 3, 1, 2]];
    let rows_of_lowest: Vec<u32> = rows.iter().map(|row| row[2]).collect();
    let replicas = Replicas { rows, recent: vec![0.0; 3], capacities: vec![1; 4] };
    for (own, before) in rows_of_lowest.into_iter().enumerate() {
        let mut after = replicas.clone();
        after.open(own, &mut traefik(&replicas.ladder(own), own), 1);
        assert_eq!(after.rows[own][2], before + 1, "replica {own} chose another one: {:?}", replicas.ladder(own));
    }
}
