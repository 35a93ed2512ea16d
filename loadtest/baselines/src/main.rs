//! `baseline BROKERS TOPIC ADDRESS`: every line of a body is a record; answers when Kafka has all of them.
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use futures_util::future::try_join_all;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, util::Timeout};

#[tokio::main]
async fn main() {
    let [brokers, topic, address] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("three arguments");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("compression.type", "lz4");
    config.set("linger.ms", "5").set("batch.num.messages", "10000").set("queue.buffering.max.messages", "1000000");
    let producer: FutureProducer = config.create().expect("a producer");
    let app = Router::new().route("/v1/events", post(events)).with_state((producer, topic));
    let listener = tokio::net::TcpListener::bind(address).await.expect("an address");
    axum::serve(listener, app).await.expect("serve");
}

async fn events(State((producer, topic)): State<(FutureProducer, String)>, body: Bytes) -> StatusCode {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let record = |line| producer.send(FutureRecord::<(), [u8]>::to(&topic).payload(line), Timeout::Never);
    match try_join_all(lines.map(record)).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
