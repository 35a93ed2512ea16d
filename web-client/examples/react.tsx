import { createContext, useContext, useSyncExternalStore } from "react";
import { type Client, type CloudEvent, connect } from "tidegate";
import { observePage } from "tidegate/page";

// Once for the page, not in a component: components come and go, and in development twice.
export const client = connect("https://ingest.example.com");
observePage(client, { views: true, errors: true });

const TidegateContext = createContext<Client>(client);

/** The client, and its state as it changes. */
export function useTidegate() {
  const client = useContext(TidegateContext);
  const state = useSyncExternalStore(
    (changed) => client.on("state", changed),
    () => client.state,
    () => client.state,
  );
  return { send: (event: CloudEvent) => client.send(event), state };
}

export function SaveButton({ document }: { document: string }) {
  const { send, state } = useTidegate();
  return (
    <button type="button" onClick={() => void send({ type: "document.saved", data: { document } })}>
      Save {state.status === "offline" ? "(sent when you are online again)" : ""}
    </button>
  );
}
