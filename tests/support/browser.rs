//! A headless Chromium, driven by chromedriver over WebDriver.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use super::{Folder, cannot_run, http};

/// A name that the browser resolves to this machine, although the machine does not have that name.
pub(crate) const REBOUND: &str = "rebound.example";

/// A browser that ends with its driver.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    pub(crate) client: Client,
    /// The folder for Chromium's profiles and sockets, some of which it does not remove.
    _scratch: Folder,
}

/// A chromedriver and its port. If it ends before it prints its port, as was seen once among many tests that listen, it is
/// started again.
fn driver(scratch: &Folder) -> std::io::Result<(Child, u16)> {
    for _ in 0..5 {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", scratch.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn()?;
        // It first prints the requested port, which is 0, and then the actual one.
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let port = line.split_once("successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        if let Some(port) = port {
            return Ok((driver, port));
        }
        driver.wait()?;
    }
    panic!("chromedriver ended five times before it printed its port");
}

impl Browser {
    /// `None` if there is no chromedriver.
    pub(crate) async fn start() -> Option<Self> {
        let scratch = Folder::new();
        let Ok((driver, port)) = driver(&scratch) else {
            cannot_run("chromium", "chromedriver is not installed; run tests/run, which installs it on Debian");
            return None;
        };
        let rebound = format!("--host-resolver-rules=MAP {REBOUND} 127.0.0.1");
        let options = json!({"args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", rebound,
        ]});
        let logs = json!({"browser": "ALL"});
        let capabilities =
            [("goog:chromeOptions", options), ("goog:loggingPrefs", logs)].map(|(key, value)| (key.to_owned(), value));
        let capabilities = capabilities.into_iter().collect();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await;
        Some(Self { driver, port, client: client.unwrap(), _scratch: scratch })
    }

    /// The console's messages since the last call: errors of scripts, of loading, and of content security policy.
    pub(crate) async fn console(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("http://127.0.0.1:{}/session/{session}/se/log", self.port);
        let log = tokio::task::block_in_place(|| http::post(&url, &json!({"type": "browser"}))).json();
        log["value"].as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn stop(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
