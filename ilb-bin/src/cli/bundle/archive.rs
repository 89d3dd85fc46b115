//! The file that a bundle becomes.

use std::fmt::Write as _;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use tar::{Builder, Header};

use crate::cli::version::VERSION;

/// Files that have been collected, and what could not be.
pub(super) struct Archive {
    made: Timestamp,
    files: Vec<(String, Vec<u8>)>,
    missing: Vec<Missing>,
}

/// File that could not be collected.
#[derive(Serialize)]
struct Missing {
    file: String,
    problem: String,
}

/// First file of a bundle: what it is, and what is not in it.
#[derive(Serialize)]
struct Manifest<'a> {
    /// Version of this document.
    schema: u32,
    time: String,
    /// Version of the program that has collected; replicas may have others.
    ilb: &'static str,
    files: Vec<&'a str>,
    missing: &'a [Missing],
}

impl Archive {
    pub(super) fn new(made: Timestamp) -> Self {
        Self { made, files: Vec::new(), missing: Vec::new() }
    }

    /// Returns the name of the folder in it.
    pub(super) fn name(&self) -> String {
        format!("ilb-bundle-{}", self.made.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// Adds a file, or the reason why there is none.
    pub(super) fn take(&mut self, file: &str, content: Result<Vec<u8>, String>) {
        match content {
            Ok(content) => self.files.push((file.to_owned(), content)),
            Err(problem) => self.missing.push(Missing { file: file.to_owned(), problem }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> &[(String, Vec<u8>)] {
        &self.files
    }

    /// Returns what could not be collected, with the reasons.
    pub(super) fn problems(&self) -> Vec<String> {
        self.missing.iter().map(|missing| format!("{}: {}", missing.file, missing.problem)).collect()
    }

    /// Returns the tar file, the manifest first.
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let manifest = Manifest {
            schema: 1,
            time: self.made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            ilb: VERSION,
            files: self.files.iter().map(|(file, _)| file.as_str()).collect(),
            missing: &self.missing,
        };
        let manifest = serde_json::to_vec_pretty(&manifest).context("cannot write the manifest")?;
        let mut builder = Builder::new(Vec::new());
        let manifest = [("manifest.json", manifest.as_slice())].into_iter();
        let files = self.files.iter().map(|(file, content)| (file.as_str(), content.as_slice()));
        for (file, content) in manifest.chain(files) {
            let mut header = Header::new_gnu();
            header.set_size(content.len().try_into().context("a file is too long")?);
            header.set_mode(0o644);
            header.set_mtime(self.made.as_second().try_into().unwrap_or_default());
            let path = format!("{}/{file}", self.name());
            builder.append_data(&mut header, &path, content).with_context(|| format!("cannot add {path}"))?;
        }
        builder.into_inner().context("cannot end the archive")
    }

    /// Says what was written to `target`, and what could not be had.
    pub(super) fn summary(&self, target: &str) -> String {
        let (found, all) = (self.files.len(), self.files.len() + self.missing.len());
        let mut text = format!("Wrote {target}: {found} of {all} files. Look through it before you give it away.\n");
        for problem in self.problems() {
            let _ = writeln!(text, "Not in it: {problem}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_manifest_comes_first_and_lists_what_is_missing() {
        let mut archive = Archive::new(Timestamp::from_second(1_800_000_000).unwrap());
        let long = format!("apps/{}/status.json", "a".repeat(253));
        archive.take(&long, Ok(b"{}".to_vec()));
        archive.take("apps/b/status.json", Err("it does not answer".to_owned()));
        let bytes = archive.to_bytes().unwrap();
        let mut read = tar::Archive::new(bytes.as_slice());
        let mut files = read.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        });
        let (path, manifest) = files.next().unwrap();
        assert_eq!(path, "ilb-bundle-20270115T080000Z/manifest.json");
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["time"], "2027-01-15T08:00:00Z");
        assert_eq!(manifest["files"], json!([long]));
        assert_eq!(manifest["missing"][0], json!({"file": "apps/b/status.json", "problem": "it does not answer"}));
        assert_eq!(files.next().unwrap(), (format!("ilb-bundle-20270115T080000Z/{long}"), "{}".to_owned()));
        assert!(files.next().is_none());
        let summary = archive.summary("b.tar");
        assert!(
            summary.starts_with("Wrote b.tar: 1 of 2 files") && summary.contains("it does not answer"),
            "{summary}"
        );
    }
}
