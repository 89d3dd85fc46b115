//! Defines the settings by which backends of the own zone are preferred.

use ilb_discovery::Zone;

use super::{
    super::{
        parsers::{self, boolean, parsed},
        setting::{
            DefaultValue::{Text, Unset},
            Setting,
        },
    },
    forms::BOOLEAN_FORM,
};

pub(in crate::settings) static INSTANCE_ZONE: Setting<Zone> = Setting {
    path: "instance.zone",
    variables: &["ILB_ZONE"],
    parse: parsed,
    default: Unset("unknown"),
    form: "the name of a zone such as eu-central-1a",
    about: "Zone that the pod runs in: the label `topology.kubernetes.io/zone`, which pods have from Kubernetes 1.35 on. The \
            chart sets it where a pool prefers its own zone.",
};

pub(in crate::settings) static ZONE_OF_NODE: Setting<bool> = Setting {
    path: "instance.zoneOfNode",
    variables: &["ILB_ZONE_OF_NODE"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: where `instance.zone` is unknown, the zone is read from the node (`instance.node`). Needs the right to \
            get nodes.",
};

pub(in crate::settings) static ZONES: Setting<bool> = Setting {
    path: "pools[].zones",
    variables: &["ILB_ZONES"],
    parse: parsers::zones,
    default: Text("off"),
    form: "off or prefer",
    about: "`prefer`: backends in the zone of this replica get new connections first, as long as they are not fuller than the \
            mean of all by more than `zoneMaxExcess`: see [zones](balancing.md#zones). Only with `leastconn`.",
};

pub(in crate::settings) static ZONE_MAX_EXCESS: Setting<u32> = Setting {
    path: "pools[].zoneMaxExcess",
    variables: &["ILB_ZONE_MAX_EXCESS"],
    parse: parsers::percent,
    default: Text("20%"),
    form: "a percentage from 1% to 100%",
    about: "Part of the mean number of connections by which a backend of the own zone may be fuller than the mean, through all \
            replicas together, and still come first. Only with `zones: prefer`.",
};
