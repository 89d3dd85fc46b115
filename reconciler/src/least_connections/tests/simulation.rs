//! A pool on an accelerated clock: Poisson arrivals, exponential lives, a Traefik that shuffles and whose pushes take a
//! few milliseconds.

use super::*;
use crate::TraefikRoundRobin;

const PUSH_DURATION: Duration = Duration::from_millis(5);
const SAMPLE_COST: Duration = Duration::from_micros(500);

struct Simulation {
    random: Random,
    /// Seconds since the start.
    now: f64,
    started: Instant,
    balancer: LeastConnections,
    traefik: Option<TraefikRoundRobin>,
    /// Ends of the connections of each backend, in seconds since the start.
    lives: Vec<Vec<f64>>,
    opened: Vec<u32>,
    refuses: Option<usize>,
    refused: u32,
    pushes: u32,
    under_way: Option<(f64, Arc<Decision>)>,
    acknowledged: Option<Arc<Decision>>,
}

impl Simulation {
    fn new(backends: u8, connections_each: u32, mean_life: f64) -> Self {
        let mut balancer = LeastConnections::new(Pacing::default());
        let started = Instant::now();
        balancer.set_backends(&ready(0..backends), started);
        let mut random = Random(u64::from(connections_each) << 32 | 0x5eed);
        let lives =
            (0..backends).map(|_| (0..connections_each).map(|_| random.exponential(mean_life)).collect()).collect();
        Self {
            random,
            now: 0.0,
            started,
            balancer,
            traefik: None,
            lives,
            opened: vec![0; backends.into()],
            refuses: None,
            refused: 0,
            pushes: 0,
            under_way: None,
            acknowledged: None,
        }
    }

    /// Runs for a while and returns the mean over time of (max - mean) / mean of the counts.
    fn run(&mut self, seconds: f64, arrivals_per_second: f64, mean_life: f64) -> f64 {
        let until = self.now + seconds;
        let (mut arrival, mut look) = (self.now, self.now);
        let (mut sum, mut looks) = (0.0, 0.0);
        while self.now < until {
            let sample = self.work();
            let push = self.under_way.as_ref().map_or(f64::INFINITY, |(at, _)| *at);
            self.now = arrival.min(sample).min(push).min(look);
            self.end_connections();
            if self.now >= push {
                self.finish_push();
            } else if self.now >= sample {
                self.sample();
            } else if self.now >= look {
                sum += self.imbalance();
                looks += 1.0;
                look += 0.1;
            } else {
                self.arrive(mean_life);
                arrival += self.random.exponential(1.0 / arrivals_per_second);
            }
        }
        sum / looks
    }

    fn arrive(&mut self, mean_life: f64) {
        let Some(picked) = self.traefik.as_mut().and_then(TraefikRoundRobin::pick) else { return };
        let index = (0..=255).position(|i| address(i) == picked).unwrap();
        if self.refuses == Some(index) {
            self.refused += 1;
        } else {
            let end = self.now + self.random.exponential(mean_life);
            self.lives[index].push(end);
            self.opened[index] += 1;
        }
    }

    fn end_connections(&mut self) {
        for lives in &mut self.lives {
            lives.retain(|end| *end > self.now);
        }
    }

    fn sample(&mut self) {
        let count = |(i, lives): (usize, &Vec<f64>)| {
            (address(u8::try_from(i).unwrap()), count(u32::try_from(lives.len()).unwrap(), self.opened[i]))
        };
        let counts: Vec<_> = self.lives.iter().enumerate().map(count).collect();
        self.opened.fill(0);
        self.balancer.sampled(counts, SAMPLE_COST, self.instant());
    }

    /// Starts what is due and returns the moment of the next sample.
    fn work(&mut self) -> f64 {
        let now = self.instant();
        let work = self.balancer.decide(now);
        for backend in work.probes {
            let refuses = self.refuses.is_some_and(|i| address(u8::try_from(i).unwrap()) == backend);
            let result = if refuses { ProbeResult::Unanswered } else { ProbeResult::Answered };
            self.balancer.probed(backend, result, now);
        }
        let decision = self.balancer.decide(now).decision;
        if let Some(decision) = decision
            && self.under_way.is_none()
            && !self.acknowledged.as_ref().is_some_and(|a| Arc::ptr_eq(a, &decision))
        {
            self.under_way = Some((self.now + PUSH_DURATION.as_secs_f64(), decision));
        }
        work.sample_at.saturating_duration_since(self.started).as_secs_f64().max(self.now)
    }

