//! Lets the linker of the release binary keep less: functions with the same machine code once, addresses to relocate in a
//! packed form, and no tables for unwinding.

use std::{env, error::Error, fs, path::PathBuf};

/// Discards the tables by which a panic unwinds, and which are a twelfth of the binary: a release build aborts on a panic.
const WITHOUT_UNWINDING: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) } } INSERT AFTER .text;\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_linker_of_rust =
        is("TARGET", "x86_64-unknown-linux-gnu") && env::var_os("RUSTC_LINKER").is_none() && !flags.contains("link");
    // Only for this target does the compiler bring lld, and other linkers do not know the options.
    if is("PROFILE", "release") && has_linker_of_rust {
        let script = PathBuf::from(env::var("OUT_DIR")?).join("without-unwinding.ld");
        fs::write(&script, WITHOUT_UNWINDING)?;
        let script = format!("-T,{}", script.display());
        // Rust promises no addresses of its own to functions, so nothing may depend on them (`icf`).
        for option in ["--icf=all", "-z,pack-relative-relocs", "--no-eh-frame-hdr", &script] {
            println!("cargo::rustc-link-arg-bin=ilb=-Wl,{option}");
        }
    }
    Ok(())
}
