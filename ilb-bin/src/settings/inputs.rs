//! Everything a process is given: the file, the variables and the flags.

use std::{io, path::PathBuf};

use super::{
    definitions::{BACKENDS_FILE, FILE_VARIABLE, SELECTOR, SERVICE, instance::INSTANCE_RELEASE},
    file,
    file_layer::FileLayer,
    layer::Layer,
    merged::Merged,
    problems::Problems,
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
    /// Cluster that was chosen on the command line.
    pub(crate) cluster: ClusterChoice,
    /// True if stderr is a terminal.
    pub(crate) terminal: bool,
}

/// Choice of a cluster, which is no setting: it says where ilb is at home, not what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClusterChoice {
    /// Path of the kubeconfig; `None` for those that `KUBECONFIG` names, or else the one in the home folder.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; `None` for the current one.
    pub(crate) context: Option<String>,
}

impl ClusterChoice {
    /// Returns whether something was chosen, so that a pod does not use its own cluster.
    pub(crate) fn is_made(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}

impl Inputs {
    /// Returns whether nothing says where the backends are: no file, no variable, and no flag but one of the instance.
    pub(crate) fn is_empty(&self) -> bool {
        let is_source = |name: &String| {
            let sources = [SELECTOR.key(), SERVICE.key(), BACKENDS_FILE.key()];
            sources.iter().any(|key| key.variables.contains(&name.as_str()))
        };
        let names_instance = |(flag, _): &(String, String)| flag == &INSTANCE_RELEASE.key().flag();
        self.file().is_none()
            && self.flags.iter().all(names_instance)
            && !self.variables.iter().any(|(name, _)| is_source(name))
    }

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
