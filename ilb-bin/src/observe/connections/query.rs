//! The question for connections, as the query of `/connections`.

use reqwest::Url;

/// The choice of connections, their order, and the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Name of the pool.
    pub(crate) pool: Option<String>,
    /// Part of the backend's address, or of the name of its pod.
    pub(crate) backend: Option<String>,
    /// Begin of the client's address. Clients whose backend is not certain are then listed, too.
    pub(crate) client: Option<String>,
    /// Set to list clients whose backend is not certain in any case.
    pub(crate) lone: bool,
    pub(crate) sort: SortBy,
    pub(crate) reverse: bool,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Order of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// Oldest first.
    Age,
    /// Most bytes in both directions first.
    Bytes,
    ToBackend,
    FromBackend,
    /// Longest round trips first.
    Rtt,
    /// Longest quiet first.
    Quiet,
    Client,
    Backend,
}

/// Maximum number of rows of one page.
pub(crate) const MAX_ROWS: usize = 500;

const DEFAULT_ROWS: usize = 50;

/// Maximum length of a query. Longer ones are refused before they are parsed.
const MAX_LENGTH: usize = 2_048;

impl SortBy {
    pub(crate) const NAMES: [&str; 8] =
        ["age", "bytes", "to-backend", "from-backend", "rtt", "quiet", "client", "backend"];

    const ALL: [Self; 8] = [
        Self::Age,
        Self::Bytes,
        Self::ToBackend,
        Self::FromBackend,
        Self::Rtt,
        Self::Quiet,
        Self::Client,
        Self::Backend,
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).map(|index| Self::ALL[index])
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            pool: None,
            backend: None,
            client: None,
            lone: false,
            sort: SortBy::Age,
            reverse: false,
            offset: 0,
            limit: DEFAULT_ROWS,
        }
    }
}

impl Query {
    /// Reads the query of a request, such as `pool=default&client=10.0.0.7&sort=bytes&offset=50`.
    pub(crate) fn from_text(query: Option<&str>) -> Result<Self, String> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_LENGTH {
            return Err(format!("the query is longer than {MAX_LENGTH} bytes"));
        }
        let mut this = Self::default();
        // Any host: only the query matters.
        let url = Url::parse(&format!("http://ilb/?{query}")).map_err(|error| error.to_string())?;
        for (name, value) in url.query_pairs() {
            let text = || Some(value.trim().to_ascii_lowercase()).filter(|text| !text.is_empty());
            let number = || value.parse::<usize>().map_err(|_| format!("{name}={value:?} is not a number"));
            let flag = || match &*value {
                "" | "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(format!("{name}={value:?} is neither true nor false")),
            };
            match &*name {
                "pool" => this.pool = Some(value.into_owned()).filter(|name| !name.is_empty()),
                "backend" => this.backend = text(),
                "client" => this.client = text(),
                "lone" => this.lone = flag()?,
                "reverse" => this.reverse = flag()?,
                "offset" => this.offset = number()?,
                "limit" => this.limit = number()?.clamp(1, MAX_ROWS),
                "sort" => {
                    let names = || format!("sort={value:?} is none of {}", Self::sort_names());
                    this.sort = SortBy::from_name(&value).ok_or_else(names)?;
                }
                _ => {
                    return Err(format!(
                        "{name:?} is none of pool, backend, client, lone, sort, reverse, offset and limit"
                    ));
                }
            }
        }
        Ok(this)
    }

    fn sort_names() -> String {
        SortBy::NAMES.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_query_is_read() {
        let text = "pool=a&backend=%5B2001:db8::1%5D&client=10.0.&sort=rtt&reverse&offset=50&limit=9999&lone=true";
        let expected = Query {
            pool: Some("a".into()),
            backend: Some("[2001:db8::1]".into()),
            client: Some("10.0.".into()),
            lone: true,
            sort: SortBy::Rtt,
            reverse: true,
            offset: 50,
            limit: MAX_ROWS,
        };
        assert_eq!(Query::from_text(Some(text)), Ok(expected));
        assert_eq!(Query::from_text(None), Ok(Query::default()));
        assert_eq!(Query::from_text(Some("pool=&client=")), Ok(Query::default()));
        let orders = SortBy::NAMES.map(|name| Query::from_text(Some(&format!("sort={name}"))).unwrap().sort);
        assert_eq!(orders, SortBy::ALL);
    }

    #[rstest]
    #[case("sort=size", "sort=\"size\" is none of age, bytes")]
    #[case("offset=-1", "offset=\"-1\" is not a number")]
    #[case("reverse=yes", "neither true nor false")]
    #[case("page=2", "\"page\" is none of pool")]
    fn what_cannot_be_understood_is_named(#[case] query: &str, #[case] problem: &str) {
        let error = Query::from_text(Some(query)).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }

    #[test]
    fn a_query_of_any_length_is_refused_at_once() {
        assert!(Query::from_text(Some(&"a".repeat(100_000))).unwrap_err().contains("longer than"));
    }
}
