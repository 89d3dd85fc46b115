//! What must hold of each record: pure.

use anyhow::ensure;

use crate::{
    event::Event,
    record::Record,
    window::{WILLS, spread},
};

/// Returns an error that names each promise that was broken.
pub(crate) fn check(records: &[Record]) -> anyhow::Result<()> {
    let broken: Vec<String> = records.iter().flat_map(broken).collect();
    ensure!(broken.is_empty(), "broken promises:\n{}", broken.join("\n"));
    println!("apps-test: {} records, no promise was broken", records.len());
    Ok(())
}

/// Returns the promises that this record breaks.
fn broken(record: &Record) -> Vec<String> {
    let Record { event, seen, .. } = record;
    let mut broken = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            let with = if record.closing { " with closing" } else { "" };
            broken.push(format!("{}, {}{with}: {what}", record.application, event.name()));
        }
    };
    if let Some(kept) = &record.kept {
        let lost = kept.lost.len();
        expect(lost == 0, format!("{lost} operations were confirmed and are lost, such as {:?}", kept.lost.first()));
    }
    if event.is_unnoticed() {
        expect(seen.failed == 0, format!("{} operations failed: {:?}", seen.failed, seen.errors));
        expect(seen.connected == 0, format!("{} connections were opened", seen.connected));
        expect(seen.noted.values().all(|number| *number == 0), format!("clients have seen {:?}", seen.noted));
    }
    let is_scale_out = *event == Event::ScaleOut;
    if is_scale_out && !record.closing {
        expect(seen.failed == 0, format!("{} operations failed: {:?}", seen.failed, seen.errors));
    }
    if !record.closing {
        expect(record.closed == 0, format!("{} connections were closed without a rule", record.closed));
    }
    if let Some(wills) = seen.noted.get(WILLS).filter(|_| record.closing && record.closed > 0) {
        let closed = record.closed;
        expect(*wills >= closed, format!("{wills} wills were published for {closed} connections that were closed"));
    }
    let level = record.closing && matches!(event, Event::ScaleOut | Event::RollingRestart);
    expect(!level || spread(&record.after) <= most(record), format!("the servers are not level: {:?}", record.after));
    broken
}

/// Returns the spread of servers that are level: each has its share, and what the rules allow or one connection more.
#[allow(clippy::cast_precision_loss, reason = "there are few connections")]
fn most(record: &Record) -> f64 {
    let (sum, servers) = (record.after.iter().sum::<usize>(), record.after.len());
    let share = sum.div_ceil(servers.max(1));
    (share + 1).max(share + share * record.event.excess_percent() / 100) as f64 * servers as f64 / sum.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Kept, Window};

    fn record(event: Event, closing: bool) -> Record {
        Record {
            application: "mqtt".to_owned(),
            event,
            closing,
            clients: 60,
            before: vec![30, 30],
            after: vec![20, 20, 20],
            seen: Window::default(),
            kept: Some(Kept::default()),
            closed: 0,
            cut: 0,
            took: 1.0,
        }
    }

    #[test]
    fn what_was_confirmed_and_is_lost_breaks_a_promise_whatever_happened() {
        for event in Event::ALL {
            let mut record = record(event, true);
            assert!(check(std::slice::from_ref(&record)).is_ok());
            record.kept = Some(Kept { lost: vec![7], ..Kept::default() });
            let error = check(&[record]).unwrap_err().to_string();
            assert!(error.contains("1 operations were confirmed and are lost, such as Some(7)"), "{error}");
        }
    }

    #[test]
    fn only_some_events_may_be_noticed() {
        for event in Event::ALL {
            let mut record = record(event, true);
            record.seen.failed = 1;
            assert_eq!(check(std::slice::from_ref(&record)).is_err(), event.is_unnoticed(), "{event:?}");
            record.seen = Window { noted: [("wills".to_owned(), 1)].into(), ..Window::default() };
            assert_eq!(check(&[record]).is_err(), event.is_unnoticed(), "{event:?}");
        }
    }

    #[test]
    fn each_connection_that_was_closed_has_published_its_will() {
        let mut record = Record { closed: 20, ..record(Event::ScaleOut, true) };
        record.seen.noted = [(WILLS.to_owned(), 20)].into();
        assert!(check(std::slice::from_ref(&record)).is_ok());
        record.seen.noted = [(WILLS.to_owned(), 19)].into();
        assert!(check(&[record]).is_err());
    }

    #[test]
    fn nothing_is_closed_without_a_rule_and_everything_is_level_with_one() {
        let closed = Record { closed: 1, ..record(Event::ScaleOut, false) };
        assert!(check(&[closed]).is_err());
        let uneven = Record { after: vec![22, 20, 18], ..record(Event::ScaleOut, true) };
        assert!(check(std::slice::from_ref(&uneven)).is_err());
        assert!(check(&[Record { closing: false, ..uneven }]).is_ok());
        assert!(check(&[Record { after: vec![21, 20, 19], ..record(Event::ScaleOut, true) }]).is_ok());
    }
}
