//! `ilb plan` is by the connections of all replicas.

use serde_json::Value;

use crate::replicas::{ADMIN_PORT, Replica, Replicas, alone, host};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_plan_is_by_the_connections_of_all_replicas_and_names_one_that_does_not_answer() {
    if !alone("plan::a_plan_is_by_the_connections_of_all_replicas_and_names_one_that_does_not_answer") {
        return;
    }
    let mut replicas = Replicas::start(3, 2).await;
    let mut open = Vec::new();
    let [first, second, _] = &replicas.all[..] else { panic!("not three replicas") };
    first.connect(6, &mut open).await;
    second.connect(2, &mut open).await;
    first.wait_until_counted(6).await;
    second.wait_until_counted(2).await;
    replicas.list_backends(3).await;

    // The second replica's own connections count once, although its ilb is one of the endpoints.
    let plan = plan(&replicas.all[1]).await;
    assert_eq!(plan["siblings"]["heard"], 2, "{plan}");
    let backends = plan["pools"][0]["backends"].as_array().unwrap();
    let numbers = |field: &str| backends.iter().map(|backend| backend[field].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers("established"), [1, 1, 0], "{plan}");
    assert_eq!(numbers("total"), [4, 4, 0], "{plan}");
    let head_starts = numbers("head_start");
    assert!(head_starts[..2] == [0, 0] && head_starts[2] > 1, "{head_starts:?}: {plan}");
    let shown = replicas.all[1].ilb.ask(&["plan"]).await.unwrap();
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    for part in ["Balancing together with 2 more", "1 of 4", "0 of 0", "Nothing was pushed."] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }

    replicas.all[2].ilb.kill().unwrap();
    let lost = format!("{}:{ADMIN_PORT}", host(2));
    let shown = replicas.all[1].ilb.ask(&["plan"]).await.unwrap();
    for part in ["1 of 4", lost.as_str()] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

async fn plan(replica: &Replica) -> Value {
    let shown = replica.ilb.ask(&["plan", "-o", "json"]).await.unwrap();
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&shown.stdout).unwrap()
}
