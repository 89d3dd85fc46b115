//! What the fuzz target of the commands that show another ilb calls.

use super::{
    admin_client::{data, take_event},
    together::{Answer, Overview},
    view::{self, Room},
};
use crate::observe::{connections::ConnectionPage, insight::Status};

/// Takes `stream` as the events of an ilb, as its status and as its connections, and shows each on terminals of several sizes.
pub fn status(stream: &[u8]) {
    show(stream);
    show_connections(stream);
    let mut rest = stream.to_vec();
    while let Some(event) = take_event(&mut rest) {
        if let Some(data) = data(&event) {
            show(&data);
        }
    }
}

/// Panics if a terminal would act on a text of the connections.
fn show_connections(json: &[u8]) {
    let Ok(page) = serde_json::from_slice::<ConnectionPage>(json) else { return };
    for width in [0, 33, 80, 200] {
        let shown = anstream::adapter::strip_str(&view::connections(&page, width)).to_string();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

/// Panics if a terminal would act on a text of the status.
fn show(json: &[u8]) {
    let Ok(status) = serde_json::from_slice::<Status>(json) else { return };
    let status =
        Overview::from_answers(&[Answer::from(&status), Answer::from(&status)]).into_iter().chain([status.into()]);
    status.for_each(|overview| show_overview(&overview));
}

fn show_overview(overview: &Overview) {
    let line = view::line(overview);
    assert!(!line.contains(char::is_control), "{line:?}");
    for (width, height) in [(0, None), (80, None), (100, Some(0)), (33, Some(7)), (200, Some(50))] {
        let room = Room { width, height };
        let texts = [
            view::status(overview, room),
            view::plan(&overview.status.pools, overview.status.siblings.as_ref(), room),
            view::screen(Some(overview), None, "", &mut 3, room),
        ];
        for text in texts {
            // Styles begin with an escape; removing them leaves what came from the status.
            let shown = anstream::adapter::strip_str(&text).to_string();
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
}
