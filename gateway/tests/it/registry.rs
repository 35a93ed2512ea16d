//! Apicurio Registry as it is released: a process that can be killed and started again, and then knows nothing any more.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::PATIENCE;
use crate::kafka::spawn;
use crate::port::free_port;

/// A schema registry, gone when dropped.
pub struct Registry {
    address: SocketAddr,
    child: Mutex<Option<Child>>,
    http: reqwest::Client,
}

impl Registry {
    /// Picks a port, and starts nothing yet.
    pub fn prepare() -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        // It is asked without TLS, but the library wants to know how.
        let authority = crate::tls::Authority::write(tempfile::tempdir().unwrap().path());
        let http = http.tls_backend_preconfigured(authority.client(&["http/1.1"])).build().unwrap();
        Self { address: free_port(), child: Mutex::default(), http }
    }

    /// Starts it, or starts it again, and waits until it answers.
    pub async fn launch(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/registry");
        // Not within the time that it has to come up.
        let fetched = Command::new(&script).arg("fetch").output().unwrap();
        assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
        let child = spawn(script, vec![self.address.port().to_string()]);
        *self.child.lock().unwrap() = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while !self.http.get(self.path("/subjects")).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "the schema registry did not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the gateway is told.
    pub fn url(&self) -> String {
        format!("http://{}/apis/ccompat/v7", self.address)
    }

    /// Adds a version of a schema to a subject, and returns its id.
    pub async fn register(&self, subject: &str, language: &str, schema: &Value) -> u32 {
        let body = json!({"schemaType": language, "schema": schema.to_string()});
        let request =
            self.http.post(self.path(&format!("/subjects/{subject}/versions"))).body(body.to_string());
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// The schema of an id, as a consumer asks for it.
    pub async fn schema(&self, id: u32) -> String {
        let answer = self.http.get(self.path(&format!("/schemas/ids/{id}"))).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["schema"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}
