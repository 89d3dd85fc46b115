//! A closer needs the capability `NET_ADMIN` and nothing else, and says what is missing.

use ilb_connections::{Ability, Closer, Remote};
use ilb_testbed::{CloserProcess, Privileges};

use crate::scene::{FLAGS, alone};

const NOBODY: [&str; 4] = ["--no-new-privs", "--reuid=65534", "--regid=65534", "--clear-groups"];

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_closer_needs_net_admin_and_nothing_else_and_says_what_is_missing() {
    if !alone("privileges::a_closer_needs_net_admin_and_nothing_else_and_says_what_is_missing") {
        return;
    }
    let nobody = |more: &[&'static str]| NOBODY.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    // Kubernetes has no ambient capabilities. Here they are what puts the capability into the permitted set, as a container
    // runtime does, until the file with a capability of its own is executed.
    let permitted = ["--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin"];
    let bounding_only = ["--inh-caps=-all", "--bounding-set=-all,+net_admin"];
    for (case, setpriv, file, is_able) in [
        ("root with NET_ADMIN alone", Privileges::ROOT_WITH_NET_ADMIN.setpriv.to_vec(), None, true),
        ("root without it", vec!["--no-new-privs", "--inh-caps=-all", "--bounding-set=-net_admin"], None, false),
        ("another user without capabilities", nobody(&["--inh-caps=-all", "--bounding-set=-all"]), None, false),
        ("another user, added, and a plain file", nobody(&bounding_only), None, false),
        ("another user, added, and a file that has it", nobody(&permitted), Some("cap_net_admin+ep"), true),
        ("another user with an ambient one", nobody(&permitted), None, true),
    ] {
        let privileges = Privileges { setpriv: &setpriv, file };
        let closer = CloserProcess::start(privileges, &FLAGS).await.unwrap();
        let reason = closer.ability().unwrap();
        println!("{case}: {reason:?}");
        assert_eq!(reason.is_none(), is_able, "{case}: {reason:?}");
        match Remote::new(closer.socket()).ability().await {
            Ability::Able(limits) => assert!(is_able && limits.ports().contains(&5432), "{case}"),
            Ability::Unable(said) => assert!(!is_able && said.contains("NET_ADMIN") && Some(said) == reason, "{case}"),
            Ability::Unreachable(why) => panic!("{case}: {why}"),
        }
    }
}

/// The closer and ilb are in containers of their own in a pod, and neither sees the processes of the other.
#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_closer_follows_a_client_whose_process_it_cannot_see() {
    if !alone("privileges::a_closer_follows_a_client_whose_process_it_cannot_see") {
        return;
    }
    let closer = CloserProcess::start_apart(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let ability = Remote::new(closer.socket()).ability().await;
    assert!(matches!(ability, Ability::Able(_)), "{ability:?}");
}
