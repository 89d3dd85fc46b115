//! A Traefik whose REST provider is published behind authentication and TLS can be configured, by the client and by ilb with
//! the settings for it.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use ilb_testbed::{Admin, BareTraefik, Ilb, Net};
use ilb_traefik_client::{ConfigSink, Configuration, Error, Member, TcpPool, Traefik, TraefikBuilder};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// A certificate authority, and certificates with keys for the server and the client.
struct Keys {
    authority: String,
    server: (String, String),
    client: (String, String),
}

impl Keys {
    fn generate() -> Self {
        Self::with_name("traefik.example.org")
    }

    /// Generates keys for a server of this name or address.
    fn with_name(name: &str) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(params, authority_key);
        let signed = |purpose| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([name.to_owned()]).unwrap();
            params.extended_key_usages.push(purpose);
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        Self {
            authority,
            server: signed(ExtendedKeyUsagePurpose::ServerAuth),
            client: signed(ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    /// Returns the file that publishes REST provider and API on `secure`, behind TLS, client certificates, a condition and
    /// a middleware.
    fn file(&self, condition: &str, middleware: &str) -> String {
        let block = |text: &str| text.replace('\n', "\n          ");
        format!(
            "http:
  routers:
    rest:
      entryPoints: [secure]
      rule: PathPrefix(`/api/providers`){condition}
      priority: 200
      middlewares: [guard]
      service: rest@internal
      tls: {{}}
    api:
      entryPoints: [secure]
      rule: PathPrefix(`/api`){condition}
      priority: 100
      middlewares: [guard]
      service: api@internal
      tls: {{}}
  middlewares:
    guard:
      {middleware}
tls:
  options:
    default:
      clientAuth:
        clientAuthType: RequireAndVerifyClientCert
        caFiles:
        - |
          {}
  certificates:
  - certFile: |
          {}
    keyFile: |
          {}
",
            block(&self.authority),
            block(&self.server.0),
            block(&self.server.1)
        )
    }

    /// Creates a client that connects to the address of `server`: the name in the certificate is in no DNS.
    fn client(&self, server: &BareTraefik) -> TraefikBuilder {
        Traefik::builder("https://traefik.example.org:8443")
            .pinned_to((server.host(), 8443).into())
            .authorities(self.authority.clone())
            .identity(&self.client.0, &self.client.1)
    }
}

fn install_crypto() {
    // An error means that one has been installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn configuration() -> Configuration {
    let mut configuration = Configuration::default();
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap())
        .member(Member::new("127.200.0.1:5000".parse().unwrap(), 1))
        .add_to(&mut configuration);
    configuration
}

/// The user `user` with the password `hunter2`, as an unsalted SHA-1, which Traefik accepts.
const BASIC_AUTH: &str = "basicAuth: {users: [\"user:{SHA}87u9ZqY9S/F0eUBXjsPQEDUw4h0=\"]}";

async fn kind_of_failure(builder: TraefikBuilder) -> String {
    let error = builder.build().unwrap().apply(&configuration()).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    match error {
        Error::Refused { status, .. } => format!("refused {status}"),
        other => other.kind().to_owned(),
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn password_authority_and_client_certificate_are_all_needed_and_enough() {
    install_crypto();
    let keys = Keys::generate();
    let server = BareTraefik::builder().secured(keys.file("", BASIC_AUTH)).start().await.unwrap();
    let right = keys.client(&server).basic("user", "hunter2");
    let applied = right.clone().build().unwrap().apply(&configuration()).await.unwrap();
    right.build().unwrap().verify(&applied).await.unwrap();

    assert_eq!(kind_of_failure(keys.client(&server)).await, "refused 401");
    assert_eq!(kind_of_failure(keys.client(&server).basic("user", "wrong")).await, "refused 401");
    let other = Keys::generate();
    let distrusting = keys.client(&server).basic("user", "hunter2").authorities(other.authority.clone());
    assert_eq!(kind_of_failure(distrusting).await, "unreachable");
    let distrusted = keys.client(&server).basic("user", "hunter2").identity(&other.client.0, &other.client.1);
    assert_eq!(kind_of_failure(distrusted).await, "unreachable");
    let open = Traefik::try_new(&server.url()).unwrap().apply(&configuration()).await.unwrap_err();
    assert!(matches!(open, Error::Refused { .. } | Error::NotReady(_)), "the provider is open without TLS: {open}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_token_that_is_replaced_in_its_file_is_used_from_then_on() {
    install_crypto();
    let keys = Keys::generate();
    let condition = " && Header(`Authorization`, `Bearer the-second`)";
    let no_more = "compress: {}";
    let server = BareTraefik::builder().secured(keys.file(condition, no_more)).start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "the-first\n").unwrap();
    let traefik = keys.client(&server).bearer_file(file.path()).build().unwrap();
    // Traefik has no router for a request without the right token.
    assert_eq!(traefik.apply(&configuration()).await.unwrap_err().kind(), "not ready");
    std::fs::write(file.path(), "the-second\n").unwrap();
    traefik.apply(&configuration()).await.unwrap();
    file.close().unwrap();
    assert_eq!(traefik.apply(&configuration()).await.unwrap_err().kind(), "credentials");
}

/// A folder with the files that an operator mounts.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// Writes the keys, the secret and a list of one backend.
    fn new(keys: &Keys, secret: &str) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        fs::write(this.path("ca.pem"), &keys.authority).unwrap();
        fs::write(this.path("cert.pem"), &keys.client.0).unwrap();
        fs::write(this.path("key.pem"), &keys.client.1).unwrap();
        fs::write(this.path("secret"), secret).unwrap();
        fs::write(this.path("backends.yaml"), "- address: 127.200.0.1:5000\n").unwrap();
        this
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Starts an ilb with the backend from the file, these settings and these settings that name files.
    fn ilb(&self, settings: &[(&str, &str)], files: &[(&str, &str)]) -> (Ilb, Admin) {
        let address = Net::for_this_process().unwrap().host().unwrap();
        let admin = Admin::new((address, 8081).into()).unwrap();
        let own =
            [("ILB_ALLOW_LOOPBACK_BACKENDS", "true".to_owned()), ("ILB_ADMIN_ADDRESS", admin.address().to_string())];
        let files = files.iter().chain(&[("ILB_BACKENDS_FILE", "backends.yaml")]);
        let files = files.map(|(name, file)| (*name, self.path(file).display().to_string()));
        let all: Vec<_> = own.into_iter().chain(files).collect();
        let all = all.iter().map(|(name, value)| (*name, value.as_str())).chain(settings.iter().copied());
        (Ilb::start(&all.collect::<Vec<_>>()).unwrap(), admin)
    }
}

const IDENTITY: [(&str, &str); 3] =
    [("ILB_TRAEFIK_CA_FILE", "ca.pem"), ("ILB_TRAEFIK_CERT_FILE", "cert.pem"), ("ILB_TRAEFIK_KEY_FILE", "key.pem")];

fn free_host() -> Ipv4Addr {
    Net::for_this_process().unwrap().host().unwrap()
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn ilb_shows_the_password_and_the_certificate_that_its_settings_name() {
    let host = free_host();
    let keys = Keys::with_name(&host.to_string());
    let server = BareTraefik::builder().at(host).secured(keys.file("", BASIC_AUTH)).start().await.unwrap();
    let url = server.secure_url();
    let settings = [("TRAEFIK_API_URL", url.as_str()), ("ILB_TRAEFIK_USERNAME", "user")];
    let files = [IDENTITY.as_slice(), &[("ILB_TRAEFIK_PASSWORD_FILE", "secret")]].concat();

    let wrong = Mounted::new(&keys, "hunter3");
    let (ilb, admin) = wrong.ilb(&settings, &files);
    let line = ilb.wait_for_log("Failed to update").await.unwrap();
    assert!(line["error"].as_str().unwrap().contains("401"), "{line}");
    assert!(!admin.is_ok("/readyz").await.unwrap());
    assert!(!ilb.output().unwrap().contains("hunter3"));
    drop(ilb);

    let right = Mounted::new(&keys, "hunter2\n");
    let (ilb, admin) = right.ilb(&settings, &files);
    ilb.wait_for_log("Updated").await.unwrap();
    admin.wait_until_ok("/readyz").await.unwrap();
    let shown = ilb.ask(&["check"]).await.unwrap();
    assert!(!shown.stdout.contains("hunter2") && !ilb.output().unwrap().contains("hunter2"), "{}", shown.stdout);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn ilb_uses_a_token_that_is_replaced_while_it_runs() {
    let host = free_host();
    let keys = Keys::with_name(&host.to_string());
    let condition = " && Header(`Authorization`, `Bearer the-second`)";
    let server = BareTraefik::builder().at(host).secured(keys.file(condition, "compress: {}")).start().await.unwrap();
    let mounted = Mounted::new(&keys, "the-first\n");
    let files = [IDENTITY.as_slice(), &[("ILB_TRAEFIK_BEARER_TOKEN_FILE", "secret")]].concat();
    let (ilb, admin) = mounted.ilb(&[("TRAEFIK_API_URL", &server.secure_url())], &files);
    // Traefik has no router for a request without the right token.
    ilb.wait_for_log("Waiting for Traefik").await.unwrap();
    fs::write(mounted.path("secret"), "the-second\n").unwrap();
    admin.wait_until_ok("/readyz").await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn ilb_finds_its_traefiks_by_the_host_of_a_url() {
    let server = BareTraefik::builder().start().await.unwrap();
    let mounted = Mounted::new(&Keys::generate(), "");
    // An address resolves to itself.
    let (_ilb, admin) = mounted.ilb(&[("ILB_TRAEFIK_DNS", &server.url())], &[]);
    admin.wait_until_ok("/readyz").await.unwrap();
    assert!(server.reloads().await.unwrap() > 0);
}
