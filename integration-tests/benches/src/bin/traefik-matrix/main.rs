//! Checks every promise of the client with every version of Traefik that the testbed has, and writes the table
//! `docs/traefik-versions.md`.

use std::{fmt::Write as _, fs, process::ExitCode};

use ilb_benches::versions::TRAEFIK as VERSIONS;
use ilb_testbed::{in_checkout, matrix};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut text = String::from(
        "# Versions of Traefik\n\nWritten by `make test-matrix`, which tries each cell with a real Traefik of that \
         version.\n\n\"Reported\" means that this Traefik does not know the feature, and that `apply` fails with an error \
         that names the key and the version.\n",
    );
    let mut unexpected = 0;
    for (title, note, checks) in [
        ("Features", "", matrix::features()),
        ("Guards", "", matrix::guards()),
        (
            "Poison",
            "What happens to Traefik when this is sent raw. The typed model cannot express any of it.\n",
            matrix::poisons(),
        ),
    ] {
        let mut rows = Vec::new();
        for check in checks {
            let mut cells = Vec::new();
            for version in VERSIONS {
                eprintln!("matrix: {} with Traefik {version}", check.name);
                cells.push(check.run(version).await.unwrap_or_else(|error| {
                    eprintln!("matrix: {error:#}");
                    unexpected += 1;
                    "**not as expected**".to_owned()
                }));
            }
            rows.push((check.name, cells));
        }
        let note = if note.is_empty() { String::new() } else { format!("{note}\n") };
        write!(text, "\n## {title}\n\n{note}{}", table(&VERSIONS, &rows))?;
    }
    fs::write(in_checkout("docs/traefik-versions.md"), text)?;
    eprintln!("matrix: {unexpected} cells are not as expected; the table is in docs/traefik-versions.md");
    Ok(if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Formats a table in Markdown: one row per check, one column per version.
fn table(versions: &[&str], rows: &[(&str, Vec<String>)]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", versions.join(" | "), "---|".repeat(versions.len()));
    for (name, cells) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}
