//! The faults that are made, and what each of them means for ilb and for clients.

use std::fmt;

use crate::{
    change::{Change, PodState},
    setup::{POOLS, SLOTS, Setup, Slot},
};

/// Pods of a pool that a fault of one of its backends needs: the backend, and enough others to compare it with.
const NEEDED_SLOTS: usize = 4;

/// A fault. Some last until they are healed, others are over at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A Traefik is killed, and started when the fault is healed.
    TraefikKilled(usize),
    /// A Traefik is stopped (SIGSTOP).
    TraefikStopped(usize),
    /// A Traefik is killed and started at once.
    TraefikRestarted(usize),
    /// No byte passes between ilb and a Traefik.
    TraefikBlackHole(usize),
    /// Each piece between ilb and a Traefik takes a while.
    TraefikSlow(usize),
    /// The connections between ilb and a Traefik are reset, and new ones too.
    TraefikCut(usize),
    /// Another program writes an empty configuration to a Traefik, once.
    ForeignWrite(usize),
    /// Another program keeps writing to a Traefik.
    ForeignWriter(usize),
    /// A Traefik accepts every push and applies none, until it is started again.
    TraefikStuck(usize),
    /// The API server is killed, and started when the fault is healed.
    ApiServerKilled,
    /// The API server is stopped (SIGSTOP).
    ApiServerStopped,
    /// The API server is killed and started at once.
    ApiServerRestarted,
    /// No byte passes between ilb and the API server.
    ApiBlackHole,
    /// Each piece between ilb and the API server takes a while.
    ApiSlow,
    /// The connections between ilb and the API server are reset, and new ones too.
    ApiCut,
    /// The connections are reset once, after etcd has forgotten its history.
    Compaction,
    /// etcd is stopped (SIGSTOP).
    EtcdStopped,
    /// etcd is killed and started at once, on its data.
    EtcdRestarted,
    /// etcd and the API server start without any data; then the objects are created again.
    EtcdLost,
    /// The right to read the pods of a pool is taken away.
    RightsRevoked(usize),
    /// The token is revoked, and replaced when the fault is healed.
    TokenRevoked,
    /// ilb is killed, and started when the fault is healed.
    IlbKilled,
    /// ilb is stopped (SIGSTOP).
    IlbStopped,
    /// ilb is killed and started at once.
    IlbRestarted,
    /// ilb is ended by SIGTERM and started at once.
    IlbTerminated,
    /// The clock of ilb is wrong by an hour.
    ClockStepped(ClockStep),
    /// The settings file has a mistake.
    SettingsWrong(Mistake),
    /// The settings have one more pool, at an entry point that no Traefik has.
    PoolRefused,
    /// The log of ilb is not read, and is more than fits.
    LogNotRead,
    /// Many connections to the admin port are idle, slow or greedy.
    AdminFlood,
    /// A backend has ended, and its pod is Ready.
    ServerRefuses(Slot),
    /// A backend answers no attempt to connect.
    ServerSwallows(Slot),
    /// A backend accepts connections and closes them.
    ServerCloses(Slot),
    /// A backend closes each connection beyond those that it has.
    ServerFull(Slot),
    /// A pod is deleted with a grace period, and its backend goes on.
    PodTerminates(Slot),
    /// Another pod gets the address of a pod, which is deleted then.
    PodReplaced(Slot),
    /// A pod is Ready before it has an address.
    PodWithoutAddress(Slot),
    /// A pod that is Ready has an address that is no backend's.
    PodWithForeignAddress(usize),
    /// A pod has annotations that try to get into everything.
    PodHostile(usize),
    /// All pods of a pool are replaced at once, by others at other addresses.
    PodsReplaced(usize),
}

/// Direction of a step of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStep {
    /// The clock is fast.
    Forward,
    /// The clock is slow.
    Back,
}

