use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let site = Site::start_with(|setup| setup.patience.first_request = Duration::from_millis(50)).await;
    for begun in ["", "P", "POST /v1/ev", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(site.plain).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
    site.assert_refused("tcp", "silent");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_gets_408() {
    let site = Site::start_with(|setup| setup.body_patience = Duration::from_millis(50)).await;
    let request = "POST /v1/events HTTP/1.1\nHost: x\nContent-Type: text/plain\nContent-Length: 9\n\n{";
    let answer = site.raw(&request.replace('\n', "\r\n")).await;
    assert_eq!(status(&answer), 408);
    assert_eq!(document(&answer)["status"], 408);
}

#[tokio::test]
async fn who_expects_it_is_told_to_continue_or_why_not() {
    let site = Site::start().await;
    let head = "POST /v1/events HTTP/1.1\nHost: x\nContent-Type: text/plain\nExpect: 100-continue\nConnection: close\n";
    let mut stream = TcpStream::connect(site.plain).await.unwrap();
    stream.write_all(format!("{head}Content-Length: 2\n\n").replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    within(stream.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{}").await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 200);
    let answer = site.raw(&format!("{head}Content-Length: 99999999\n\n").replace('\n', "\r\n")).await;
    assert_eq!(status(&answer), 413);
}

#[tokio::test]
async fn without_room_for_bodies_the_answer_is_503() {
    let site = Site::start_with(|setup| setup.bodies_bytes = 16 << 10).await;
    let head = "POST /v1/events HTTP/1.1\nContent-Type: text/plain";
    let answer = site.ask(head, &"x".repeat(32 << 10)).await;
    assert_eq!((status(&answer), document(&answer)["reason"].as_str()), (503, Some("memory")));
    assert_eq!(status(&site.ask(head, "{}").await), 200);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_counted() {
    let site = Site::start_with(|setup| setup.connections = 1).await;
    let mut first = TcpStream::connect(site.plain).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    within(first.read_exact(&mut begun)).await.unwrap();
    let mut second = TcpStream::connect(site.plain).await.unwrap();
    assert_eq!(rest(&mut second).await, "");
    site.assert_refused("tcp", "connections");
    drop(first);
    // Free again as soon as the first is gone.
    let _permit = within(site.connections.acquire()).await.unwrap();
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let site = Site::start_with(|setup| {
        // A connection is looked at for the first time when this is over.
        setup.patience.first_request = Duration::from_secs(3);
        setup.patience.idle = Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(site.plain).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 200);

    let stream = TcpStream::connect(site.plain).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let root = Request::get(format!("http://{}/", site.plain)).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(within(sender.send_request(root)).await.unwrap().status(), 200);
    // The client keeps its end open and answers pings.
    within(connection).await.unwrap().unwrap();
    drop(sender);
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_lets_requests_end() {
    let site = Site::start().await;
    let mut idle = TcpStream::connect(site.plain).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    within(idle.read_exact(&mut begun)).await.unwrap();
    let mut silent = TcpStream::connect(site.plain).await.unwrap();
    let mut sending = TcpStream::connect(site.plain).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\nHost: x\nContent-Type: text/plain\nExpect: 100-continue\nContent-Length: 2\n\n";
    sending.write_all(head.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    within(sending.read_exact(&mut interim)).await.unwrap();

    site.shutdown.cancel();
    rest(&mut idle).await;
    rest(&mut silent).await;
    sending.write_all(b"{}").await.unwrap();
    assert_eq!(status(&rest(&mut sending).await), 200);
    site.ended().await;
}
