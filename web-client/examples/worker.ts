// The worker: `new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module" })`.
import { type CloudEvent, connect } from "tidegate";

const client = connect("https://ingest.example.com");

addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  if (!port) return;
  port.onmessage = ({ data }: MessageEvent<CloudEvent>) => void client.send(data);
});
