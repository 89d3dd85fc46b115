//! Time limits for each class of faults: until ilb shows it, and until all is right again after it. Each is a sum of what
//! bounds it, and of [`MACHINE`].

use std::time::Duration;

use crate::fault::Fault;

/// A time limit, and the intervals, pauses and timeouts that it is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Seconds, without [`MACHINE`].
    pub(crate) seconds: u64,
    pub(crate) because: &'static str,
}

/// Time limits for a class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Time since the fault was made; `None` for a fault that shows nothing, or not always.
    pub(crate) noticed: Option<Limit>,
    /// Time since the fault was healed.
    pub(crate) right_again: Limit,
}

/// Time that is added to each limit, for a machine that is busy with all the components and with other things.
pub(crate) const MACHINE: Duration = Duration::from_secs(10);

/// Time limit for changes of pods, which come with any fault and reach Traefik in tens of milliseconds.
pub(crate) const CHANGES: Duration = Duration::from_secs(1);

/// Returns the limits of a fault.
pub(crate) fn limits(fault: Fault) -> Limits {
    Limits { noticed: noticed(fault), right_again: right_again(fault) }
}

/// Returns the time in which all these faults have to be noticed, and changes of pods taken in. One may delay the other.
pub(crate) fn noticed_within(faults: &[Fault]) -> Duration {
    MACHINE + CHANGES + faults.iter().filter_map(|fault| noticed(*fault)).map(seconds).sum::<Duration>()
}

/// Returns the time in which all has to be right after all these faults.
pub(crate) fn right_within(faults: &[Fault]) -> Duration {
    MACHINE + CHANGES + faults.iter().map(|fault| seconds(right_again(*fault))).sum::<Duration>()
}

/// Returns what the sum of the limits of these faults is made of.
pub(crate) fn reasons(faults: &[Fault]) -> String {
    let reason = |fault: &Fault| {
        let Limits { noticed, right_again } = limits(*fault);
        let noticed = noticed.map_or_else(String::new, |limit| format!("shown: {}; ", limit.because));
        format!("{}: {noticed}right again: {}", fault.class(), right_again.because)
    };
    faults.iter().map(reason).collect::<Vec<_>>().join("\n")
}

fn seconds(limit: Limit) -> Duration {
    Duration::from_secs(limit.seconds)
}

fn limit(seconds: u64, because: &'static str) -> Limit {
    Limit { seconds, because }
}

fn noticed(fault: Fault) -> Option<Limit> {
    let of = |seconds, because| Some(limit(seconds, because));
    match fault {
        Fault::TraefikKilled(_) | Fault::TraefikCut(_) => of(1, "check every second"),
        Fault::TraefikStopped(_) | Fault::TraefikBlackHole(_) => of(4, "check every second, 3 s for a call"),
        Fault::ForeignWriter(_) => {
            of(8, "two checks, one after each of two foreign writes: every second, 3 s for a call to a busy Traefik")
        }
        Fault::ApiServerKilled | Fault::ApiCut => of(5, "the watch ends; up to 5 s between two attempts"),
        Fault::ApiServerStopped | Fault::ApiBlackHole => {
            of(25, "a watch lives for 10 s, and 15 s without one are an outage")
        }
        Fault::RightsRevoked(_) => {
            of(15, "rights are checked with each watch, which lives for 10 s; 5 s between attempts")
        }
        Fault::TokenRevoked => of(25, "as revoked rights; and the API server remembers a token for 10 s"),
        Fault::SettingsWrong(_) | Fault::LogNotRead => {
            of(2, "a look every second, and the file must stay the same for one")
        }
        Fault::PoolRefused => of(5, "as a wrong settings file, and 3 s for a push"),
        Fault::ServerRefuses(_) | Fault::ServerSwallows(_) => {
            of(5, "two new connections that are missing, a probe of 1.5 s, and a push")
        }
        Fault::ServerCloses(_) => of(10, "about ten connections to it, of which it gets two or three a second"),
        Fault::PodTerminates(_) | Fault::PodWithForeignAddress(_) => of(1, "the watch shows it at once, and a push"),
        Fault::TraefikRestarted(_)
        | Fault::TraefikSlow(_)
        | Fault::TraefikStuck(_)
        | Fault::ForeignWrite(_)
        | Fault::ApiServerRestarted
        | Fault::ApiSlow
        | Fault::Compaction
        | Fault::EtcdStopped
        | Fault::EtcdRestarted
        | Fault::EtcdLost
        | Fault::IlbKilled
        | Fault::IlbStopped
        | Fault::IlbRestarted
        | Fault::IlbTerminated
        | Fault::ClockStepped(_)
        | Fault::AdminFlood
        | Fault::ServerFull(_)
        | Fault::PodReplaced(_)
        | Fault::PodWithoutAddress(_)
        | Fault::PodHostile(_)
        | Fault::PodsReplaced(_) => None,
    }
}

