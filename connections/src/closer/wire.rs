//! The packets between a client and a closer: one JSON object each.
//!
//! | request | reply |
//! |---|---|
//! | `{"hello":1}` | `{"hello":1,"method":"destroy","can":true,"limits":{…}}`, or `"can":false` with `"why"` |
//! | `{"close":{"id":7,"cookie":"…","local":"…","remote":"…","how":"finish","onlyIf":{…}}}` | `{"id":7,"did":"closed"}`, or another outcome with `"why"` |
//!
//! Anything else is answered with `{"error":"…"}`, and the connection is closed.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::closer::{Ability, AnswerRule, Conditions, How, Limits, NotNow, Order, Outcome, Refusal};

/// Version of the protocol.
pub(crate) const VERSION: u32 = 1;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Asks for the ability of the closer, with the version of the protocol.
    Hello(u32),
    Close(Close),
}

/// The order to close a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Close {
    pub(crate) id: u64,
    /// A decimal number in a string, because it may be greater than what all programs read from JSON exactly.
    cookie: String,
    local: SocketAddr,
    remote: SocketAddr,
    how: WireHow,
    only_if: OnlyIf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum WireHow {
    Finish,
    Abort,
    Half,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OnlyIf {
    answered: WireAnswer,
    quiet_ms: u64,
    empty_queues: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum WireAnswer {
    Yes,
    Maybe,
    Any,
}

/// A reply of a closer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    // The most frequent one first, since they are tried in this order.
    Done(Done),
    Hello(Greeting),
    Error(WireError),
}

/// The ability of a closer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greeting {
    pub(crate) hello: u32,
    method: String,
    can: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<WireLimits>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireLimits {
    networks: Vec<String>,
    ports: Vec<u16>,
    entry_ports: Vec<u16>,
    max_rate: NonZeroU32,
    max_per_hour: NonZeroU32,
}

/// The outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Done {
    pub(crate) id: u64,
    did: Did,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Did {
    Closed,
    Gone,
    NotNow,
    Refused,
    Failed,
}

/// The error for which a closer ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireError {
    pub(crate) error: String,
}

impl Close {
    pub(crate) fn new(id: u64, order: &Order) -> Self {
        let answered = match order.only_if.answer {
            AnswerRule::Answered => WireAnswer::Yes,
            AnswerRule::MaybeAnswered => WireAnswer::Maybe,
            AnswerRule::Any => WireAnswer::Any,
        };
        // Rounded up: never less quiet than what was ordered.
        let quiet_ms = u64::try_from(order.only_if.quiet.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self {
            id,
            cookie: order.cookie.to_string(),
            local: order.local,
            remote: order.backend,
            how: match order.how {
                How::Finish => WireHow::Finish,
                How::Abort => WireHow::Abort,
                How::Half => WireHow::Half,
            },
            only_if: OnlyIf { answered, quiet_ms, empty_queues: order.only_if.empty_queues },
        }
    }

    /// Returns the order; `None` if the cookie is no number.
    pub(crate) fn order(&self) -> Option<Order> {
        Some(Order {
            backend: self.remote,
            local: self.local,
            cookie: self.cookie.parse().ok()?,
            how: match self.how {
                WireHow::Finish => How::Finish,
                WireHow::Abort => How::Abort,
                WireHow::Half => How::Half,
            },
            only_if: Conditions {
                answer: match self.only_if.answered {
                    WireAnswer::Yes => AnswerRule::Answered,
                    WireAnswer::Maybe => AnswerRule::MaybeAnswered,
                    WireAnswer::Any => AnswerRule::Any,
                },
                quiet: Duration::from_millis(self.only_if.quiet_ms),
                empty_queues: self.only_if.empty_queues,
            },
        })
    }
}

impl From<Ability> for Greeting {
    fn from(ability: Ability) -> Self {
        let (limits, why) = match ability {
            Ability::Able(limits) => (Some(WireLimits::from(&limits)), None),
            Ability::Unable(why) | Ability::Unreachable(why) => (None, Some(why)),
        };
        Self { hello: VERSION, method: "destroy".to_owned(), can: why.is_none(), why, limits }
    }
}

impl Greeting {
    /// Returns what the closer can; `None` if it contradicts itself.
    pub(crate) fn ability(self) -> Option<Ability> {
        match (self.can, self.why, self.limits) {
            (true, _, Some(limits)) => Some(Ability::Able(limits.limits()?)),
            (false, Some(why), _) => Some(Ability::Unable(why)),
            _ => None,
        }
    }
}

impl From<&Limits> for WireLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            networks: limits.networks().iter().map(ToString::to_string).collect(),
            ports: limits.ports().iter().copied().collect(),
            entry_ports: limits.entry_ports().iter().copied().collect(),
            max_rate: limits.max_rate(),
            max_per_hour: limits.max_per_hour(),
        }
    }
}

impl WireLimits {
    fn limits(self) -> Option<Limits> {
        let networks = self.networks.iter().map(|network| network.parse::<IpNet>().ok()).collect::<Option<Vec<_>>>()?;
        let limits = Limits::new(networks, self.ports, self.entry_ports).ok()?;
        Some(limits.with_max_rate(self.max_rate).with_max_per_hour(self.max_per_hour))
    }
}

