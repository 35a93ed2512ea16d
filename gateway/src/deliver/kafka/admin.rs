//! Making topics.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::config::Topic;

/// What the brokers are asked to choose by themselves.
const THEIRS: i32 = -1;

/// Creates a topic, if it is not there. Blocks up to `timeout`; why it could not be done.
pub(super) fn create(client: &ClientConfig, topic: &Topic, timeout: Duration) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(|error| error.to_string())?;
    let partitions =
        topic.partitions.map_or(THEIRS, |partitions| i32::try_from(partitions).unwrap_or(THEIRS));
    let replication = TopicReplication::Fixed(topic.replication.map_or(THEIRS, i32::from));
    let new = NewTopic::new(&topic.name, partitions, replication);
    let options = AdminOptions::new().operation_timeout(Some(timeout)).request_timeout(Some(timeout));
    let made = runtime.block_on(admin.create_topics([&new], &options)).map_err(|error| error.to_string())?;
    match made.into_iter().next() {
        None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(code.to_string()),
    }
}
