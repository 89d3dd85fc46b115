//! Defines the settings that say which pod this process is.

use super::super::{
    definitions::forms::BOOLEAN_FORM,
    parsers::{boolean, object_name},
    setting::{
        DefaultValue::{Text, Unset},
        Setting,
    },
};

pub(in crate::settings) static KUBERNETES_EVENTS: Setting<bool> = Setting {
    path: "kubernetesEvents",
    variables: &["ILB_KUBERNETES_EVENTS"],
    parse: boolean,
    default: Text("false"),
    form: BOOLEAN_FORM,
    about: "`true`: important events are also Kubernetes Events about this pod, which `kubectl describe pod` shows. Needs \
            `instance.pod`, `instance.namespace` and the right to create events there; without the right, none are sent.",
};

pub(in crate::settings) static INSTANCE_UID: Setting<String> = Setting {
    path: "instance.uid",
    variables: &["ILB_POD_UID"],
    parse: object_name,
    default: Unset("none"),
    form: FORM,
    about: "UID of the pod, by which `kubectl describe pod` finds its events. The chart sets it if there are any.",
};

/// Form of each of these settings.
const FORM: &str = "a name of at most 253 lowercase letters, digits, '-' and '.'";

pub(in crate::settings) static INSTANCE_POD: Setting<String> = Setting {
    path: "instance.pod",
    variables: &["ILB_POD"],
    parse: object_name,
    default: Unset("none"),
    form: FORM,
    about: "Name of the pod that this process runs in, for the status, the page and Kubernetes Events. The chart sets it.",
};

pub(in crate::settings) static INSTANCE_NAMESPACE: Setting<String> = Setting {
    path: "instance.namespace",
    variables: &["ILB_POD_NAMESPACE"],
    parse: object_name,
    default: Unset("none"),
    form: FORM,
    about: "Namespace of that pod. The chart sets it.",
};

pub(in crate::settings) static INSTANCE_NODE: Setting<String> = Setting {
    path: "instance.node",
    variables: &["ILB_NODE"],
    parse: object_name,
    default: Unset("none"),
    form: FORM,
    about: "Node that the pod runs on. The chart sets it.",
};

pub(in crate::settings) static INSTANCE_RELEASE: Setting<String> = Setting {
    path: "instance.release",
    variables: &["ILB_RELEASE"],
    parse: object_name,
    default: Unset("none"),
    form: FORM,
    about: "Release of the chart that the pod belongs to. The chart sets it.",
};
