//! The binary `ilb`.

fn main() -> std::process::ExitCode {
    ilb::main()
}
