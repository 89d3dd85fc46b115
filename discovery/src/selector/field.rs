//! Field selectors.

use std::{fmt, str::FromStr};

use super::{InvalidSelector, label::error_at};

/// Well-formed field selector in the Kubernetes grammar.
///
/// `spec.nodeName=a`, `status.phase==Running`, `spec.nodeName!=b`; commas mean "and". In a value `\`, `,` and `=` are
/// written with a `\` before them. The API server decides which fields can be selected, and refuses requests for others.
///
/// ```
/// use ilb_discovery::FieldSelector;
///
/// let selector: FieldSelector = "status.phase == Running, spec.nodeName!=a".parse()?;
/// assert_eq!(selector.as_str(), "status.phase=Running,spec.nodeName!=a");
///
/// let error = "spec.nodeName".parse::<FieldSelector>().unwrap_err();
/// assert_eq!(error.to_string(), "at character 14: expected '=', '==' or '!=', found the end");
/// # Ok::<(), ilb_discovery::errors::InvalidSelector>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldSelector(String);

impl FieldSelector {
    /// Returns the text for the `fieldSelector` parameter of a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FieldSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut terms = Vec::new();
        loop {
            terms.push(term(&chars, &mut at)?);
            match chars.get(at) {
                None => return Ok(Self(terms.join(","))),
                Some(_) => at += 1, // the comma that ended the value
            }
        }
    }
}

/// Parses one requirement, and returns it in canonical form. Leaves `at` on the comma after it, or at the end.
fn term(chars: &[char], at: &mut usize) -> Result<String, InvalidSelector> {
    let start = *at;
    let field: String = chars[start..].iter().take_while(|c| !"=!,".contains(**c)).collect();
    *at += field.chars().count();
    let blank = field.chars().take_while(|c| c.is_whitespace()).count();
    let field = field.trim();
    let is_path = |c: char| c.is_ascii_alphanumeric() || "-_./[]'".contains(c);
    if field.is_empty() {
        return Err(error_at(start + blank, format!("expected a field path, found {}", found(chars, *at))));
    }
    if let Some(bad) = field.chars().position(|c| !is_path(c)) {
        return Err(error_at(start + blank + bad, format!("'{field}' is not a field path")));
    }
    let operator = operator(chars, at)?;
    Ok(format!("{field}{operator}{}", value(chars, at)?))
}

fn operator(chars: &[char], at: &mut usize) -> Result<&'static str, InvalidSelector> {
    let (operator, length) = match (chars.get(*at), chars.get(*at + 1)) {
        (Some('='), Some('=')) => ("=", 2), // `==` means the same
        (Some('='), _) => ("=", 1),
        (Some('!'), Some('=')) => ("!=", 2),
        _ => return Err(error_at(*at, format!("expected '=', '==' or '!=', found {}", found(chars, *at)))),
    };
    *at += length;
    Ok(operator)
}

fn value(chars: &[char], at: &mut usize) -> Result<String, InvalidSelector> {
    let mut value = String::new();
    while let Some(&c) = chars.get(*at).filter(|c| **c != ',') {
        match c {
            '=' => return Err(error_at(*at, "an '=' in a value is written '\\='".to_owned())),
            '\\' => {
                let escaped = chars.get(*at + 1).filter(|c| "\\,=".contains(**c));
                let escaped =
                    escaped.ok_or_else(|| error_at(*at, "a '\\' stands before '\\', ',' or '='".to_owned()))?;
                value.extend(['\\', *escaped]);
                *at += 2;
            }
            c => {
                value.push(c);
                *at += 1;
            }
        }
    }
    Ok(value.trim().to_owned())
}

fn found(chars: &[char], at: usize) -> String {
    chars.get(at).map_or_else(|| "the end".to_owned(), |c| format!("'{c}'"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("spec.nodeName=a", "spec.nodeName=a")]
    #[case("status.phase == Running , spec.nodeName != a", "status.phase=Running,spec.nodeName!=a")]
    #[case("metadata.name=", "metadata.name=")]
    #[case("a=b\\,c\\=d\\\\", "a=b\\,c\\=d\\\\")]
    fn well_formed_field_selectors_are_kept_in_canonical_form(#[case] text: &str, #[case] canonical: &str) {
        assert_eq!(text.parse::<FieldSelector>().unwrap().as_str(), canonical);
    }

    #[rstest]
    #[case("", "at character 1: expected a field path, found the end")]
    #[case("a=b,", "at character 5: expected a field path, found the end")]
    #[case("a", "at character 2: expected '=', '==' or '!=', found the end")]
    #[case("a!b", "at character 2: expected '=', '==' or '!=', found '!'")]
    #[case("a b=c", "at character 2: 'a b' is not a field path")]
    #[case("a=b=c", "at character 4: an '=' in a value is written '\\='")]
    #[case("a=b\\c", "at character 4: a '\\' stands before '\\', ',' or '='")]
    fn an_error_points_at_the_place(#[case] text: &str, #[case] message: &str) {
        assert_eq!(text.parse::<FieldSelector>().unwrap_err().to_string(), message);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_what_is_parsed_is_stable(text in "[a-z.=!, \\\\]{0,24}|\\PC{0,12}") {
            if let Ok(selector) = text.parse::<FieldSelector>() {
                prop_assert_eq!(selector.as_str().parse::<FieldSelector>().unwrap(), selector);
            }
        }
    }
}
