//! A real browser, for the status page.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Process, eventually, in_checkout, tools};

/// A real Chromium without a window, which shows one page.
///
/// Its driver speaks `WebDriver`: JSON over HTTP, of which this needs few requests.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    /// URL of the session.
    session: String,
    _driver: Process,
    _folder: TempDir,
}

/// A kind of screen, and the reader's choice of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Wide screen, light colours.
    Light,
    /// Wide screen, dark colours.
    Dark,
    /// Phone: 390 pixels wide, light colours.
    Phone,
}

impl Browser {
    /// The Enter key.
    pub const ENTER: &str = "\u{e007}";

    /// Starts the browser.
    pub async fn start(look: Look) -> anyhow::Result<Self> {
        let (chromium, driver) = (tools::path("chromium")?, tools::path("chromedriver")?);
        let folder = tempfile::Builder::new().prefix("ilb-browser-").tempdir()?;
        let log = folder.path().join("chromedriver.log");
        let mut command = Command::new(driver);
        command.arg("--port=0").env("HOME", folder.path());
        let mut driver = Process::start("chromedriver", &command, &log)?;
        let port: u16 = eventually("the browser's driver listens", async || {
            driver.check_running()?;
            let output = fs::read_to_string(&log)?;
            let port = output.split_once("successfully on port ").and_then(|(_, rest)| rest.split_once('.'));
            Ok(port.context("it has not printed its port")?.0.parse()?)
        })
        .await?;
        let http = crate::http_client()?;
        let capabilities =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options(look, &chromium, &folder)}}});
        let driver_url = format!("http://127.0.0.1:{port}/session");
        let session = ask(http.post(&driver_url).json(&capabilities)).await?;
        let id = session["sessionId"].as_str().context("the driver names no session")?;
        Ok(Self { session: format!("{driver_url}/{id}"), http, _driver: driver, _folder: folder })
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) -> anyhow::Result<()> {
        self.command("url", json!({"url": url})).await.map(drop)
    }

    /// Returns all visible text.
    pub async fn text(&self) -> anyhow::Result<String> {
        let text = self.run("return document.body.innerText").await?;
        Ok(text.as_str().context("the page has no text")?.to_owned())
    }

    /// Runs a piece of JavaScript on the page, and returns its result.
    pub async fn run(&self, script: &str) -> anyhow::Result<Value> {
        self.command("execute/sync", json!({"script": script, "args": []})).await
    }

    /// Types `keys` into the first element that `selector` finds, as a keyboard does; [`ENTER`](Self::ENTER) presses a button.
    pub async fn press(&self, selector: &str, keys: &str) -> anyhow::Result<()> {
        let found = self.command("element", json!({"using": "css selector", "value": selector})).await?;
        let id = found.as_object().and_then(|element| element.values().next()?.as_str()).context("no element")?;
        self.command(&format!("element/{id}/value"), json!({"text": keys})).await.map(drop)
    }

    /// Sends a command of the protocol of Chrome's developer tools, such as one that emulates a time zone.
    pub async fn emulate(&self, command: &str, parameters: Value) -> anyhow::Result<()> {
        self.command("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await.map(drop)
    }

    /// Checks the page for accessibility with axe-core. Returns what it complains of, each with the first place.
    pub async fn complaints_of_axe(&self) -> anyhow::Result<Vec<String>> {
        let axe = fs::read_to_string(tools::path("axe")?)?;
        let run = "const done = arguments[arguments.length - 1];
            axe.run().then(found => done(found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes[0].html}`)),
                           error => done([String(error)]));";
        let found = self.command("execute/async", json!({"script": format!("{axe};{run}"), "args": []})).await?;
        Ok(serde_json::from_value(found)?)
    }

    /// Waits until all of `words` are visible.
    pub async fn wait_to_see(&self, words: &[&str]) -> anyhow::Result<()> {
        self.wait_until(&format!("the page shows {words:?}"), |text| words.iter().all(|word| text.contains(word))).await
    }

    /// Waits until a piece of JavaScript returns `true`.
    pub async fn wait_for(&self, script: &str) -> anyhow::Result<()> {
        eventually(&format!("the page is so: {script}"), async || {
            ensure!(self.run(script).await? == true, "it is not");
            Ok(())
        })
        .await
    }

    /// Waits until `is_so` holds for the visible text.
    pub async fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        eventually(what, async || {
            let text = self.text().await?;
            ensure!(is_so(&text), "it shows: {text}");
            Ok(())
        })
        .await
    }

    /// Writes what is visible to `target/screenshots/NAME.png`. Returns the path.
    pub async fn screenshot(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = in_checkout("target/screenshots");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.png"));
        let picture = ask(self.http.get(format!("{}/screenshot", self.session))).await?;
        fs::write(&path, decode(picture.as_str().context("the driver sends no picture")?)?)?;
        Ok(path)
    }

    /// Closes the browser. Otherwise it ends with its driver, which ends with this process.
    pub async fn close(self) -> anyhow::Result<()> {
        ask(self.http.delete(&self.session)).await.map(drop)
    }

    async fn command(&self, name: &str, body: Value) -> anyhow::Result<Value> {
        ask(self.http.post(format!("{}/{name}", self.session)).json(&body)).await
    }
}

/// Sends a request to the driver. Returns the value of its answer, or an error with the driver's explanation.
async fn ask(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let (status, mut body) = (answer.status(), answer.json::<Value>().await?);
    ensure!(status.is_success(), "the browser's driver: {body}");
    Ok(body["value"].take())
}

fn decode(picture: &str) -> anyhow::Result<Vec<u8>> {
    Ok(BASE64_STANDARD.decode(picture)?)
}

fn options(look: Look, chromium: &Path, folder: &TempDir) -> Value {
    let mut arguments: Vec<String> = [
        "--headless",
        "--no-sandbox", // no sandbox is possible for root in a container
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--remote-debugging-pipe", // it ends when the driver does
        "--window-size=1200,1100",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
    if look == Look::Dark {
        arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut options = json!({"binary": chromium, "args": arguments});
    if look == Look::Phone {
        options["mobileEmulation"] = json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0}});
    }
    options
}
