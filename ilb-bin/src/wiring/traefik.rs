//! Builds the clients of the Traefiks that the settings name.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use futures_util::{future::join_all, stream::BoxStream};
use ilb_traefik_client::{ConfigSink, Fleet, Traefik, TraefikBuilder, client::Survey, fleet::InstanceChange};

use crate::settings::{Authentication, Instances, TraefikSettings};

/// Clients of one Traefik or of several, as one sink.
pub(crate) struct TraefikClients {
    pub(crate) sink: Arc<dyn ConfigSink>,
    /// Changes of the instances, if there may be several.
    pub(crate) instances: Option<BoxStream<'static, InstanceChange>>,
    /// Host and port of the API of the only Traefik; `None` if there may be several.
    pub(crate) single: Option<(String, u16)>,
    /// The only Traefik, if there cannot be several.
    pub(crate) only: Option<Arc<Traefik>>,
}

impl TraefikClients {
    /// Builds the clients; sends nothing yet. Has to be called within a Tokio runtime.
    pub(crate) fn from_settings(settings: &TraefikSettings) -> anyhow::Result<Self> {
        let fleet = match &settings.instances {
            Instances::Urls(urls) if urls.len() == 1 => {
                let traefik = builder(settings, &urls[0])?.build()?;
                let (host, port) = traefik.host_and_port();
                let single = Some((host.to_owned(), port));
                let traefik = Arc::new(traefik);
                return Ok(Self { single, instances: None, only: Some(Arc::clone(&traefik)), sink: traefik });
            }
            Instances::Urls(urls) => urls
                .iter()
                .try_fold(Fleet::builder(), |fleet, url| anyhow::Ok(fleet.instance(builder(settings, url)?)?))?,
            Instances::Resolved(url) => Fleet::builder().resolved(builder(settings, url)?)?,
        };
        let fleet = fleet.quorum(settings.quorum).start();
        Ok(Self { instances: Some(fleet.watch_instances()), sink: Arc::new(fleet), single: None, only: None })
    }
}

/// Asks each Traefik that the settings name for its version and its entry points. Returns the host of each, and its answer or
/// the reason why there is none.
pub(crate) async fn survey_traefik(settings: &TraefikSettings) -> Vec<(String, Result<Survey, String>)> {
    let urls = match &settings.instances {
        Instances::Urls(urls) => urls.clone(),
        Instances::Resolved(url) => vec![url.clone()],
    };
    let survey = async |url: &String| {
        let traefik = builder(settings, url).and_then(|builder| Ok(builder.build()?));
        match traefik {
            Ok(traefik) => {
                let survey = traefik.survey().await;
                (traefik.label().to_owned(), survey.map_err(|error| format!("{:#}", anyhow::Error::new(error))))
            }
            Err(error) => (url.clone(), Err(format!("{error:#}"))),
        }
    };
    join_all(urls.iter().map(survey)).await
}

fn builder(settings: &TraefikSettings, url: &str) -> anyhow::Result<TraefikBuilder> {
    let mut builder = Traefik::builder(url).call_within(settings.timeout);
    match &settings.authentication {
        Some(Authentication::Basic { username, password_file }) => {
            builder = builder.basic(username, read(password_file)?.trim_end_matches(['\r', '\n']));
        }
        Some(Authentication::Bearer { token_file }) => builder = builder.bearer_file(token_file),
        None => {}
    }
    if let Some(file) = &settings.ca_file {
        builder = builder.authorities(read(file)?);
    }
    if let Some((certificate, key)) = &settings.identity {
        builder = builder.identity(&read(certificate)?, &read(key)?);
    }
    Ok(builder)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
