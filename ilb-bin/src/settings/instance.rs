//! The settings that say which pod this process is.

use ilb_discovery::Zone;

use super::{
    definitions::{
        instance::{INSTANCE_NAMESPACE, INSTANCE_NODE, INSTANCE_POD, INSTANCE_RELEASE, INSTANCE_UID},
        zones::{INSTANCE_ZONE, ZONE_OF_NODE},
    },
    reading::Reading,
};

/// Names of the place that this process runs in, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceSettings {
    pub(crate) pod: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) node: Option<String>,
    /// Release of the chart.
    pub(crate) release: Option<String>,
    /// UID of the pod.
    pub(crate) uid: Option<String>,
    pub(crate) zone: Option<Zone>,
    /// True if the zone is that of the node, where it is not given.
    pub(crate) zone_of_node: bool,
}

impl InstanceSettings {
    pub(super) fn read(reading: &mut Reading<'_>) -> Self {
        let this = Self {
            pod: reading.get_optional(&INSTANCE_POD),
            namespace: reading.get_optional(&INSTANCE_NAMESPACE),
            node: reading.get_optional(&INSTANCE_NODE),
            release: reading.get_optional(&INSTANCE_RELEASE),
            uid: reading.get_optional(&INSTANCE_UID),
            zone: reading.get_optional(&INSTANCE_ZONE),
            zone_of_node: reading.get(&ZONE_OF_NODE) == Ok(true),
        };
        if this.zone_of_node && this.zone.is_none() && this.node.is_none() {
            let (of_node, node) = (reading.name(ZONE_OF_NODE.key()), reading.name(INSTANCE_NODE.key()));
            reading.report(format!("{of_node} needs the name of the node: set ILB_NODE or {node}"));
        }
        this
    }
}
