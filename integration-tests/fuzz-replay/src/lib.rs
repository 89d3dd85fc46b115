//! Replays the corpus of a fuzz target, so that `cargo test` proves it without a fuzzer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is part of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRunner},
};

/// Calls `target` with each input in `fuzz/corpus/NAME`, and with 256 others that are put together from these.
///
/// # Panics
///
/// Panics if `target` does, and if there is no corpus or no file in `fuzz/fuzz_targets` of this name.
pub fn replay(name: &str, target: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    assert!(fuzz.join("fuzz_targets").join(name).with_extension("rs").exists(), "no fuzz target is called {name}");
    let inputs = inputs(&fuzz.join("corpus").join(name));
    for input in &inputs {
        target(input);
    }
    let config = Config { failure_persistence: None, ..Config::default() };
    let replayed = TestRunner::new(config).run(&changed(inputs), |input| {
        target(&input);
        Ok(())
    });
    if let Err(error) = replayed {
        panic!("{name}: {error}");
    }
}

fn inputs(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no input", folder.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Makes inputs of the beginning of one and the end of another, with up to 8 changed bytes.
fn changed(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let parts = (any::<[Index; 4]>(), vec((any::<Index>(), any::<u8>()), 0..8));
    parts.prop_map(move |([one, end, other, start], changes)| {
        let (one, other) = (one.get(&inputs), other.get(&inputs));
        let (head, tail) = (&one[..end.index(one.len() + 1)], &other[start.index(other.len() + 1)..]);
        let mut input = [head, tail].concat();
        for (at, byte) in changes {
            if !input.is_empty() {
                let at = at.index(input.len());
                input[at] = byte;
            }
        }
        input
    })
}
