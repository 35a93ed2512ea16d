//! The demo page: the files of one directory, read anew for each request.

use std::path::{Component, Path, PathBuf};

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use percent_encoding::percent_decode_str;

use super::answer::Refusal;
use super::{Reply, typed};

/// The largest file that is served.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Scripts and styles of its own, connections anywhere: the page may be pointed at another gateway.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src *; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// See the module.
#[derive(Debug)]
pub(super) struct Demo {
    root: PathBuf,
}

impl Demo {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The file at `path`; `None` where there is none, or where it lies outside of the directory.
    pub(super) async fn reply(&self, path: &str) -> Result<Option<Reply>, Refusal> {
        let Some(file) = self.locate(path).await else { return Ok(None) };
        let Ok(bytes) = tokio::fs::read(&file).await else { return Ok(None) };
        let mut reply = typed(StatusCode::OK, content_type(&file), bytes);
        let headers = reply.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        Ok(Some(reply))
    }

    async fn locate(&self, path: &str) -> Option<PathBuf> {
        let decoded = percent_decode_str(path.strip_prefix('/')?).decode_utf8().ok()?.into_owned();
        let relative = PathBuf::from(if decoded.is_empty() { "index.html".to_owned() } else { decoded });
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        // Resolved, so that no link leads out either.
        let root = tokio::fs::canonicalize(&self.root).await.ok()?;
        let file = tokio::fs::canonicalize(root.join(relative)).await.ok()?;
        let metadata = tokio::fs::metadata(&file).await.ok()?;
        let servable = file.starts_with(&root) && metadata.is_file() && metadata.len() <= FILE_BYTES_MAX;
        servable.then_some(file)
    }
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_files_of_the_directory_are_served() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let root = outside.path().join("site");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("index.html"), "<p>").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), root.join("link")).unwrap();
        let demo = Demo::new(&root);
        let page = demo.reply("/").await.unwrap().unwrap();
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        for path in ["/../secret", "/%2e%2e/secret", "/link", "//etc/passwd", "/%2fetc/passwd", "/none", "/."]
        {
            assert!(demo.reply(path).await.unwrap().is_none(), "{path}");
        }
    }
}
