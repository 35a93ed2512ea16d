import { connect } from "tidegate";

const client = connect(process.env.TIDEGATE_URL ?? "http://localhost:8080", { name: "import" });

for (let row = 1; row <= 1000; row += 1) {
  await client.send({ type: "row.imported", data: { row } }); // waits while the outbox is half full
}
await client.flush(); // all of them are durable, or were refused
await client.close();
