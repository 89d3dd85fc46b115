//! Lets the linker of the release binary keep functions with the same machine code once.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let has_linker_of_rust = is("TARGET", "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.is_empty());
    // Only for this target does the compiler bring lld, and other linkers do not know the option. Rust promises no addresses of
    // its own to functions, so nothing may depend on them.
    if is("PROFILE", "release") && has_linker_of_rust {
        println!("cargo::rustc-link-arg-bin=ilb=-Wl,--icf=all");
    }
}
