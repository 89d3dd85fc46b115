//! The folder that all of the project is in.

use std::path::{Path, PathBuf};

/// Returns the path of `file`, which is relative to the folder of the checkout.
pub fn in_checkout(file: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}
