//! Laws of the preference for near backends.

use super::*;

/// Replicas of which each prefers some of the backends.
#[derive(Clone, Debug)]
struct Zones {
    replicas: Replicas,
    /// Zone of each backend, and of each replica.
    of_backends: Vec<u8>,
    of_replicas: Vec<u8>,
    ceiling: f64,
}

impl Zones {
    fn is_near(&self, own: usize) -> Vec<bool> {
        self.of_backends.iter().map(|zone| *zone == self.of_replicas[own]).collect()
    }

    /// Returns the heights without a preference.
    fn plain(&self, own: usize) -> Heights {
        let alone = || Heights::alone(&self.replicas.rows[own], &self.replicas.capacities);
        self.replicas.heights(own).unwrap_or_else(alone)
    }

    fn heights(&self, own: usize) -> Heights {
        let mut heights = self.plain(own);
        heights.prefer(&self.is_near(own), self.ceiling);
        heights
    }

    /// Returns the part of a replica in what each backend may get, all of which have a capacity of 1.
    fn rooms(&self, own: usize) -> Vec<f64> {
        let levels = self.plain(own).levels;
        #[expect(clippy::cast_precision_loss, reason = "there are few backends")]
        let mean = levels.iter().sum::<f64>() / levels.len() as f64;
        levels.iter().map(|level| self.ceiling * mean - level).collect()
    }

    fn ladder(&self, own: usize) -> Vec<LadderInput> {
        let whole = self.heights(own).whole();
        let input = |(whole, capacity): (&Whole, &u8)| LadderInput::new(whole.connections).with_capacity(*capacity);
        whole.iter().zip(&self.replicas.capacities).map(input).collect()
    }

    fn mean(&self) -> f64 {
        let capacity: f64 = self.replicas.capacities.iter().map(|c| f64::from(*c)).sum();
        self.replicas.totals().iter().sum::<f64>() / capacity
    }

    fn levels(&self) -> Vec<f64> {
        let levels = self.replicas.totals().into_iter().zip(&self.replicas.capacities);
        levels.map(|(total, capacity)| total / f64::from(*capacity)).collect()
    }
}

