//! An ilb whose settings are in a file, and backends that are listed in files.

use std::{fs, net::SocketAddr, path::Path, path::PathBuf};

use ilb_testbed::{Admin, Backend, Behaviour, Ilb, Net, Traefik, eventually};
use tempfile::TempDir;

pub(crate) const PORT: u16 = 4444;
/// Port of a second entry point.
pub(crate) const SECOND_PORT: u16 = 3334;

/// An ilb with its settings in a file, and the folder of that and of files of backends.
pub(crate) struct Configured {
    pub(crate) folder: TempDir,
    pub(crate) ilb: Ilb,
    pub(crate) admin: Admin,
}

impl Configured {
    pub(crate) fn start(folder: TempDir, settings: &str, variables: &[(&str, &str)]) -> Self {
        fs::write(folder.path().join("ilb.yaml"), settings).unwrap();
        Self::with_folder(folder, variables)
    }

    /// Starts an ilb with the settings that are in the folder.
    pub(crate) fn with_folder(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let admin = Admin::new((Net::for_this_process().unwrap().host().unwrap(), 8081).into()).unwrap();
        let file = folder.path().join("ilb.yaml");
        let (file, address) = (file.display().to_string(), admin.address().to_string());
        let mut all = vec![("ILB_CONFIG", file.as_str()), ("ILB_ADMIN_ADDRESS", &address)];
        all.extend_from_slice(variables);
        Self { ilb: Ilb::start(&all).unwrap(), folder, admin }
    }

    /// Replaces the file as a whole.
    pub(crate) fn change(&self, settings: &str) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("ilb.yaml"));
        fs::write(&new, settings).unwrap();
        fs::rename(new, file).unwrap();
    }
}

pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("ilb-settings-").tempdir().unwrap()
}

/// Starts a backend, and writes the file that lists it.
pub(crate) async fn listed(folder: &TempDir, name: &str) -> (Backend, PathBuf) {
    let address = Net::for_this_process().unwrap().group().address(0, PORT);
    let file = folder.path().join(format!("{name}.yaml"));
    fs::write(&file, format!("[{{address: '{address}'}}]")).unwrap();
    (Backend::start(address, Behaviour::Echo).await.unwrap(), file)
}

pub(crate) async fn landed(traefik: &Traefik, port: u16) -> anyhow::Result<SocketAddr> {
    Ok(traefik.connect_at(port).await?.backend())
}

pub(crate) async fn until_landed(traefik: &Traefik, port: u16, backend: &Backend) {
    eventually("new connections go there", async || {
        let on = landed(traefik, port).await?;
        anyhow::ensure!(on == backend.address(), "they go to {on}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Returns the settings of a pool of the backends in `file`.
pub(crate) fn pool(name: &str, entry_point: &str, file: &Path) -> String {
    let file = file.display();
    format!("- {{name: {name}, entryPoint: {entry_point}, file: '{file}', allowLoopback: true}}\n")
}
