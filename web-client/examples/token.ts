import { connect } from "tidegate";

const client = connect("https://ingest.example.com", {
  // Asked for the first connection, again before `expiresAt`, and when the gateway refuses the token.
  token: async () => {
    const response = await fetch("/ingest-token", { method: "POST" });
    if (!response.ok) throw new Error(`no token: ${response.status}`);
    const { token, expires_at } = await response.json();
    return { token, expiresAt: new Date(expires_at) };
  },
});

client.on("state", ({ status, error }) => {
  if (status === "stopped") console.error("events are kept, and not sent:", error);
});