fn zones(replicas: std::ops::Range<usize>) -> impl Strategy<Value = Zones> {
    self::replicas(replicas, Just(1)).prop_flat_map(|replicas| {
        let (backends, count) = (replicas.capacities.len(), replicas.rows.len());
        (Just(replicas), vec(0..3u8, backends), vec(0..3u8, count), 1.0..2.0f64).prop_map(
            |(replicas, of_backends, of_replicas, ceiling)| Zones { replicas, of_backends, of_replicas, ceiling },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn where_all_or_no_backends_are_near_nothing_changes(zones in zones(1..5)) {
        for zone in [0, 1] {
            let zones = Zones { of_backends: vec![zone; zones.of_backends.len()], of_replicas: vec![1; 8], ..zones.clone() };
            prop_assert_eq!(zones.heights(0).of_backends, zones.plain(0).of_backends);
        }
    }

    #[test]
    fn the_others_stand_where_they_did_and_no_near_backend_is_higher(zones in zones(1..6)) {
        let plain = zones.plain(0);
        let preferred = zones.heights(0);
        for ((before, after), near) in plain.of_backends.iter().zip(&preferred.of_backends).zip(zones.is_near(0)) {
            prop_assert!(if near { after <= before } else { (after - before).abs() < 1e-9 }, "{before} became {after}");
        }
    }

    /// However many connections arrive before the next count.
    #[test]
    fn alone_no_near_backend_is_filled_beyond_the_ceiling(
        zones in zones(1..2), shift in any::<usize>(), arrivals in 0..300usize,
    ) {
        let levels = zones.levels();
        let others = levels.iter().zip(zones.is_near(0)).filter(|(_, near)| !near).map(|(level, _)| *level);
        let (highest, of_others) = (levels.iter().copied().fold(0.0, f64::max), others.fold(0.0, f64::max));
        let mut after = zones.clone();
        after.replicas.open(0, &mut traefik(&zones.ladder(0), shift), arrivals);
        let ceiling = zones.ceiling * after.mean();
        for (level, near) in after.levels().into_iter().zip(zones.is_near(0)) {
            // While one in the own zone is far above the others, these and the rest of the zone go on in turn.
            let most = ceiling.max(highest) + (highest - of_others) + 1.0;
            prop_assert!(!near || level <= most, "{level} where {ceiling} is the ceiling");
        }
    }

    /// However many connections arrive at each replica before it hears of the others.
    #[test]
    fn each_replica_fills_what_is_missing_in_its_view_once(
        zones in zones(1..7), shift in any::<usize>(), arrivals in vec(0..60usize, 7),
    ) {
        let mut after = zones.clone();
        let mut parts = vec![0.0; zones.of_backends.len()];
        for (own, arrivals) in (0..zones.replicas.rows.len()).zip(arrivals) {
            let inputs = zones.ladder(own);
            let lacks = gaps(&inputs);
            after.replicas.open(own, &mut traefik(&inputs, shift), arrivals.min(lacks));
            let heights = zones.heights(own).of_backends;
            let highest = heights.iter().copied().fold(f64::MIN, f64::max);
            for (part, height) in parts.iter_mut().zip(heights) {
                *part += highest - height + 1.0;
            }
        }
        for ((before, after), part) in zones.levels().into_iter().zip(after.levels()).zip(parts) {
            prop_assert!(after <= before + part + 1e-6, "{before} became {after}, and {part} is the most");
        }
    }

    #[test]
    fn the_rooms_that_all_replicas_see_sum_up_to_the_room_of_a_backend(zones in zones(2..7)) {
        let rooms: Vec<Vec<f64>> = (0..zones.replicas.rows.len()).map(|own| zones.rooms(own)).collect();
        for (backend, level) in zones.levels().into_iter().enumerate() {
            let sum: f64 = rooms.iter().map(|rooms| rooms[backend]).sum();
            let room = zones.ceiling * zones.mean() - level;
            prop_assert!((sum - room).abs() < 1e-6, "{sum} where there is room for {room}");
        }
    }

    #[test]
    fn a_near_backend_comes_first_while_it_has_room_and_last_when_it_is_full(
        each in 10..60u32, near in 0..100u32, ceiling in 1.0..1.5f64,
    ) {
        let row = vec![near, each, each, each];
        let replicas = Replicas { rows: vec![row], recent: vec![0.0], capacities: vec![1; 4] };
        let zones = Zones { replicas, of_backends: vec![0, 1, 1, 2], of_replicas: vec![0], ceiling };
        let inputs = zones.ladder(0);
        let room = ceiling * zones.mean() - f64::from(near);
        let first = inputs.iter().map(|input| input.connections).min() == Some(inputs[0].connections);
        let alone = inputs[1..].iter().all(|input| input.connections > inputs[0].connections);
        if room >= 1.0 || near < each {
            prop_assert!(first && alone, "{inputs:?} with room for {room}");
        } else if room <= -1.0 {
            prop_assert!(!first, "{inputs:?} with room for {room}");
        }
    }
}

#[test]
fn all_replicas_of_a_zone_fill_its_room_once() {
    // Two of six backends are near for two of three replicas: 30 connections each, and at most 36 of a mean of 30.
    let rows = vec![vec![10; 6]; 3];
    let replicas = Replicas { rows, recent: vec![50.0; 3], capacities: vec![1; 6] };
    let zones = Zones { replicas, of_backends: vec![0, 0, 1, 1, 2, 2], of_replicas: vec![0, 0, 1], ceiling: 1.2 };
    let room = |own: usize| {
        let heights = zones.heights(own).of_backends;
        heights[2] - heights[0]
    };
    assert!((room(0) - 2.0).abs() < 1e-9 && (room(1) - 2.0).abs() < 1e-9, "{} and {}", room(0), room(1));
}
