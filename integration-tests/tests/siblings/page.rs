//! The status page of each replica shows all of them.

use ilb_testbed::{Browser, Look};
use serde_json::json;

use crate::replicas::{ADMIN_PORT, Replicas, alone, host};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_page_shows_the_connections_of_all_replicas_and_one_that_is_lost() {
    if !alone("page::the_page_shows_the_connections_of_all_replicas_and_one_that_is_lost") {
        return;
    }
    let mut replicas = Replicas::start(3, 2).await;
    let mut open = Vec::new();
    for (at, count) in [(0, 2), (1, 3), (2, 4)] {
        replicas.all[at].connect(count, &mut open).await;
        replicas.all[at].wait_until_counted(count as u64).await;
    }
    let browser = Browser::start(Look::Light).await.unwrap();
    browser.open(&replicas.all[0].admin.url("/")).await.unwrap();
    let [second, third] = [1, 2].map(|number| format!("{}:{ADMIN_PORT}", host(number)));
    let connections = |pairs: &[(&str, &str)]| {
        let rows = "[...document.querySelectorAll('#fleet tbody tr')].map(tr => [tr.cells[0].firstChild.textContent, tr.cells[2].textContent])";
        format!("return JSON.stringify({rows}) === {}", json!(json!(pairs).to_string()))
    };
    let all = [("this replica", "2"), (second.as_str(), "3"), (third.as_str(), "4")];
    browser.wait_for(&connections(&all)).await.unwrap();
    assert_eq!(browser.complaints_of_axe().await.unwrap(), [""; 0]);
    browser.screenshot("replicas").await.unwrap();

    replicas.all[2].ilb.kill().unwrap();
    browser.wait_to_see(&[&third, "not heard for"]).await.unwrap();
    browser.close().await.unwrap();
}
