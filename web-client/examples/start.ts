import { connect } from "tidegate";

const client = connect("https://ingest.example.com");

client.on("refused", ({ event, code, message }) => console.error(`${event.type} refused: ${code}: ${message}`));
client.on("dropped", ({ reason, events }) => console.error(`${events.length} events dropped: ${reason}`));

await client.send({ type: "order.placed", data: { order: 7, total: 21.5 } });
