//! Asks the API server whether a namespace admits the closer, which needs a capability.

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Error, ResourceExt};

use crate::settings::Settings;

/// Label of a namespace by which pods are admitted to it.
const LABEL: &str = "pod-security.kubernetes.io/enforce";

/// Answer of the API server to the question which pods a namespace admits.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The value of the label, if the namespace has it.
    Level(Option<String>),
    NoNamespace,
    /// The namespace may not be read, for this reason.
    Forbidden(String),
}

/// Says whether a namespace admits the closer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// The finding, for people.
    pub(crate) text: String,
    /// False if it cannot be known.
    pub(crate) is_known: bool,
}

/// Checks whether `namespace` admits a pod with the closer of these settings. Returns an error if it does not, or if the API
/// server fails.
pub(crate) async fn check_admission(
    settings: &Settings,
    client: &Client,
    namespace: &str,
) -> anyhow::Result<Admission> {
    match reason_not_to_ask(settings) {
        Some(reason) => Ok(Admission { text: reason.to_owned(), is_known: true }),
        None => verdict(namespace, ask(client, namespace).await?),
    }
}

fn reason_not_to_ask(settings: &Settings) -> Option<&'static str> {
    if settings.pools.iter().all(|pool| pool.closing.is_off()) {
        return Some("no pool closes connections, so any namespace admits ilb");
    }
    let has_closer = settings.closer_socket.is_some();
    (!has_closer)
        .then_some("closer.socket is not set, so what would be closed is only shown, and any namespace admits ilb")
}

/// Reads the label of a namespace.
async fn ask(client: &Client, namespace: &str) -> anyhow::Result<Answer> {
    match Api::<Namespace>::all(client.clone()).get_metadata(namespace).await {
        Ok(found) => Ok(Answer::Level(found.labels().get(LABEL).cloned())),
        Err(Error::Api(status)) if status.is_not_found() => Ok(Answer::NoNamespace),
        Err(Error::Api(status)) if status.is_forbidden() => Ok(Answer::Forbidden(status.message.clone())),
        Err(error) => Err(error).with_context(|| format!("cannot read the namespace {namespace}")),
    }
}

/// Says what the answer means for the closer.
fn verdict(namespace: &str, answer: Answer) -> anyhow::Result<Admission> {
    let is_known = matches!(answer, Answer::Level(Some(_)));
    let text = match answer {
        Answer::Level(Some(level)) if level == "privileged" => {
            format!("the namespace {namespace} admits the closer ({LABEL}={level})")
        }
        // A level that is none is enforced as `restricted`.
        Answer::Level(Some(level)) => {
            anyhow::bail!(
                "the namespace {namespace} does not admit the closer, which needs the capability NET_ADMIN \
                 ({LABEL}={level}): run ilb in a namespace of its own with the level privileged, and give the namespaces \
                 of the backends in the pools; or remove closer.socket, and only see what would be closed"
            );
        }
        Answer::Level(None) => format!(
            "the namespace {namespace} has no label {LABEL}, so the API server's default decides, which admits the closer \
             unless administrators have changed it"
        ),
        Answer::NoNamespace => format!(
            "there is no namespace {namespace} yet: create it without the label {LABEL}, or with the level privileged, which \
             admits the closer"
        ),
        Answer::Forbidden(reason) => format!(
            "it is not known whether the namespace {namespace} admits the closer, because it cannot be read ({reason}): \
             the label {LABEL} must not be baseline or restricted"
        ),
    };
    Ok(Admission { text, is_known })
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, Response, StatusCode},
    };
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::Inputs;

    /// Returns settings with these variables.
    fn settings(variables: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables = [("ILB_SELECTOR", "app=a")].iter().chain(variables).map(own).collect();
        Settings::load(&Inputs { variables, ..Inputs::default() }).unwrap()
    }

    /// Returns a client of an API server that gives this answer to the question for the namespace `apps`.
    fn api_server(code: StatusCode, answer: &Value) -> Client {
        let answer = answer.to_string();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let known = request.method() == "GET" && request.uri().path() == "/api/v1/namespaces/apps";
            let code = if known { code } else { StatusCode::BAD_REQUEST };
            let response = Response::builder().status(code).body(Body::from(answer.clone()));
            async move { response }
        });
        Client::new(service, "elsewhere")
    }

    fn namespace(labels: &Value) -> Value {
        json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "apps", "labels": labels},
        })
    }

    fn refusal(code: u16, reason: &str, message: &str) -> Value {
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
    }

    #[rstest]
    #[case::nothing_is_closed(&[("ILB_CLOSER_SOCKET", "/run/x")], Some("no pool closes connections"))]
    #[case::nothing_closes(&[("ILB_CLOSING_MAX_AGE", "1h")], Some("closer.socket is not set"))]
    #[case::closes(&[("ILB_CLOSING_MAX_AGE", "1h"), ("ILB_CLOSER_SOCKET", "/run/x")], None)]
    fn the_level_matters_only_to_a_closer(#[case] variables: &[(&str, &str)], #[case] reason: Option<&str>) {
        let found = reason_not_to_ask(&settings(variables));
        assert_eq!(found.is_some(), reason.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().starts_with(reason.unwrap_or_default()), "{found:?}");
    }

    #[rstest]
    #[case::privileged("privileged", true)]
    #[case::baseline("baseline", false)]
    #[case::restricted("restricted", false)]
    #[case::no_level("priviledged", false)]
    #[tokio::test]
    async fn a_level_admits_the_closer_or_is_an_error_that_names_it(#[case] level: &str, #[case] admits: bool) {
        let client = api_server(StatusCode::OK, &namespace(&json!({LABEL: level, "team": "a"})));
        let verdict = verdict("apps", ask(&client, "apps").await.unwrap());
        let label = format!("{LABEL}={level}");
        match verdict {
            Ok(found) => {
                let Admission { text, is_known } = found;
                assert!(
                    admits && is_known && text.contains("namespace apps admits") && text.contains(&label),
                    "{text}"
                );
            }
            Err(error) => {
                let error = error.to_string();
                let parts = ["namespace apps does not admit", &label, "level privileged", "closer.socket"];
                assert!(!admits && parts.iter().all(|part| error.contains(part)), "{error}");
            }
        }
    }

    #[rstest]
    #[case::no_label(StatusCode::OK, namespace(&json!({"team": "a"})), "default decides")]
    #[case::no_labels(StatusCode::OK, namespace(&Value::Null), "default decides")]
    #[case::no_namespace(StatusCode::NOT_FOUND, refusal(404, "NotFound", "no"), "there is no namespace apps yet")]
    #[case::no_right(
        StatusCode::FORBIDDEN,
        refusal(403, "Forbidden", "you may not"),
        "the namespace apps admits the closer, because it cannot be read (you may not)"
    )]
    #[tokio::test]
    async fn what_cannot_be_known_is_said_and_no_error(
        #[case] code: StatusCode,
        #[case] answer: Value,
        #[case] said: &str,
    ) {
        let answer = ask(&api_server(code, &answer), "apps").await.unwrap();
        let found = verdict("apps", answer).unwrap();
        assert!(!found.is_known && found.text.contains(said), "{found:?}");
    }

    #[tokio::test]
    async fn an_api_server_that_fails_is_an_error() {
        let broken = api_server(StatusCode::INTERNAL_SERVER_ERROR, &refusal(500, "InternalError", "out of memory"));
        let error = format!("{:#}", ask(&broken, "apps").await.unwrap_err());
        assert!(error.contains("cannot read the namespace apps") && error.contains("out of memory"), "{error}");
    }
}
