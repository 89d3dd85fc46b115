//! Label selectors.

use std::{fmt, str::FromStr};

/// Well-formed label selector in the Kubernetes grammar.
///
/// `app=myapp`, `app==myapp,tier!=cache`, `tier in (backend,cache)`, `tier notin (frontend)`, `canary`, `!canary`;
/// commas mean "and". The empty text is refused: it would select every pod of the namespace. So are the operators `>` and
/// `<` of kubectl, which the API's own selectors do not have.
///
/// ```
/// use ilb_discovery::Selector;
///
/// let selector: Selector = "app=myapp, tier in (backend, cache)".parse()?;
/// assert_eq!(selector.to_string(), "app=myapp,tier in (backend,cache)");
///
/// let error = "app=my app".parse::<Selector>().unwrap_err();
/// assert_eq!(error.to_string(), "at character 8: expected ',' or the end, found 'a'");
/// # Ok::<(), ilb_discovery::errors::InvalidSelector>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector(String);

impl Selector {
    /// Returns the selector of the objects whose label `key` has this value. Both must be valid.
    #[cfg(feature = "kube")]
    pub(crate) fn equal(key: &str, value: &str) -> Self {
        Self(format!("{key}={value}"))
    }

    /// Returns the text for the `labelSelector` parameter of a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Error of a text that is not a [`Selector`] or a [`FieldSelector`](crate::FieldSelector).
///
/// The message names the place, counted in characters from 1, what was found there, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct InvalidSelector {
    position: usize,
    problem: String,
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let mut parser = Parser { chars: text.chars().collect(), at: 0 };
        let mut requirements = vec![parser.requirement()?];
        while parser.eat(',') {
            requirements.push(parser.requirement()?);
        }
        match parser.peek() {
            None => Ok(Self(requirements.join(","))),
            Some(_) => Err(parser.expected("',' or the end")),
        }
    }
}

/// Recursive-descent parser of the grammar in
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>.
struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    /// Parses one requirement, and returns it in canonical form.
    fn requirement(&mut self) -> Result<String, InvalidSelector> {
        if self.eat('!') {
            return Ok(format!("!{}", self.key()?));
        }
        let key = self.key()?;
        if self.eat('!') {
            self.require('=')?;
            return Ok(format!("{key}!={}", self.value()?));
        }
        if self.eat('=') {
            self.eat('='); // `==` means the same
            return Ok(format!("{key}={}", self.value()?));
        }
        match self.peek() {
            None | Some(',') => Ok(key),
            Some(_) => {
                let start = self.at;
                let operator = self.word();
                if operator != "in" && operator != "notin" {
                    self.at = start;
                    return Err(self.expected("'=', '==', '!=', 'in', 'notin', ',' or the end"));
                }
                Ok(format!("{key} {operator} ({})", self.values()?.join(",")))
            }
        }
    }

    fn values(&mut self) -> Result<Vec<String>, InvalidSelector> {
        self.require('(')?;
        let mut values = vec![self.value()?];
        while self.eat(',') {
            values.push(self.value()?);
        }
        self.require(')')?;
        Ok(values)
    }

    /// Parses `[prefix/]name`: the prefix a DNS subdomain of at most 253 characters, the name 1 to 63 characters.
    fn key(&mut self) -> Result<String, InvalidSelector> {
        self.skip_spaces();
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.expected("a label key"));
        }
        let (prefix, name) = word.split_once('/').map_or((None, word.as_str()), |(p, n)| (Some(p), n));
        if prefix.is_some_and(|p| !is_subdomain(p)) {
            return Err(error_at(start, format!("'{word}' has no valid DNS name before the '/'")));
        }
        if name.is_empty() || !is_label_value(name) {
            return Err(error_at(start, format!("'{word}' is not a label key: {LABEL_VALUE_RULE}")));
        }
        Ok(word)
    }

    /// Parses a label value: empty, or 1 to 63 characters.
    fn value(&mut self) -> Result<String, InvalidSelector> {
        self.skip_spaces();
        let start = self.at;
        let word = self.word();
        if word.is_empty() || is_label_value(&word) {
            return Ok(word);
        }
        Err(error_at(start, format!("'{word}' is not a label value: {LABEL_VALUE_RULE}")))
    }

    /// Takes the longest run of characters that are neither space nor punctuation of the grammar.
    fn word(&mut self) -> String {
        self.skip_spaces();
        let rest = &self.chars[self.at..];
        let word: String = rest.iter().take_while(|c| !c.is_whitespace() && !"=!,()".contains(**c)).collect();
        self.at += word.chars().count();
        word
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn require(&mut self, wanted: char) -> Result<(), InvalidSelector> {
        if self.eat(wanted) { Ok(()) } else { Err(self.expected(&format!("'{wanted}'"))) }
    }

    /// Returns the next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.chars.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        self.at += self.chars[self.at..].iter().take_while(|c| c.is_whitespace()).count();
    }

    fn expected(&mut self, what: &str) -> InvalidSelector {
        let found = self.peek().map_or_else(|| "the end".to_owned(), |c| format!("'{c}'"));
        error_at(self.at, format!("expected {what}, found {found}"))
    }
}

pub(crate) const LABEL_VALUE_RULE: &str =
    "at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit";

pub(super) fn error_at(index: usize, problem: String) -> InvalidSelector {
    InvalidSelector { position: index + 1, problem }
}

pub(crate) fn is_label_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_subdomain(text: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.split('.').all(|label| {
            label.starts_with(lower) && label.ends_with(lower) && label.chars().all(|c| lower(c) || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app=myapp", "app=myapp")]
    #[case("app == myapp , tier!= cache", "app=myapp,tier!=cache")]
    #[case("tier in (a,b),x notin(c)", "tier in (a,b),x notin (c)")]
    #[case("canary,!beta", "canary,!beta")]
    #[case("app.kubernetes.io/name=db", "app.kubernetes.io/name=db")]
    #[case("app=", "app=")]
    #[case("in in (in)", "in in (in)")]
    fn well_formed_selectors_are_kept_in_canonical_form(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(text.parse::<Selector>().unwrap().as_str(), canonical);
    }

    #[rstest]
    #[case("", "at character 1: expected a label key, found the end")]
    #[case("   ", "at character 4: expected a label key, found the end")]
    #[case("app=a,", "at character 7: expected a label key, found the end")]
    #[case("=a", "at character 1: expected a label key, found '='")]
    #[case("app===a", "at character 6: expected ',' or the end, found '='")]
    #[case("app in a", "at character 8: expected '(', found 'a'")]
    #[case("app in (a", "at character 10: expected ')', found the end")]
    #[case("app is (a)", "at character 5: expected '=', '==', '!=', 'in', 'notin', ',' or the end, found 'i'")]
    #[case("app!a", "at character 5: expected '=', found 'a'")]
    #[case("Bad_/x=a", "at character 1: 'Bad_/x' has no valid DNS name before the '/'")]
    fn an_error_points_at_the_place(#[case] text: &str, #[case] message: &str) {
        assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), message);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_what_is_parsed_is_stable(text in "[a-z!=(), ./_-]{0,24}|\\PC{0,12}") {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert_eq!(selector.as_str().parse::<Selector>().unwrap(), selector);
            }
        }
    }
}
