//! Everything a process is given: the file, the variables and the flags.

use std::{io, path::PathBuf};

use super::{
    definitions::FILE_VARIABLE, file, file_layer::FileLayer, layer::Layer, merged::Merged, problems::Problems,
};

/// Sources of the settings, as a process is given them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    /// Path of the file. Without it, `ILB_CONFIG` names the file.
    pub(crate) file: Option<PathBuf>,
    /// Names and values of the environment. Bytes that are not Unicode are replaced.
    pub(crate) variables: Vec<(String, String)>,
    /// Names, without dashes, and values of the flags.
    pub(crate) flags: Vec<(String, String)>,
    /// True if stderr is a terminal.
    pub(crate) terminal: bool,
}

impl Inputs {
    /// Returns the file that settings are read from, if any.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = || self.variables.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        self.file.clone().or_else(|| named().map(|(_, path)| PathBuf::from(path)))
    }

    /// Merges the file, which has this `text`, the variables and the flags, each of which overrides those before it.
    pub(super) fn merged(&self, text: io::Result<String>, problems: &mut Problems) -> Merged {
        let file = match self.file().map(|path| (file::parse(&path, text), path)) {
            Some((Ok(content), path)) => FileLayer::new(&path, content, problems),
            Some((Err(error), _)) => {
                problems.push(format!("{error:#}"));
                FileLayer::unreadable()
            }
            None => FileLayer::default(),
        };
        let variables = Layer::from_variables(&self.variables, file.pools, problems);
        let flags = Layer::from_flags(&self.flags, file.pools, problems);
        Merged::new([file.layer, variables, flags], file.unreadable, problems)
    }
}
