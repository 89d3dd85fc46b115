//! The files that tell where the API server is, read as kubectl reads them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use kube::config::Kubeconfig;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Cause, Error};

/// Reads the kubeconfig at `path`, or else those that the variable `KUBECONFIG` lists, or else `~/.kube/config`. Of several,
/// the first that has a name is used for it.
///
/// kube's own `Kubeconfig::read` does the same. It takes some 400 KB of a program, because its parser is compiled for each
/// part of a kubeconfig; here one is compiled for all of them.
pub(super) fn read(path: Option<&Path>) -> Result<Kubeconfig, Error> {
    let paths = match path {
        Some(path) => vec![path.to_owned()],
        None => default_paths()?,
    };
    let mut whole = Kubeconfig::default();
    for path in paths {
        let about = |problem: String| Error::Client(Cause::new(format!("kubeconfig {}: {problem}", path.display())));
        for document in read_file(&path).map_err(about)? {
            whole = whole.merge(document).map_err(|error| about(error.to_string()))?;
        }
    }
    Ok(whole)
}

fn default_paths() -> Result<Vec<PathBuf>, Error> {
    let variable = env::var_os("KUBECONFIG").unwrap_or_default();
    let listed: Vec<_> = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return Ok(listed);
    }
    let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or_else(|| Error::Client(Cause::new("there is neither KUBECONFIG nor a home folder")))?;
    Ok(vec![home.join(".kube/config")])
}

/// Reads the documents of a file. Paths in them begin at its folder, as kubectl has it.
fn read_file(path: &Path) -> Result<Vec<Kubeconfig>, String> {
    let text = fs::read(path).and_then(decoded).map_err(|error| format!("it cannot be read: {error}"))?;
    let documents: Vec<Document> = serde_saphyr::from_multiple(&text).map_err(|error| error.to_string())?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(documents.into_iter().map(|Document(kubeconfig)| with_paths_below(folder, kubeconfig)).collect())
}

/// Document of a file, whose parts are all read through one type of deserializer.
struct Document(Kubeconfig);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut deserializer = <dyn erased_serde::Deserializer<'de>>::erase(deserializer);
        erased_serde::deserialize(&mut deserializer).map(Self).map_err(D::Error::custom)
    }
}

/// Decodes a file. The shell of Windows writes UTF-16, with a mark at its beginning.
fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| unit([pair[0], pair.get(1).copied().unwrap_or_default()]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()
    };
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    };
    text.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is neither UTF-8 nor UTF-16"))
}

fn with_paths_below(folder: &Path, mut kubeconfig: Kubeconfig) -> Kubeconfig {
    let resolve = |path: &mut Option<String>| {
        if let Some(path) = path {
            // One that is absolute stays so.
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        resolve(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        for path in [&mut user.client_certificate, &mut user.client_key, &mut user.token_file] {
            resolve(path);
        }
        // A name alone is that of a program on the `PATH`.
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        if let Some(command) = command.filter(|command| command.as_ref().is_some_and(|name| name.contains('/'))) {
            resolve(command);
        }
    }
    kubeconfig
}

#[cfg(test)]
mod tests {
    use kube::config::{AuthInfo, Cluster};
    use rstest::rstest;

    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: 'https://a.example', certificate-authority: ca.pem, insecure-skip-tls-verify: true}}]
contexts: [{name: a, context: {cluster: a, user: 7, namespace: apps}}]
users:
- name: 7
  user:
    tokenFile: /run/token
    client-certificate: ../c.pem
    password: 1234
    exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, interactiveMode: Never, env: [{name: A, value: b}]}
extensions: [{name: x, extension: {any: [1, 2]}}]
preferences: {colors: true}
";

    fn read_text(bytes: &[u8]) -> Result<Kubeconfig, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, bytes).unwrap();
        read(Some(&path)).map(|mut kubeconfig| {
            let prefix = format!("{}/", folder.path().display());
            let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
            cluster.certificate_authority =
                cluster.certificate_authority.take().map(|path| path.replace(&prefix, "DIR/"));
            kubeconfig
        })
    }

    fn cluster(kubeconfig: &Kubeconfig) -> &Cluster {
        kubeconfig.clusters[0].cluster.as_ref().unwrap()
    }

    fn user(kubeconfig: &Kubeconfig) -> &AuthInfo {
        kubeconfig.auth_infos[0].auth_info.as_ref().unwrap()
    }

    #[test]
    fn all_parts_are_read_and_paths_begin_at_the_folder_of_the_file() {
        let read = read_text(TEXT.as_bytes()).unwrap();
        assert_eq!((read.current_context.as_deref(), read.kind.as_deref()), (Some("a"), Some("Config")));
        assert_eq!(cluster(&read).certificate_authority.as_deref(), Some("DIR/ca.pem"));
        assert_eq!(cluster(&read).insecure_skip_tls_verify, Some(true));
        let context = read.contexts[0].context.as_ref().unwrap();
        assert_eq!((context.user.as_deref(), context.namespace.as_deref()), (Some("7"), Some("apps")));
        let user = user(&read);
        assert_eq!(user.token_file.as_deref(), Some("/run/token"), "an absolute path stays");
        assert!(user.client_certificate.as_ref().unwrap().ends_with("/../c.pem"));
        assert!(user.password.is_some(), "a number is a text where one is expected");
        let exec = user.exec.as_ref().unwrap();
        assert!(exec.command.as_ref().unwrap().ends_with("/bin/login") && exec.env.as_ref().unwrap().len() == 1);
        assert!(read.extensions.is_some() && read.preferences.is_some());
    }

    #[test]
    fn it_is_read_as_kube_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, format!("{TEXT}---\ncurrent-context: later\nclusters: [{{name: b}}]\n")).unwrap();
        let shown = |kubeconfig: Kubeconfig| serde_json::to_value(kubeconfig).unwrap();
        assert_eq!(shown(read(Some(&path)).unwrap()), shown(Kubeconfig::read_from(&path).unwrap()));
    }

    #[rstest]
    #[case::little_endian(&[0xff, 0xfe], u16::to_le_bytes)]
    #[case::big_endian(&[0xfe, 0xff], u16::to_be_bytes)]
    fn files_of_windows_can_be_read(#[case] mark: &[u8], #[case] bytes: fn(u16) -> [u8; 2]) {
        let text: Vec<_> = mark.iter().copied().chain(TEXT.encode_utf16().flat_map(bytes)).collect();
        assert_eq!(read_text(&text).unwrap().clusters.len(), 1);
        let marked = [&[0xef, 0xbb, 0xbf], TEXT.as_bytes()].concat();
        assert_eq!(read_text(&marked).unwrap().clusters.len(), 1);
    }

    #[rstest]
    #[case(b"clusters: 7", "config: ")]
    #[case(b"clusters: [{name: a, cluster: {server: []}}]", "line 1")]
    #[case(b"\xff\xff", "neither UTF-8 nor UTF-16")]
    fn a_file_that_cannot_be_used_is_named_with_the_reason(#[case] bytes: &[u8], #[case] part: &str) {
        let error = read_text(bytes).unwrap_err().with_causes().to_string();
        assert!(error.contains("/config: ") && error.contains(part), "{error}");
    }
}
