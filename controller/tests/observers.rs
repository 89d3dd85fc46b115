//! Observers of other programs, with the mock that the feature `test-util` adds.

use std::{error::Error, sync::Arc};

use ilb_controller::{Controller, Event, MockObserver, Pool, PoolSpec, plan};
use ilb_discovery::{Backend, BackendSet, State, testing::FakeDiscovery};
use ilb_traefik_client::MockConfigSink;
use mockall::Sequence;

/// Creates a pool with one ready backend.
fn pool() -> Result<Pool, Box<dyn Error>> {
    let discovery = FakeDiscovery::default();
    discovery.publish(BackendSet::from_iter([Backend::new(([10, 0, 0, 1], 5432).into(), State::Ready)]));
    let spec = PoolSpec::new("postgres".parse()?, "tcp".parse()?);
    Ok(Pool::new(spec, discovery))
}

#[tokio::test]
async fn a_mock_expects_the_events_of_a_plan_in_their_order() -> Result<(), Box<dyn Error>> {
    let mut observer = MockObserver::new();
    let mut order = Sequence::new();
    let expected: [fn(&Event<'_>) -> bool; 3] = [
        |event| matches!(event, Event::PoolAdded { pool } if pool.spec.name.as_str() == "postgres"),
        |event| matches!(event, Event::Discovered { set, previous: None, .. } if set.len() == 1),
        |event| matches!(event, Event::Decided { .. }),
    ];
    for event in expected {
        observer.expect_on().withf(event).times(1).in_sequence(&mut order).return_const(());
    }
    assert_eq!(plan([pool()?], &mut observer).await.len(), 1);
    Ok(())
}

/// The set of a source of several parts, of which one may not be read.
#[tokio::test]
async fn a_set_that_comes_with_an_error_is_reported_as_stale_in_part() -> Result<(), Box<dyn Error>> {
    let discovery = FakeDiscovery::default();
    discovery.publish(BackendSet::from_iter([Backend::new(([10, 0, 0, 1], 5432).into(), State::Ready)]));
    discovery.fail(ilb_discovery::Error::UnnamedNamespace);
    let pool = Pool::new(PoolSpec::new("postgres".parse()?, "tcp".parse()?), discovery);
    let mut observer = MockObserver::new();
    let mut order = Sequence::new();
    let expected: [fn(&Event<'_>) -> bool; 4] = [
        |event| matches!(event, Event::PoolAdded { .. }),
        |event| matches!(event, Event::Discovered { set, stale: Some(_), .. } if set.len() == 1),
        |event| matches!(event, Event::DiscoveryStale { .. }),
        |event| matches!(event, Event::Decided { .. }),
    ];
    for event in expected {
        observer.expect_on().withf(event).times(1).in_sequence(&mut order).return_const(());
    }
    assert_eq!(plan([pool], &mut observer).await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_controller_notifies_its_observers_in_the_order_in_which_they_were_added() -> Result<(), Box<dyn Error>> {
    let mut order = Sequence::new();
    let [first, second] = [(); 2].map(|()| {
        let mut observer = MockObserver::new();
        let is_added = |event: &Event<'_>| matches!(event, Event::PoolAdded { .. });
        observer.expect_on().withf(is_added).times(1).in_sequence(&mut order).return_const(());
        observer.expect_on().withf(|event| matches!(event, Event::Alive)).return_const(());
        observer
    });
    let controller = Controller::new(Arc::new(MockConfigSink::new()), [pool()?]);
    controller.with_observer(first).with_observer(second).run(std::future::ready(())).await;
    Ok(())
}
