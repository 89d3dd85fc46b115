//! The versions of Kubernetes and Traefik that the testbed has, newest first.

/// Versions of Kubernetes of which an API server can be built.
pub const KUBERNETES: [&str; 4] = ["1.37.2", "1.34.4", "1.32.13", "1.30.14"];

/// The newest of each minor version of Traefik.
pub const TRAEFIK: [&str; 7] = ["3.7.15", "3.6.15", "3.5.3", "3.4.3", "3.3.6", "3.2.3", "3.0.4"];
