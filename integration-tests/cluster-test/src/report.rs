//! The lines that the test prints.

use std::time::Instant;

use crate::cluster::Cluster;

/// Prints a line per check, and counts the outcomes.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Runs a check, which returns its observations. Returns whether it passed; otherwise prints the state of the cluster.
    pub(crate) async fn check(
        &mut self,
        cluster: &Cluster,
        promise: &str,
        check: impl Future<Output = anyhow::Result<String>>,
    ) -> bool {
        let begun = Instant::now();
        let result = check.await;
        let took = begun.elapsed().as_secs_f64();
        match result {
            Ok(seen) => {
                self.passed += 1;
                println!("ok   {took:5.1} s  {promise}: {seen}");
                true
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {took:5.1} s  {promise}: {error:#}");
                dump(cluster);
                false
            }
        }
    }

    /// Returns whether a check has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// Prints the last line. Returns whether all of `total` checks passed; those that were not reached count as skipped.
    pub(crate) fn sum_up(&self, total: u32) -> bool {
        println!(
            "cluster-test: {} passed, {} failed, {} skipped",
            self.passed,
            self.failed,
            total - self.passed - self.failed
        );
        self.failed == 0 && self.passed == total
    }
}

/// Prints the state of the cluster.
fn dump(cluster: &Cluster) {
    for line in [
        "kubectl get pods,services,endpointslices -A -o wide",
        "kubectl get events -A --sort-by=.lastTimestamp | tail -40",
        "kubectl describe pods -l app.kubernetes.io/instance=my-lb | tail -120",
        "kubectl logs -l app.kubernetes.io/instance=my-lb --all-containers --prefix --tail=30",
        "kubectl logs -l app.kubernetes.io/instance=my-lb --all-containers --prefix --tail=15 --previous",
        "kubectl logs -n closing -l app.kubernetes.io/instance=closing --all-containers --prefix --tail=40",
        "kubectl describe pods -n guarded | tail -120",
        "kubectl logs -n guarded -l app.kubernetes.io/instance=guarded --all-containers --prefix --tail=30",
        "kubectl logs -n replicas -l app.kubernetes.io/instance=trio --all-containers --prefix --tail=30",
        "kubectl logs my-lb-ilb-test",
        "kubectl logs client --tail=20",
    ] {
        println!("--- {line}");
        match cluster.shell(line) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("{error:#}"),
        }
    }
}
