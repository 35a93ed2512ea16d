import { useSyncExternalStore } from "react";
import { connect } from "tidegate";
import { observePage } from "tidegate/page";

// Once for the page, not in a component: components come and go, and in development twice.
export const client = connect("https://ingest.example.com");
observePage(client, { views: true, errors: true });

/** Where the client stands; renders again when that changes. */
export function useStatus() {
  const status = () => client.state.status;
  return useSyncExternalStore((changed) => client.on("state", changed), status, status);
}

export function SaveButton({ document }: { document: string }) {
  const status = useStatus();
  return (
    <button type="button" onClick={() => void client.send({ type: "document.saved", data: { document } })}>
      Save {status === "offline" ? "(sent when you are online again)" : ""}
    </button>
  );
}
