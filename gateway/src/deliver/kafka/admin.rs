//! Making topics.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::config::Topic;

/// What the brokers are asked to choose by themselves.
const THEIRS: i32 = -1;
/// The longest that making topics may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What has become of a topic that was to be made.
pub(super) struct Made {
    pub(super) topic: String,
    /// Or why it could not be.
    pub(super) result: Result<(), String>,
}

/// Makes topics as [`create`] does.
pub(super) type Maker = fn(&ClientConfig, &[Topic]) -> Vec<Made>;

/// Topics that are being made, by a thread of its own. Dropping this does not wait for it.
pub(super) struct Creation(Option<JoinHandle<Vec<Made>>>);

impl Creation {
    pub(super) fn start(maker: Maker, client: ClientConfig, topics: Vec<Topic>) -> io::Result<Self> {
        let thread = thread::Builder::new().name("kafka-create".into());
        Ok(Self(Some(thread.spawn(move || maker(&client, &topics))?)))
    }

    /// What has become of them, once that is known.
    pub(super) fn take(&mut self) -> Option<Vec<Made>> {
        let thread = self.0.take_if(|thread| thread.is_finished())?;
        // A thread that has panicked has said so, and made nothing.
        Some(thread.join().unwrap_or_default())
    }
}

/// Creates topics that are not there. Blocks for some seconds at most.
pub(super) fn create(client: &ClientConfig, topics: &[Topic]) -> Vec<Made> {
    let result_of = |result: Result<(), String>| {
        let made = |topic: &Topic| Made { topic: topic.name.clone(), result: result.clone() };
        topics.iter().map(made).collect()
    };
    let results = match request(client, topics) {
        Ok(results) => results,
        Err(why) => return result_of(Err(why)),
    };
    let made = topics.iter().zip(results);
    made.map(|(topic, result)| Made { topic: topic.name.clone(), result }).collect()
}

/// The result of each, in order.
fn request(client: &ClientConfig, topics: &[Topic]) -> Result<Vec<Result<(), String>>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(|error| error.to_string())?;
    let new: Vec<_> = topics.iter().map(new).collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let made = runtime.block_on(admin.create_topics(&new, &options)).map_err(|error| error.to_string())?;
    Ok(made
        .into_iter()
        .map(|made| match made {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => Ok(()),
            Err((_, code)) => Err(code.to_string()),
        })
        .collect())
}

fn new(topic: &Topic) -> NewTopic<'_> {
    let partitions =
        topic.partitions.map_or(THEIRS, |partitions| i32::try_from(partitions).unwrap_or(THEIRS));
    let replication = TopicReplication::Fixed(topic.replication.map_or(THEIRS, i32::from));
    NewTopic::new(&topic.name, partitions, replication)
}
