//! Parses the given values by their definitions, and reports every problem on the way.

use super::{
    effective::masked,
    merged::{Given, Merged},
    origin::Origin,
    problems::Problems,
    setting::{Key, ListSetting, NamedListSetting, Setting},
};

/// Reads the settings of the process, or those of one pool.
pub(super) struct Reading<'a> {
    pub(super) merged: &'a Merged,
    /// True if stderr is a terminal.
    pub(super) terminal: bool,
    /// Index of the pool whose settings are read.
    pub(super) pool: usize,
    pub(super) problems: &'a mut Problems,
}

/// Stands for a value that is missing because of a problem, which has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported;

impl Reading<'_> {
    /// Returns a reading of the same inputs for the pool with this index.
    pub(super) fn for_pool(&mut self, pool: usize) -> Reading<'_> {
        Reading { merged: self.merged, terminal: self.terminal, pool, problems: self.problems }
    }

    /// Returns the value that is given, or else the default. A given one that cannot be used is reported, and the default
    /// stands in for it so that the other settings can be checked.
    pub(super) fn get<T>(&mut self, setting: &Setting<T>) -> Result<T, Reported> {
        self.get_optional(setting).map_or_else(|| self.default(setting), Ok)
    }

    /// Returns the value that is given, if it can be used.
    pub(super) fn get_optional<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let key = setting.key();
        let given = self.given(key)?;
        self.parse(setting, key, &given)
    }

    /// Returns the values that are given, or else the default; an empty list counts as not given.
    pub(super) fn get_list<T>(&mut self, setting: &ListSetting<T>) -> Result<Vec<T>, Reported> {
        match self.get_optional_list(setting) {
            Some(values) if !values.is_empty() => Ok(values),
            _ => self.default(&setting.0).map(|value| vec![value]),
        }
    }

    /// Returns those of the given values that can be used, if the setting is given.
    pub(super) fn get_optional_list<T>(&mut self, setting: &ListSetting<T>) -> Option<Vec<T>> {
        self.list(&setting.0, setting.key())
    }

    /// Returns those of the given values that can be used, if the setting is given.
    pub(super) fn get_optional_named_list<T>(&mut self, setting: &NamedListSetting<T>) -> Option<Vec<T>> {
        self.list(&setting.0, setting.key())
    }

    fn list<T>(&mut self, setting: &Setting<T>, key: Key) -> Option<Vec<T>> {
        let given = self.merged.list(&self.path(key))?;
        Some(given.iter().filter_map(|given| self.parse(setting, key, given)).collect())
    }

    /// Returns the given text of a setting, with its origin.
    pub(super) fn given(&self, key: Key) -> Option<Given> {
        self.merged.value(&self.path(key))
    }

    /// Returns the origin of a setting, if it is given.
    pub(super) fn origin(&self, key: Key) -> Option<Origin> {
        self.merged.origin(&self.path(key))
    }

    /// Names a setting to people by its origin, or by its path if it is not given.
    pub(super) fn name(&self, key: Key) -> String {
        let path = self.path(key);
        self.merged.origin(&path).unwrap_or(Origin::Default).name(&path)
    }

    /// Returns whether the file could not be read where it may hold the setting, which has been reported.
    pub(super) fn is_unreadable(&self, key: Key) -> bool {
        self.merged.is_unreadable(&self.path(key))
    }

    /// Reports a problem.
    pub(super) fn report(&mut self, problem: String) {
        self.problems.push(problem);
    }

    fn path(&self, key: Key) -> String {
        key.path_in_pool(self.pool)
    }

    fn parse<T>(&mut self, setting: &Setting<T>, key: Key, given: &Given) -> Option<T> {
        (setting.parse)(given.text.trim())
            .map_err(|why| {
                let (name, value) = (given.origin.name(&self.path(key)), masked(&given.text));
                self.report(format!("{name}={value:?} cannot be used ({why:#}): give {}", setting.form));
            })
            .ok()
    }

    fn default<T>(&mut self, setting: &Setting<T>) -> Result<T, Reported> {
        let why = match setting.default.text(self.terminal).map(|text| (text, (setting.parse)(text))) {
            Some((_, Ok(value))) => return Ok(value),
            Some((text, Err(why))) => format!("its default {text:?} cannot be used: {why:#}"),
            None => "it has no default".to_owned(),
        };
        self.report(format!("{} must be set ({why}): give {}", self.path(setting.key()), setting.form));
        Err(Reported)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{
        super::{layer::Layer, parsers::boolean, setting::DefaultValue},
        *,
    };

    #[rstest]
    #[case(DefaultValue::Text("true"), Ok(true), "")]
    #[case(
        DefaultValue::Text("maybe"),
        Err(Reported),
        "ilb: a.b must be set (its default \"maybe\" cannot be used: not a boolean): give one\n"
    )]
    #[case(DefaultValue::Unset("none"), Err(Reported), "ilb: a.b must be set (it has no default): give one\n")]
    #[case(DefaultValue::ByStderr { terminal: "true", otherwise: "false" }, Ok(true), "")]
    fn a_default_is_parsed_and_one_that_cannot_be_used_is_reported(
        #[case] default: DefaultValue,
        #[case] value: Result<bool, Reported>,
        #[case] problem: &str,
    ) {
        let mut problems = Problems::default();
        let merged = Merged::new([Layer::default(), Layer::default(), Layer::default()], Vec::new(), &mut problems);
        let mut reading = Reading { merged: &merged, terminal: true, pool: 0, problems: &mut problems };
        let setting = Setting { path: "a.b", variables: &[], parse: boolean, default, form: "one", about: "" };
        assert_eq!(reading.get(&setting), value);
        assert_eq!(problems.to_string(), problem);
    }
}
