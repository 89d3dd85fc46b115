//! The shape of a definition: everything that is known about one setting, in one place.

use std::fmt;

/// A setting with a single value.
pub(super) struct Setting<T> {
    /// Place in the file: `log.level`, or `pools[].selector` for a setting of a pool.
    pub(super) path: &'static str,
    /// Environment variables that set it, ilb's own first. Only one of them may be set.
    pub(super) variables: &'static [&'static str],
    /// Converts text, also that of the default, to the value. An error completes "… cannot be used (…)".
    pub(super) parse: fn(&str) -> anyhow::Result<T>,
    pub(super) default: DefaultValue,
    /// Accepted form, as it follows "give" in a message.
    pub(super) form: &'static str,
    /// Purpose, in whole sentences: the documentation and `--help` show it.
    pub(super) about: &'static str,
}

/// A setting with a list of values, which are separated by commas in variables and flags; `parse` converts one of them.
pub(super) struct ListSetting<T>(pub(super) Setting<T>);

/// A setting with a list of values that have a name: texts `NAME=URL`, or in the file tables of these two.
pub(super) struct NamedListSetting<T>(pub(super) Setting<T>);

/// The value of a setting that is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DefaultValue {
    /// Text that is parsed like a given one.
    Text(&'static str),
    /// Text that depends on stderr: whether it is a terminal.
    ByStderr { terminal: &'static str, otherwise: &'static str },
    /// No value. The words explain to people what happens instead.
    Unset(&'static str),
}

/// A setting without the type of its value, as the command line, the file and the documentation know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(super) path: &'static str,
    pub(super) variables: &'static [&'static str],
    pub(super) shape: Shape,
    pub(super) default: DefaultValue,
    pub(super) form: &'static str,
    pub(super) about: &'static str,
}

/// Number of values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text, a number or a boolean.
    Single,
    /// A list of texts.
    List,
    /// A list of texts `NAME=URL`, or in the file of tables with `name` and `url`.
    NamedList,
}

/// Start of the path of every setting of a pool.
const POOL_PREFIX: &str = "pools[].";

impl<T> Setting<T> {
    /// Returns the setting without the type of its value.
    pub(super) const fn key(&self) -> Key {
        Key {
            path: self.path,
            variables: self.variables,
            shape: Shape::Single,
            default: self.default,
            form: self.form,
            about: self.about,
        }
    }
}

impl<T> ListSetting<T> {
    /// Returns the setting without the type of its values.
    pub(super) const fn key(&self) -> Key {
        Key { shape: Shape::List, ..self.0.key() }
    }
}

impl<T> NamedListSetting<T> {
    /// Returns the setting without the type of its values.
    pub(super) const fn key(&self) -> Key {
        Key { shape: Shape::NamedList, ..self.0.key() }
    }
}

impl DefaultValue {
    /// Returns the text to parse, if there is a value. `terminal`: stderr is one.
    pub(super) fn text(self, terminal: bool) -> Option<&'static str> {
        match self {
            Self::ByStderr { terminal: text, .. } if terminal => Some(text),
            Self::Text(text) | Self::ByStderr { otherwise: text, .. } => Some(text),
            Self::Unset(_) => None,
        }
    }
}

impl fmt::Display for DefaultValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Unset(text) => f.write_str(text),
            Self::ByStderr { terminal, otherwise } => write!(f, "{otherwise}, on a terminal {terminal}"),
        }
    }
}

impl Key {
    /// Returns the name of the flag, without the dashes: that of ilb's own variable without its prefix.
    pub(crate) fn flag(&self) -> String {
        let own = self.variables.first().copied().unwrap_or_default();
        own.trim_start_matches("ILB_").to_ascii_lowercase().replace('_', "-")
    }

    /// Returns the purpose of the setting.
    pub(crate) fn about(&self) -> &'static str {
        self.about
    }

    /// Returns the accepted form, as it follows "give" in a message.
    pub(crate) fn form(&self) -> &'static str {
        self.form
    }

    /// Returns the default in words.
    pub(crate) fn default_text(&self) -> String {
        self.default.to_string()
    }

    /// Returns the environment variables that set it, ilb's own first.
    pub(crate) fn variables(&self) -> &'static [&'static str] {
        self.variables
    }

    /// Returns its place in the file.
    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    /// Returns whether it is switched on or off.
    pub(crate) fn is_boolean(&self) -> bool {
        self.form.starts_with("true or false")
    }

    /// Returns the values that it takes, if there are few.
    pub(crate) fn values(&self) -> &'static [&'static str] {
        match self.path {
            _ if self.is_boolean() => &["true", "false"],
            "log.level" => &["debug", "info", "warn", "error"],
            "log.format" => &["json", "text"],
            "pools[].addressFamilies" => &["prefer-ipv4", "prefer-ipv6", "only-ipv4", "only-ipv6"],
            "pools[].method" => &["leastconn", "roundrobin"],
            "pools[].capacity" => &["annotation", "equal"],
            "pools[].proxyProtocol" => &["1", "2"],
            _ => &[],
        }
    }

    /// Returns whether each pool has this setting for itself.
    pub(super) fn is_of_pool(&self) -> bool {
        self.path.starts_with(POOL_PREFIX)
    }

    /// Returns the place of the value in the merged tree; for a setting of a pool, that of the pool with this index.
    pub(super) fn path_in_pool(&self, pool: usize) -> String {
        self.path.replacen("[]", &format!("[{pool}]"), 1)
    }
}