/// A mistake in the settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Text that is no YAML.
    NotYaml,
    /// A key that ilb does not know.
    UnknownKey,
    /// An empty file.
    Empty,
    /// A selector cannot be parsed.
    BadSelector,
}

/// Part of the system that a fault is in. At most one fault is in each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A Traefik, and the connections between it and ilb.
    Traefik(usize),
    /// The API server, etcd, the account of ilb, and the connections to them.
    ControlPlane,
    /// The process of ilb.
    Ilb,
    /// The settings file.
    Settings,
    /// The reader of the log.
    Log,
    /// The admin port.
    Admin,
    /// A backend.
    Server(Slot),
    /// The pods of a pool.
    Pods(usize),
    /// The clock that ilb reads.
    Clock,
}

impl Fault {
    /// Returns one fault of each class for this arrangement, those first that only this arrangement shows. `pick` returns a
    /// number below its argument.
    pub fn one_of_each(setup: Setup, pick: &mut impl FnMut(usize) -> usize) -> Vec<Self> {
        // A backend that fails is only noticed where its connections are counted.
        let counted: Vec<_> = (0..POOLS.len()).filter(|pool| setup.counts(*pool)).collect();
        let slot = |pick: &mut dyn FnMut(usize) -> usize| {
            let pool = if counted.is_empty() { pick(POOLS.len()) } else { counted[pick(counted.len())] };
            Slot { pool, number: pick(NEEDED_SLOTS) }
        };
        let mut faults = vec![
            Self::ServerCloses(slot(pick)),
            Self::ServerRefuses(slot(pick)),
            Self::ServerSwallows(slot(pick)),
            Self::ServerFull(slot(pick)),
        ];
        let mut traefik = || pick(setup.traefiks());
        faults.extend([
            Self::TraefikKilled(traefik()),
            Self::TraefikStopped(traefik()),
            Self::TraefikRestarted(traefik()),
            Self::TraefikBlackHole(traefik()),
            Self::TraefikSlow(traefik()),
            Self::TraefikCut(traefik()),
            Self::TraefikStuck(traefik()),
            Self::ForeignWrite(traefik()),
            Self::ForeignWriter(traefik()),
        ]);
        faults.extend([
            Self::ApiServerKilled,
            Self::ApiServerStopped,
            Self::ApiServerRestarted,
            Self::ApiBlackHole,
            Self::ApiSlow,
            Self::ApiCut,
            Self::Compaction,
            Self::EtcdStopped,
            Self::EtcdRestarted,
            Self::EtcdLost,
            Self::RightsRevoked(pick(POOLS.len())),
            Self::TokenRevoked,
            Self::IlbKilled,
            Self::IlbStopped,
            Self::IlbRestarted,
            Self::IlbTerminated,
            Self::ClockStepped([ClockStep::Forward, ClockStep::Back][pick(2)]),
            Self::SettingsWrong([Mistake::NotYaml, Mistake::UnknownKey, Mistake::Empty, Mistake::BadSelector][pick(4)]),
            Self::PoolRefused,
            Self::LogNotRead,
            Self::AdminFlood,
        ]);
        let mut slot = |number| Slot { pool: pick(POOLS.len()), number };
        faults.extend([
            Self::PodTerminates(slot(0)),
            Self::PodReplaced(slot(1)),
            Self::PodWithoutAddress(slot(SLOTS - 1)),
            Self::PodWithForeignAddress(slot(0).pool),
            Self::PodHostile(slot(0).pool),
            Self::PodsReplaced(slot(0).pool),
        ]);
        faults
    }

    /// Returns whether only this arrangement shows what ilb makes of it.
    pub fn is_shown_only_in(self, setup: Setup) -> bool {
        matches!(self.part(), Part::Server(slot) if setup.counts(slot.pool))
    }

