//! What the fuzz target of the commands that show another ilb calls.

use super::{
    admin_client::{data, take_event},
    view::{self, Room},
};
use crate::observe::insight::Status;

/// Takes `stream` as the events of an ilb and as its status, and shows each status on terminals of several sizes.
pub fn status(stream: &[u8]) {
    show(stream);
    let mut rest = stream.to_vec();
    while let Some(event) = take_event(&mut rest) {
        if let Some(data) = data(&event) {
            show(&data);
        }
    }
}

/// Panics if a terminal would act on a text of the status.
fn show(json: &[u8]) {
    let Ok(status) = serde_json::from_slice::<Status>(json) else { return };
    let line = view::line(&status);
    assert!(!line.contains(char::is_control), "{line:?}");
    for (width, height) in [(0, None), (80, None), (100, Some(0)), (33, Some(7)), (200, Some(50))] {
        let room = Room { width, height };
        let texts =
            [view::status(&status, room), view::plan(&status.pools, room), view::screen(Some(&status), None, "", room)];
        for text in texts {
            // Styles begin with an escape; removing them leaves what came from the status.
            let shown = anstream::adapter::strip_str(&text).to_string();
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        }
    }
}
