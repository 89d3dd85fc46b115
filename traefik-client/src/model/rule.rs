//! Rules of routers.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{IpRange, ServerName};

/// Selects the connections that a router takes.
///
/// It is built from typed parts, so that no text from outside can become a part of a rule:
///
/// ```
/// use ilb_traefik_client::model::Rule;
///
/// assert_eq!(Rule::any().to_string(), "HostSNI(`*`)");
/// let rule = Rule::server_name(&"db.example.org".parse()?).and(Rule::client(&"10.0.0.0/8".parse()?).not());
/// assert_eq!(rule.to_string(), "HostSNI(`db.example.org`) && !ClientIP(`10.0.0.0/8`)");
/// assert_eq!(rule.to_string().parse::<Rule>()?, rule);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    text: String,
    /// Precedence of the outermost operator.
    binding: Binding,
    reads_tls: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Binding {
    Or,
    And,
    Single,
}

impl Rule {
    /// Selects every connection.
    pub fn any() -> Self {
        Self::single("HostSNI(`*`)".to_owned(), false)
    }

    /// Selects TLS connections for a server name. The router needs TLS.
    pub fn server_name(name: &ServerName) -> Self {
        Self::single(format!("HostSNI(`{name}`)"), true)
    }

    /// Selects connections from an address range.
    pub fn client(range: &IpRange) -> Self {
        Self::single(format!("ClientIP(`{range}`)"), false)
    }

    /// Selects TLS connections that offer an application protocol such as `h2` (letters, digits, `.`, `/` and `-`). The
    /// router needs TLS.
    pub fn try_alpn(protocol: &str) -> Result<Self, InvalidRule> {
        Self::for_protocol(protocol).ok_or_else(|| InvalidRule(protocol.to_owned()))
    }

    fn for_protocol(protocol: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "./-".contains(c);
        let valid = !protocol.is_empty() && protocol.chars().all(plain);
        valid.then(|| Self::single(format!("ALPN(`{protocol}`)"), true))
    }

    /// Selects connections that both rules select.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "rules are combined by value, like numbers")]
    pub fn and(self, other: Self) -> Self {
        self.joined(Binding::And, "&&", &other)
    }

    /// Selects connections that at least one of the rules selects.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "rules are combined by value, like numbers")]
    pub fn or(self, other: Self) -> Self {
        self.joined(Binding::Or, "||", &other)
    }

    /// Selects connections that the rule does not select.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "reads like `and` and `or` beside it")]
    pub fn not(self) -> Self {
        Self { text: format!("!{}", self.within(Binding::Single)), binding: Binding::Single, ..self }
    }

    /// Returns whether a router with this rule has to read the TLS handshake.
    pub fn needs_tls(&self) -> bool {
        self.reads_tls
    }

    fn single(text: String, reads_tls: bool) -> Self {
        Self { text, binding: Binding::Single, reads_tls }
    }

    fn joined(self, binding: Binding, operator: &str, other: &Self) -> Self {
        let text = format!("{} {operator} {}", self.within(binding), other.within(binding));
        Self { text, binding, reads_tls: self.reads_tls || other.reads_tls }
    }

    /// Returns the text, in brackets if its operator has a lower precedence than the one around it.
    fn within(&self, around: Binding) -> String {
        if self.binding < around { format!("({})", self.text) } else { self.text.clone() }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.text
    }
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let mut parser = Parser { left: text.trim_start(), depth: 0 };
        match parser.any_of() {
            Some(rule) if parser.left.is_empty() => Ok(rule),
            _ => Err(InvalidRule(text.to_owned())),
        }
    }
}

/// A text that is not a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a rule: combine HostSNI(`name`), ClientIP(`range`) and ALPN(`protocol`) with &&, || and !, such as \
     HostSNI(`*`)"
)]
pub struct InvalidRule(String);

struct Parser<'a> {
    left: &'a str,
    depth: u32,
}

/// Maximum nesting depth of a rule; keeps the recursive parser within the stack.
const MAX_DEPTH: u32 = 32;

impl Parser<'_> {
    fn any_of(&mut self) -> Option<Rule> {
        let mut rule = self.all_of()?;
        while self.take("||") {
            rule = rule.or(self.all_of()?);
        }
        Some(rule)
    }

    fn all_of(&mut self) -> Option<Rule> {
        let mut rule = self.one()?;
        while self.take("&&") {
            rule = rule.and(self.one()?);
        }
        Some(rule)
    }

    fn one(&mut self) -> Option<Rule> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let rule = if self.take("!") {
            self.one().map(Rule::not)
        } else if self.take("(") {
            let inner = self.any_of()?;
            self.take(")").then_some(inner)
        } else if self.take("HostSNI(") {
            let value = self.value()?;
            if value == "*" { Some(Rule::any()) } else { value.parse().ok().map(|name| Rule::server_name(&name)) }
        } else if self.take("ClientIP(") {
            self.value()?.parse().ok().map(|range| Rule::client(&range))
        } else if self.take("ALPN(") {
            Rule::for_protocol(&self.value()?)
        } else {
            None
        };
        self.depth -= 1;
        rule
    }

    /// Takes a value in backticks and the closing bracket.
    fn value(&mut self) -> Option<String> {
        let (value, left) = self.left.strip_prefix('`')?.split_once('`')?;
        self.left = left.trim_start();
        self.take(")").then(|| value.to_owned())
    }

    /// Takes `token` and the blanks after it, if the text continues with them.
    fn take(&mut self, token: &str) -> bool {
        let Some(left) = self.left.strip_prefix(token) else { return false };
        self.left = left.trim_start();
        true
    }
}

impl From<IpAddr> for Rule {
    /// Selects connections from one address.
    fn from(address: IpAddr) -> Self {
        Self::client(&address.into())
    }
}

#[cfg(test)]
mod tests;
