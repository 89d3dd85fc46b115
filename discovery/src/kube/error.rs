use kube::{Error as KubeError, runtime::watcher};

use crate::{Cause, Error};

const API_SERVER: &str = "the API server";

/// Names what can be done about an error of a request for `what`, such as `listing pods in namespace default`.
pub(crate) fn request(error: KubeError, what: &str) -> Error {
    match &error {
        KubeError::Api(status) if status.code == 403 => {
            Error::Forbidden { what: what.to_owned(), cause: Cause::new(error) }
        }
        KubeError::Service(_) | KubeError::HyperError(_) | KubeError::ReadEvents(_) => {
            Error::Unreachable { source_name: API_SERVER.to_owned(), cause: Cause::new(error) }
        }
        _ => Error::Failed { source_name: API_SERVER.to_owned(), cause: Cause::new(error) },
    }
}

/// The same for an error in the middle of a watch.
pub(crate) fn watching(error: watcher::Error, what: &str) -> Error {
    match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) | watcher::Error::WatchFailed(e) => {
            request(e, what)
        }
        other => Error::Failed { source_name: API_SERVER.to_owned(), cause: Cause::new(other) },
    }
}
