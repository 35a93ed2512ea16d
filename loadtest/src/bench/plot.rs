//! The plot: cost of an event by the way it comes, as SVG.

use std::fmt::Write as _;

use super::figures::Figures;

const ROW: u32 = 26;
const LEFT: u32 = 190;
const WIDTH: u32 = 640;

/// Bars of CPU time for each event, the shorter the better, with the range of the rounds.
pub(crate) fn cost(figures: &Figures) -> String {
    let rows = [
        ("librdkafka alone", "producer"),
        ("WebSocket, 64 a frame", "websocket 64"),
        ("WebTransport, 64 a frame", "webtransport 64"),
        ("QUIC, 64 a frame", "quic 64"),
        ("HTTPS, 64 a request", "https 64"),
        ("HTTP, 100 a request", "http 100"),
        ("axum, 100 a request", "axum 100"),
        ("WebSocket, 1 a frame", "websocket 1"),
        ("WebTransport, 1 a frame", "webtransport 1"),
        ("QUIC, 1 a frame", "quic 1"),
    ];
    let micros = |rate: f64| if rate > 0.0 { 1e6 / rate } else { 0.0 };
    let bars: Vec<_> = rows
        .iter()
        .map(|(label, name)| {
            let series = figures.get(name);
            let (low, high) = series.range();
            (label, micros(series.median()), micros(high), micros(low))
        })
        .collect();
    let largest = bars.iter().fold(0.1_f64, |largest, bar| largest.max(bar.3));
    let scale = f64::from(WIDTH - LEFT - 70) / largest;
    let height = ROW * (u32::try_from(bars.len()).unwrap_or(0) + 1) + 14;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">CPU of the process for each event, in microseconds</text>\n"
    );
    for (at, (label, median, low, high)) in bars.iter().enumerate() {
        let y = ROW * (u32::try_from(at).unwrap_or(0) + 1) + 4;
        let (text, middle) = (y + 15, y + 10);
        let end = |value: f64| f64::from(LEFT) + value * scale;
        let fill =
            if label.starts_with("axum") || label.starts_with("librdkafka") { "#9aa5b1" } else { "#2b7bb9" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"20\" fill=\"{fill}\"/>\
             <line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"#222222\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{median:.2}</text>",
            LEFT - 8,
            median * scale,
            end(*low),
            end(*high),
            end(*high) + 6.0,
        );
    }
    svg + "</svg>\n"
}
