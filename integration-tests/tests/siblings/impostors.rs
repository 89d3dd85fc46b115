//! Whatever answers in the place of a sibling, or does not, the others go on balancing together.

use std::time::Duration;

use ilb_testbed::{Void, eventually};

use crate::{
    impostor::{Answer, Impostor},
    replicas::{ADMIN_PORT, Replicas, alone, host},
};

/// Answers that are none of a sibling, and the kind of failure that each is.
const ANSWERS: [(Answer, &str); 8] = [
    (Answer::Text("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "status"),
    (Answer::Text("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"), "unintelligible"),
    (Answer::Text("-ERR unknown command\r\n"), "unintelligible"),
    (Answer::Text("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"v\":2}"), "version"),
    (Answer::Drip(Duration::from_millis(10)), "slow"),
    (Answer::Endless, "too_long"),
    (Answer::Longest, "unintelligible"),
    (Answer::None, "slow"),
];

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_impostor_costs_the_siblings_nothing() {
    if !alone("impostors::an_impostor_costs_the_siblings_nothing") {
        return;
    }
    let mut replicas = Replicas::start(2, 2).await;
    let mut open = Vec::new();
    replicas.all[0].connect(6, &mut open).await;
    let impostor = Impostor::start(9, ANSWERS[0].0).await;
    replicas.list_siblings(&[0, 1, 9]).await;
    for (answer, kind) in ANSWERS {
        impostor.answer(answer);
        for replica in &replicas.all {
            replica.wait_for_failure(kind).await;
        }
        replicas.assert_ready().await;
    }
    let problem = replicas.all[1].wait_for_loss_of(9).await;
    assert!(!problem.is_empty());
    // Both still know the counts of each other, and have never lost them.
    replicas.all[1].wait_until_hearing(1).await;
    replicas.list_backends(4).await;
    let [_, second] = &replicas.all[..] else { panic!("two replicas") };
    second.wait_for_head_starts(&[0, 0, 2, 2]).await;
    for replica in &replicas.all {
        let lost = replica.ilb.logged("A sibling does not answer: balancing without it until it does").unwrap();
        let impostor = host(9).to_string();
        assert!(lost.iter().all(|line| line.to_string().contains(&impostor)), "{lost:?}");
    }
    // It is replaced by nothing, and leaves the list.
    drop(impostor);
    second.wait_for_failure("unreachable").await;
    replicas.list_siblings(&[0, 1]).await;
    eventually("nothing is left of it", async || {
        let status = replicas.all[1].admin.status().await?;
        let siblings = status["siblings"]["siblings"].as_array().map(Vec::len);
        anyhow::ensure!(siblings == Some(1), "{status}");
        Ok(())
    })
    .await
    .unwrap();
    replicas.assert_ready().await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_replica_that_is_cut_off_one_way_balances_alone_and_the_other_one_with_it() {
    if !alone("impostors::a_replica_that_is_cut_off_one_way_balances_alone_and_the_other_one_with_it") {
        return;
    }
    // The second replica reaches the first one over another address, whose packets are lost later.
    let mut replicas = Replicas::new(2).await;
    let first_address = (host(0), ADMIN_PORT).into();
    let _way = Impostor::start(9, Answer::Of(first_address)).await;
    replicas.list_in("seen-by-the-first", &[0, 1]).await;
    replicas.list_in("seen-by-the-second", &[9, 1]).await;
    replicas.add(0, "seen-by-the-first").await;
    replicas.add(1, "seen-by-the-second").await;
    replicas.wait_until_ready_and_hearing(1).await;
    let mut open = Vec::new();
    replicas.all[0].connect(6, &mut open).await;
    replicas.list_backends(4).await;
    replicas.all[1].wait_for_head_starts(&[0, 0, 2, 2]).await;
    Void::new().unwrap().swallow([host(9)]).unwrap();
    let [first, second] = &replicas.all[..] else { panic!("two replicas") };
    let problem = second.wait_for_loss_of(9).await;
    assert!(problem.contains("has not answered within") || problem.contains("cannot be reached"), "{problem}");
    second.wait_for_head_starts(&[0, 0, 0, 0]).await;
    second.connect(4, &mut open).await;
    first.wait_until_hearing(1).await;
    // Alone, it would be three each, by which its own connections differ.
    first.wait_for_head_starts(&[0, 0, 2, 2]).await;
    replicas.assert_ready().await;
}