fn right_again(fault: Fault) -> Limit {
    match fault {
        Fault::TraefikKilled(_) | Fault::TraefikRestarted(_) | Fault::TraefikStuck(_) => {
            limit(14, "up to 10 s between two attempts, 3 s for a call, check every second")
        }
        Fault::TraefikStopped(_) | Fault::TraefikBlackHole(_) | Fault::TraefikSlow(_) | Fault::TraefikCut(_) => {
            limit(14, "3 s for a call, up to 10 s between two attempts, check every second")
        }
        Fault::ForeignWrite(_) | Fault::ForeignWriter(_) => {
            limit(76, "check every second, a pause of up to 30 s before the repair, 45 s without another replacement")
        }
        Fault::ApiServerKilled
        | Fault::ApiServerStopped
        | Fault::ApiServerRestarted
        | Fault::ApiBlackHole
        | Fault::ApiSlow
        | Fault::ApiCut
        | Fault::Compaction => limit(15, "up to 5 s between two attempts, 10 s to open a watch"),
        Fault::EtcdStopped | Fault::EtcdRestarted => limit(
            45,
            "a pause of up to 30 s that the API server demands, 5 s between two attempts, 10 s to open a watch",
        ),
        Fault::EtcdLost => limit(
            65,
            "a smaller version is believed when lists have insisted for 30 s, of which each vouches for 10 s at most; 5 s between two attempts, 10 s for a watch, and as much for the next namespace",
        ),
        Fault::RightsRevoked(_) | Fault::TokenRevoked => {
            limit(15, "up to 5 s between two attempts, and the API server remembers a refusal for up to 10 s")
        }
        Fault::IlbKilled | Fault::IlbRestarted | Fault::IlbTerminated => {
            limit(11, "the first push waits for the backends of all pools for up to 10 s")
        }
        Fault::IlbStopped => limit(4, "check every second, 3 s for a call"),
        Fault::SettingsWrong(_) | Fault::PoolRefused => {
            limit(5, "a look every second, the file must stay the same for one, 3 s for a push")
        }
        Fault::LogNotRead => limit(5, "as a wrong settings file; the log is written by a thread of its own"),
        Fault::AdminFlood => limit(0, "nothing but the admin port is concerned, and probes come first"),
        Fault::ServerRefuses(_) | Fault::ServerSwallows(_) => {
            limit(7, "up to 5 s between two probes of 1.5 s, and a push")
        }
        Fault::ServerCloses(_) | Fault::ServerFull(_) => limit(
            85,
            "up to 60 s between two trials; then four in a row of 15 connections, of which it gets two or three a second, each judged a second after its last one",
        ),
        Fault::PodTerminates(_)
        | Fault::PodReplaced(_)
        | Fault::PodWithoutAddress(_)
        | Fault::PodWithForeignAddress(_)
        | Fault::PodHostile(_)
        | Fault::PodsReplaced(_) => limit(1, "the watch shows it at once, and a push"),
        Fault::ClockStepped(_) => limit(0, "nothing is measured by that clock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Setup;

    #[test]
    fn two_faults_may_take_as_long_as_one_after_the_other() {
        let (one, other) = (Fault::ApiServerKilled, Fault::TraefikKilled(0));
        let alone = right_within(&[one]) + right_within(&[other]);
        assert_eq!(right_within(&[one, other]) + MACHINE + CHANGES, alone);
        assert!(noticed_within(&[one, other]) > noticed_within(&[one]));
    }

    #[test]
    fn no_limit_is_longer_than_what_it_is_made_of_needs_and_each_has_a_reason() {
        for setup in Setup::ALL {
            for fault in Fault::one_of_each(setup, &mut |_| 0) {
                let Limits { noticed, right_again } = limits(fault);
                for limit in noticed.into_iter().chain([right_again]) {
                    assert!(!limit.because.is_empty() && limit.seconds < 100, "{fault}: {limit:?}");
                }
            }
        }
    }
}
