//! Writes `docs/settings.md` from the definitions of the settings.

use std::fmt::Write as _;

use super::{definitions::KEYS, setting::Key};

const INTRODUCTION: &str = "\
# Settings

<!-- Made from ilb-bin/src/settings/definitions.rs by `UPDATE_DOCS=1 cargo test -p ilb-bin settings`; do not edit. -->

A setting is taken from the first of these that has it: a flag, an environment variable, the file (`--config FILE` or
`ILB_CONFIG`; YAML, JSON or TOML), its default. The variables without `ILB_` are those of the program that ilb replaces.
Variables and flags of a pool describe the only pool; if the file has several pools, they are an error. `BACKEND_PORT` and
`ILB_BACKEND_PORT` are ignored if they have the address of a Service, such as `tcp://10.0.0.1:80`: Kubernetes sets them for
a Service named `backend` or `ilb-backend`, unless the pod has `enableServiceLinks: false`. A log line and `ilb check`
name them.

All settings are checked before anything starts, and all problems are reported at once, each with the place, the value and
the accepted form; the exit code is then 2. `ilb check` does only that, and prints the effective settings and their origin.

The file is watched. Changes to its pools, to `log` and to `backendLinks` take effect a second or two later, without a
restart and without touching a connection; other changes take effect at the next start, and a log line names them. A file
with a mistake is refused as a whole, and the settings before it stay in effect.

**Replace the file as a whole**, by renaming a new one over it, as a `ConfigMap` volume, Helm and most editors do. While a
program writes into the file in place, what is there so far can be valid, with fewer pools. So a change counts only after
the file has stayed the same for a second, and it is refused

- if it has become empty (`{}` stands for no settings);
- if its last line no longer has an end, which is what a full disk or a program that was ended
  leaves behind;
- if it has kept changing for 10 s.

A YAML or TOML file that has been cut after a whole line, and is not continued within the second, cannot be told from a
file with fewer settings. JSON can: it is valid only with its last bracket.

The file is at most 1 MiB and a regular file. If its volume does not answer for 10 s, that is reported like a mistake in
it, and neither the balance nor the health checks wait for it.

```yaml
pools:
  - name: postgres
    selector: app=postgres,role=replica
    backendPort: 5432
    entryPoint: postgres
  - name: broker
    service: rabbitmq
    namespaces: [messaging]
    backendPort: amqp
    entryPoint: amqp
    slowStart: 30s
```
";

/// Returns the whole document.
pub(super) fn document() -> String {
    let (pools, process): (Vec<_>, Vec<_>) = KEYS.iter().partition(|key| key.is_of_pool());
    let mut text = INTRODUCTION.to_owned();
    section(&mut text, "The process", &process);
    section(&mut text, "Each pool", &pools);
    text
}

fn section(text: &mut String, title: &str, keys: &[&Key]) {
    let _ =
        write!(text, "\n## {title}\n\n| in the file | variables | flag | default | meaning |\n|---|---|---|---|---|\n");
    for key in keys {
        let variables: Vec<_> = key.variables.iter().map(|name| format!("`{name}`")).collect();
        let about = format!("{} Accepted: {}.", key.about, key.form).replace('|', "\\|");
        let (path, variables, flag) = (key.path, variables.join(", "), key.flag());
        let _ = writeln!(text, "| `{path}` | {variables} | `--{flag}` | {} | {about} |", key.default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == document(), "docs/settings.md is stale: UPDATE_DOCS=1 cargo test -p ilb-bin settings");
    }
}