    /// Returns the states of pods in which the fault means something: it is made after these are in force.
    pub fn needs(self) -> Vec<Change> {
        let states = |pool: usize, state: fn(usize) -> PodState| {
            (0..SLOTS).map(|number| Change { slot: Slot { pool, number }, to: state(number) }).collect()
        };
        let first = |number| if number < NEEDED_SLOTS { PodState::Ready } else { PodState::Absent };
        match self {
            Self::ServerRefuses(slot)
            | Self::ServerSwallows(slot)
            | Self::ServerCloses(slot)
            | Self::ServerFull(slot)
            | Self::PodTerminates(slot)
            | Self::PodReplaced(slot)
            | Self::PodWithoutAddress(slot) => states(slot.pool, first),
            Self::PodHostile(pool) | Self::PodsReplaced(pool) => states(pool, first),
            _ => Vec::new(),
        }
    }

    /// Returns the pool whose pods must not be changed meanwhile, so that the fault stays what it is.
    pub fn pool(self) -> Option<usize> {
        match self.part() {
            Part::Server(slot) => Some(slot.pool),
            Part::Pods(pool) => Some(pool),
            _ => None,
        }
    }

    /// Returns the part that it is in.
    pub fn part(self) -> Part {
        match self {
            Self::TraefikKilled(traefik)
            | Self::TraefikStopped(traefik)
            | Self::TraefikRestarted(traefik)
            | Self::TraefikBlackHole(traefik)
            | Self::TraefikSlow(traefik)
            | Self::TraefikCut(traefik)
            | Self::ForeignWrite(traefik)
            | Self::ForeignWriter(traefik)
            | Self::TraefikStuck(traefik) => Part::Traefik(traefik),
            Self::ApiServerKilled
            | Self::ApiServerStopped
            | Self::ApiServerRestarted
            | Self::ApiBlackHole
            | Self::ApiSlow
            | Self::ApiCut
            | Self::Compaction
            | Self::EtcdStopped
            | Self::EtcdRestarted
            | Self::EtcdLost
            | Self::RightsRevoked(_)
            | Self::TokenRevoked => Part::ControlPlane,
            Self::IlbKilled | Self::IlbStopped | Self::IlbRestarted | Self::IlbTerminated => Part::Ilb,
            Self::ClockStepped(_) => Part::Clock,
            Self::SettingsWrong(_) | Self::PoolRefused => Part::Settings,
            Self::LogNotRead => Part::Log,
            Self::AdminFlood => Part::Admin,
            Self::ServerRefuses(slot)
            | Self::ServerSwallows(slot)
            | Self::ServerCloses(slot)
            | Self::ServerFull(slot) => Part::Server(slot),
            Self::PodTerminates(slot) | Self::PodReplaced(slot) | Self::PodWithoutAddress(slot) => {
                Part::Pods(slot.pool)
            }
            Self::PodWithForeignAddress(pool) | Self::PodHostile(pool) | Self::PodsReplaced(pool) => Part::Pods(pool),
        }
    }

    /// Returns whether both can be at work at once. A stopped or killed ilb shows nothing of the other one; a log that is
    /// not read is made with wrong settings; pods are only changed while the API server answers, and those of a pool are
    /// not changed while one of its backends fails.
    pub fn fits(self, other: Self) -> bool {
        let pair = [self.part(), other.part()];
        let both = |one, two| pair.contains(&one) && pair.contains(&two);
        let are_pods_changed = pair.iter().any(|part| matches!(part, Part::Pods(_)));
        let is_pool_shared = self.pool().is_some() && self.pool() == other.pool();
        let are_in_each_others_way = is_pool_shared
            || pair[0] == pair[1]
            || both(Part::Log, Part::Settings)
            || (are_pods_changed && pair.contains(&Part::ControlPlane));
        let needs_ilb = |part: &Part| matches!(part, Part::Log | Part::Settings | Part::Admin);
        let is_one_hidden = pair.contains(&Part::Ilb) && pair.iter().any(needs_ilb);
        !(are_in_each_others_way || is_one_hidden)
    }