impl Done {
    pub(crate) fn new(id: u64, outcome: Outcome) -> Self {
        let (did, why) = match outcome {
            Outcome::Closed => (Did::Closed, None),
            Outcome::Gone => (Did::Gone, None),
            Outcome::NotNow(condition) => (Did::NotNow, Some(condition.name().to_owned())),
            Outcome::Refused(refusal) => (Did::Refused, Some(refusal.name().to_owned())),
            Outcome::Failed(why) => (Did::Failed, Some(why)),
        };
        Self { id, did, why }
    }

    /// Returns the outcome; `None` if it is not known here.
    pub(crate) fn outcome(self) -> Option<Outcome> {
        let why = self.why.unwrap_or_default();
        Some(match self.did {
            Did::Closed => Outcome::Closed,
            Did::Gone => Outcome::Gone,
            Did::NotNow => Outcome::NotNow(NotNow::ALL.into_iter().find(|condition| condition.name() == why)?),
            Did::Refused => Outcome::Refused(Refusal::ALL.into_iter().find(|refusal| refusal.name() == why)?),
            Did::Failed => Outcome::Failed(why),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn order() -> Order {
        Order {
            backend: "10.0.0.1:5432".parse().unwrap(),
            local: "[fd00::1]:40000".parse().unwrap(),
            cookie: u64::MAX - 1,
            how: How::Finish,
            only_if: Conditions::answered_and_quiet_for(Duration::from_millis(200)),
        }
    }

    #[test]
    fn a_request_has_the_documented_form() {
        let close = serde_json::to_string(&Request::Close(Close::new(7, &order()))).unwrap();
        assert_eq!(
            close,
            r#"{"close":{"id":7,"cookie":"18446744073709551614","local":"[fd00::1]:40000","remote":"10.0.0.1:5432","how":"finish","onlyIf":{"answered":"yes","quietMs":200,"emptyQueues":true}}}"#
        );
        assert_eq!(serde_json::to_string(&Request::Hello(1)).unwrap(), r#"{"hello":1}"#);
    }

    #[rstest]
    fn an_order_arrives_as_it_was_sent(
        #[values(How::Finish, How::Abort, How::Half)] how: How,
        #[values(AnswerRule::Answered, AnswerRule::MaybeAnswered, AnswerRule::Any)] answer: AnswerRule,
    ) {
        let order = Order { how, only_if: Conditions { answer, ..order().only_if }, ..order() };
        let packet = serde_json::to_vec(&Request::Close(Close::new(7, &order))).unwrap();
        let Request::Close(close) = serde_json::from_slice(&packet).unwrap() else { panic!("another request") };
        assert_eq!((close.id, close.order()), (7, Some(order)));
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_not_forgotten() {
        let only_if = Conditions { quiet: Duration::from_micros(1_001), ..order().only_if };
        let order = Close::new(7, &Order { only_if, ..order() }).order().unwrap();
        assert_eq!(order.only_if.quiet, Duration::from_millis(2));
    }

    #[test]
    fn each_outcome_arrives_as_it_was_sent() {
        let reasons = NotNow::ALL.map(Outcome::NotNow).into_iter().chain(Refusal::ALL.map(Outcome::Refused));
        let others = [Outcome::Closed, Outcome::Gone, Outcome::Failed("because".to_owned())];
        for outcome in reasons.chain(others) {
            let packet = serde_json::to_vec(&Reply::Done(Done::new(7, outcome.clone()))).unwrap();
            let Reply::Done(done) = serde_json::from_slice(&packet).unwrap() else { panic!("another reply") };
            assert_eq!(done.outcome(), Some(outcome));
        }
    }

    #[test]
    fn the_ability_arrives_as_it_was_sent() {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [5432], [3333]).unwrap();
        for ability in [Ability::Able(limits), Ability::Unable("because".to_owned())] {
            let packet = serde_json::to_vec(&Reply::Hello(ability.clone().into())).unwrap();
            let Reply::Hello(hello) = serde_json::from_slice(&packet).unwrap() else { panic!("another reply") };
            assert_eq!(hello.ability(), Some(ability));
        }
    }

    #[rstest]
    #[case::other_request(r#"{"list":1}"#)]
    #[case::two_requests(r#"{"hello":1,"close":{}}"#)]
    #[case::unknown_field(r#"{"close":{"id":7,"cookie":"1","local":"10.0.0.2:1","remote":"10.0.0.1:1","how":"abort","onlyIf":{"answered":"any","quietMs":0,"emptyQueues":false},"force":true}}"#)]
    #[case::unknown_condition(r#"{"close":{"id":7,"cookie":"1","local":"10.0.0.2:1","remote":"10.0.0.1:1","how":"abort","onlyIf":{"answered":"any","quietMs":0,"emptyQueues":false,"idle":true}}}"#)]
    #[case::no_condition(r#"{"close":{"id":7,"cookie":"1","local":"10.0.0.2:1","remote":"10.0.0.1:1","how":"abort"}}"#)]
    #[case::nothing("")]
    #[case::two_objects(r#"{"hello":1}{"hello":1}"#)]
    fn anything_else_is_no_request(#[case] packet: &str) {
        assert!(serde_json::from_str::<Request>(packet).is_err());
    }
}
