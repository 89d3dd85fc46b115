//! The faults that are made, and what each of them means for ilb and for clients.

use std::fmt;

use crate::setup::{POOLS, Setup, Slot};

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
    /// The settings file has a mistake.
    SettingsWrong(Mistake),
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
}

impl Fault {
    /// Returns one fault of each kind for this arrangement. `pick` returns a number below its argument.
    pub fn one_of_each(setup: Setup, pick: &mut impl FnMut(usize) -> usize) -> Vec<Self> {
        let slot = |pick: &mut dyn FnMut(usize) -> usize| Slot { pool: pick(POOLS.len()), number: pick(3) };
        let mut faults = Vec::new();
        for traefik in 0..setup.traefiks() {
            faults.extend([
                Self::TraefikKilled(traefik),
                Self::TraefikStopped(traefik),
                Self::TraefikRestarted(traefik),
                Self::TraefikBlackHole(traefik),
                Self::TraefikSlow(traefik),
                Self::TraefikCut(traefik),
                Self::ForeignWrite(traefik),
            ]);
        }
        faults.extend([
            Self::ForeignWriter(pick(setup.traefiks())),
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
            Self::SettingsWrong([Mistake::NotYaml, Mistake::UnknownKey][pick(2)]),
            Self::SettingsWrong([Mistake::Empty, Mistake::BadSelector][pick(2)]),
            Self::LogNotRead,
            Self::AdminFlood,
        ]);
        faults.extend([
            Self::ServerRefuses(slot(pick)),
            Self::ServerSwallows(slot(pick)),
            Self::ServerCloses(slot(pick)),
            Self::ServerFull(slot(pick)),
        ]);
        faults
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
            | Self::ForeignWriter(traefik) => Part::Traefik(traefik),
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
            Self::IlbKilled | Self::IlbStopped | Self::IlbRestarted => Part::Ilb,
            Self::SettingsWrong(_) => Part::Settings,
            Self::LogNotRead => Part::Log,
            Self::AdminFlood => Part::Admin,
            Self::ServerRefuses(slot)
            | Self::ServerSwallows(slot)
            | Self::ServerCloses(slot)
            | Self::ServerFull(slot) => Part::Server(slot),
        }
    }

    /// Returns whether both can be at work at once. A stopped or killed ilb shows nothing of the other one; a log that is
    /// not read is made with wrong settings.
    pub fn fits(self, other: Self) -> bool {
        let pair = [self.part(), other.part()];
        let both = |one, two| pair.contains(&one) && pair.contains(&two);
        pair[0] != pair[1]
            && !both(Part::Log, Part::Settings)
            && !(pair.contains(&Part::Ilb)
                && pair.iter().any(|part| matches!(part, Part::Log | Part::Settings | Part::Admin)))
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
        )
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
            Self::SettingsWrong(_) => "wrong settings file",
            Self::LogNotRead => "log not read, pipe full",
            Self::AdminFlood => "flood of the admin port",
            Self::ServerRefuses(_) => "backend refuses",
            Self::ServerSwallows(_) => "backend swallows",
            Self::ServerCloses(_) => "backend accepts, then closes",
            Self::ServerFull(_) => "backend full",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class())?;
        match self.part() {
            Part::Traefik(traefik) => write!(f, " (Traefik {})", traefik + 1),
            Part::Server(slot) => write!(f, " ({} {})", POOLS[slot.pool].name, slot.number),
            _ => match self {
                Self::RightsRevoked(pool) => write!(f, " ({})", POOLS[*pool].name),
                Self::SettingsWrong(mistake) => write!(f, " ({mistake:?})"),
                _ => Ok(()),
            },
        }
    }
}