    /// Returns whether it is over as soon as it has been made.
    pub fn is_instant(self) -> bool {
        matches!(
            self,
            Self::TraefikRestarted(_)
                | Self::ForeignWrite(_)
                | Self::ApiServerRestarted
                | Self::Compaction
                | Self::EtcdRestarted
                | Self::EtcdLost
                | Self::IlbRestarted
                | Self::IlbTerminated
                | Self::PodReplaced(_)
                | Self::PodHostile(_)
                | Self::PodsReplaced(_)
        )
    }

    /// Returns whether it is shown as a change of the backends, not as a fault.
    pub fn is_change(self) -> bool {
        matches!(self, Self::PodTerminates(_) | Self::PodsReplaced(_))
    }

    /// Returns the name of its class, as in `docs/reliability.md`.
    pub fn class(self) -> &'static str {
        match self {
            Self::TraefikKilled(_) => "Traefik killed",
            Self::TraefikStopped(_) => "Traefik stopped",
            Self::TraefikRestarted(_) => "Traefik restarted",
            Self::TraefikBlackHole(_) => "black hole between ilb and Traefik",
            Self::TraefikSlow(_) => "slow connections between ilb and Traefik",
            Self::TraefikCut(_) => "cut connections between ilb and Traefik",
            Self::ForeignWrite(_) => "one foreign write to Traefik",
            Self::ForeignWriter(_) => "another program keeps writing to Traefik",
            Self::TraefikStuck(_) => "Traefik accepts pushes and applies none",
            Self::ApiServerKilled => "API server killed",
            Self::ApiServerStopped => "API server stopped",
            Self::ApiServerRestarted => "API server restarted",
            Self::ApiBlackHole => "black hole between ilb and the API server",
            Self::ApiSlow => "slow connections between ilb and the API server",
            Self::ApiCut => "cut connections between ilb and the API server",
            Self::Compaction => "compaction of etcd while the watch is cut",
            Self::EtcdStopped => "etcd stopped",
            Self::EtcdRestarted => "etcd restarted",
            Self::EtcdLost => "etcd restored empty",
            Self::RightsRevoked(_) => "rights in a namespace revoked",
            Self::TokenRevoked => "token revoked, then rotated",
            Self::IlbKilled => "ilb killed",
            Self::IlbStopped => "ilb stopped",
            Self::IlbRestarted => "ilb killed and restarted",
            Self::IlbTerminated => "ilb ended by SIGTERM and restarted",
            Self::ClockStepped(_) => "step of the clock of ilb by an hour",
            Self::SettingsWrong(_) => "wrong settings file",
            Self::PoolRefused => "pool at an entry point that Traefik lacks",
            Self::LogNotRead => "log not read, pipe full",
            Self::AdminFlood => "flood of the admin port",
            Self::ServerRefuses(_) => "backend refuses",
            Self::ServerSwallows(_) => "backend swallows",
            Self::ServerCloses(_) => "backend accepts, then closes",
            Self::ServerFull(_) => "backend full",
            Self::PodTerminates(_) => "pod terminates",
            Self::PodReplaced(_) => "address passes to another pod",
            Self::PodWithoutAddress(_) => "pod that is Ready before it has an address",
            Self::PodWithForeignAddress(_) => "pod with a link-local address",
            Self::PodHostile(_) => "pod with hostile annotations",
            Self::PodsReplaced(_) => "all pods of a pool replaced at once",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())?;
        match self.part() {
            Part::Traefik(traefik) => write!(f, " (Traefik {})", traefik + 1),
            Part::Server(slot) => write!(f, " ({} {})", POOLS[slot.pool].name, slot.number),
            Part::Pods(pool) => write!(f, " ({})", POOLS[pool].name),
            _ => match self {
                Self::RightsRevoked(pool) => write!(f, " ({})", POOLS[*pool].name),
                Self::SettingsWrong(mistake) => write!(f, " ({mistake:?})"),
                Self::ClockStepped(step) => write!(f, " ({step:?})"),
                _ => Ok(()),
            },
        }
    }
}
