//! Assembly, in order; the only file that knows everything.

use anyhow::Result;

use crate::config::Config;

/// Serves until SIGTERM or SIGINT.
#[expect(clippy::unused_async, reason = "the signature that assembly has")]
pub async fn run(config: Config) -> Result<()> {
    anyhow::bail!("cannot serve on {}: the parts are not put together yet", config.listen.plain)
}