    fn finish_push(&mut self) {
        let Some((_, decision)) = self.under_way.take() else { return };
        let mut entries: Vec<_> = decision.plan.entries().iter().map(|e| (e.address, e.weight)).collect();
        for i in (1..entries.len()).rev() {
            entries.swap(i, self.random.below(i + 1));
        }
        self.traefik = Some(TraefikRoundRobin::new(&entries.into_iter().collect()));
        self.balancer.acknowledged(&decision, PUSH_DURATION, self.instant());
        self.acknowledged = Some(decision);
        self.pushes += 1;
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of connections are far below 2^53")]
    fn imbalance(&self) -> f64 {
        let counts: Vec<f64> = self.lives.iter().map(|lives| lives.len() as f64).collect();
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        (counts.iter().copied().fold(0.0, f64::max) - mean) / mean
    }

    fn instant(&self) -> Instant {
        self.started + Duration::from_secs_f64(self.now)
    }
}

/// Generates the same numbers in every run, by xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[allow(clippy::cast_precision_loss, reason = "53 bits are left, which a float holds")]
    fn exponential(&mut self, mean: f64) -> f64 {
        let uniform = ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -mean * uniform.ln()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }
}

#[test]
fn lives_of_an_hour_need_at_most_four_pushes_a_minute_and_stay_balanced() {
    for each in [10, 30, 100] {
        let mut pool = Simulation::new(10, each, 3_600.0);
        let arrivals = f64::from(10 * each) / 3_600.0;
        pool.run(60.0, arrivals, 3_600.0);
        pool.pushes = 0;
        let imbalance = pool.run(1_800.0, arrivals, 3_600.0);
        let per_minute = f64::from(pool.pushes) / 30.0;
        println!("{each} each: {per_minute:.1} pushes a minute, imbalance {imbalance:.4}");
        assert!(per_minute <= 4.0, "{per_minute} pushes a minute with {each} connections each");
        assert!(imbalance < 0.5 / f64::from(each).sqrt(), "{imbalance} with {each} connections each");
    }
}

#[test]
fn lives_of_seconds_are_balanced_far_better_than_by_round_robin() {
    let mut pool = Simulation::new(10, 30, 6.0);
    pool.run(20.0, 50.0, 6.0);
    pool.pushes = 0;
    let imbalance = pool.run(200.0, 50.0, 6.0);
    println!("{} pushes a minute, imbalance {imbalance:.4}", f64::from(pool.pushes) / 200.0 * 60.0);
    assert!(imbalance < 0.216 / 3.0, "{imbalance}; round robin has 21.6 %");
}

#[test]
fn a_refusing_backend_gets_few_connections_and_soon_none() {
    for keeps_its_connections in [false, true] {
        let mut pool = Simulation::new(10, 30, 6.0);
        pool.run(10.0, 50.0, 6.0);
        pool.refuses = Some(3);
        if !keeps_its_connections {
            pool.lives[3].clear();
        }
        pool.run(2.0, 50.0, 6.0);
        println!("{} refused within 2 s", pool.refused);
        pool.refused = 0;
        pool.run(3.0, 50.0, 6.0);
        assert!(pool.refused <= 7, "{} of about 150 connections were refused", pool.refused);
        pool.refused = 0;
        pool.run(20.0, 50.0, 6.0);
        assert_eq!(pool.refused, 0);
        pool.refuses = None;
        pool.run(20.0, 50.0, 6.0);
        assert!(pool.lives[3].len() > 20, "it is used again once it answers");
    }
}

#[test]
fn an_emptied_backend_fills_up_and_the_pool_is_balanced_again() {
    let mut pool = Simulation::new(10, 30, 6.0);
    pool.lives[9].clear();
    pool.run(6.0, 50.0, 6.0);
    assert!(pool.run(10.0, 50.0, 6.0) < 0.08);
}
