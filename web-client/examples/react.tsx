import { useSyncExternalStore } from "react";
import { connect } from "tidegate";
import { observePage } from "tidegate/page";

// Once for the page, not in a component: components come and go, and in development twice.
export const client = connect("https://ingest.example.com");
observePage(client, { views: true, errors: true });

/** The client's state; renders again when it changes. */
export function useClientState() {
  return useSyncExternalStore(
    (changed) => client.on("state", changed),
    () => client.state,
    () => client.state,
  );
}

export function SaveButton({ document }: { document: string }) {
  const { status } = useClientState();
  return (
    <button type="button" onClick={() => void client.send({ type: "document.saved", data: { document } })}>
      Save {status === "offline" ? "(sent when you are online again)" : ""}
    </button>
  );
}
