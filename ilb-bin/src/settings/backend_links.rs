//! Reads the links beside backends.

use super::{backend_link::BackendLink, definitions::backend_links::BACKEND_LINKS, reading::Reading};

/// Maximum number of links: there has to be room for them in a row of the page.
pub(super) const MAX_LINKS: usize = 8;

/// Reads the links, whose names and number have to fit.
pub(super) fn read_backend_links(reading: &mut Reading<'_>) -> Vec<BackendLink> {
    let links = reading.get_optional_named_list(&BACKEND_LINKS).unwrap_or_default();
    let name = reading.name(BACKEND_LINKS.key());
    if links.len() > MAX_LINKS {
        reading.report(format!("{name} has {} links: give at most {MAX_LINKS}", links.len()));
    }
    for (index, link) in links.iter().enumerate() {
        if links[..index].iter().any(|other| other.name == link.name) {
            reading.report(format!("{name} has two links named {:?}: give each a name of its own", link.name));
        }
    }
    links
}
