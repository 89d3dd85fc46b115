//! Defines the settings of the way to Traefik.

use std::{path::PathBuf, time::Duration};

use ilb_traefik_client::fleet::Quorum;

use super::super::{
    parsers::{self, non_empty, path, traefik_url},
    setting::{
        DefaultValue::{Text, Unset},
        ListSetting, Setting,
    },
};

pub(in crate::settings) static TRAEFIK_URLS: ListSetting<String> = ListSetting(Setting {
    path: "traefik.urls",
    variables: &["ILB_TRAEFIK_URLS", "TRAEFIK_API_URL"],
    parse: traefik_url,
    default: Text("http://localhost:8080/api/providers/rest"),
    form: "an http URL such as http://localhost:8080/api/providers/rest",
    about: "URL of Traefik's REST provider, or the base URL above it. Several URLs make a fleet: each Traefik gets the same \
            configuration.",
});

pub(in crate::settings) static TRAEFIK_DNS: Setting<String> = Setting {
    path: "traefik.dns",
    variables: &["ILB_TRAEFIK_DNS"],
    parse: traefik_url,
    default: Unset("none"),
    form: "a URL whose host resolves to all instances, such as http://traefik.apps:8080",
    about: "URL of a fleet, instead of `traefik.urls`: each address that its host resolves to, now or later, is a Traefik \
            that gets the configuration.",
};

pub(in crate::settings) static TRAEFIK_QUORUM: Setting<Quorum> = Setting {
    path: "traefik.quorum",
    variables: &["ILB_TRAEFIK_QUORUM"],
    parse: parsers::quorum,
    default: Text("1"),
    form: "all, or a number of Traefiks such as 1",
    about: "Number of Traefiks of a fleet that have to run the configuration for ilb to be ready, and for a change to count \
            as done; all of them if there are fewer. The others get it as soon as they can.",
};

pub(in crate::settings) static TRAEFIK_TIMEOUT: Setting<Duration> = Setting {
    path: "traefik.timeout",
    variables: &["ILB_TRAEFIK_TIMEOUT"],
    parse: parsers::traefik_timeout,
    default: Text("3s"),
    form: "a duration of at most 5m, such as 3s",
    about: "Maximum time of one request to Traefik. With thousands of backends, a Traefik that is limited to a fraction of a \
            core needs longer to show its configuration.",
};

pub(in crate::settings) static TRAEFIK_USERNAME: Setting<String> = Setting {
    path: "traefik.basicAuth.username",
    variables: &["ILB_TRAEFIK_USERNAME"],
    parse: non_empty,
    default: Unset("none"),
    form: "a user name",
    about: "User name for a Traefik that requires basic authentication.",
};

pub(in crate::settings) static TRAEFIK_PASSWORD_FILE: Setting<PathBuf> = Setting {
    path: "traefik.basicAuth.passwordFile",
    variables: &["ILB_TRAEFIK_PASSWORD_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a file that holds the password",
    about: "Password of that user, read at the start.",
};

pub(in crate::settings) static TRAEFIK_BEARER_TOKEN_FILE: Setting<PathBuf> = Setting {
    path: "traefik.bearerTokenFile",
    variables: &["ILB_TRAEFIK_BEARER_TOKEN_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a file that holds a token",
    about: "Bearer token sent to Traefik instead of basic authentication, read again for each request.",
};

pub(in crate::settings) static TRAEFIK_CA_FILE: Setting<PathBuf> = Setting {
    path: "traefik.tls.caFile",
    variables: &["ILB_TRAEFIK_CA_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a PEM file with certificates",
    about: "Certificate authorities that are trusted to sign Traefik's certificate. Required for https.",
};

pub(in crate::settings) static TRAEFIK_CERT_FILE: Setting<PathBuf> = Setting {
    path: "traefik.tls.certFile",
    variables: &["ILB_TRAEFIK_CERT_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a PEM file with a certificate",
    about: "Client certificate that is presented to Traefik.",
};

pub(in crate::settings) static TRAEFIK_KEY_FILE: Setting<PathBuf> = Setting {
    path: "traefik.tls.keyFile",
    variables: &["ILB_TRAEFIK_KEY_FILE"],
    parse: path,
    default: Unset("none"),
    form: "the path of a PEM file with a private key",
    about: "Private key of the client certificate.",
};
