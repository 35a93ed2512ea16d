import type { Line } from "./line.js";

/** How long the system takes to say that there is no network. */
const REFUSAL_MS = 20;

/** The browser's `fetch`, over `line`. */
export function breakableFetch(native: typeof fetch, line: Line): typeof fetch {
  return async (input, init) => {
    const refuseOffline = async () => {
      if (!line.broken.offline) return;
      await new Promise((resolve) => setTimeout(resolve, REFUSAL_MS));
      throw new TypeError("Failed to fetch");
    };
    await refuseOffline();
    const answer = await native(input, init);
    await refuseOffline();
    // Over HTTPS the answer is the acknowledgement.
    if (isPost(input, init)) {
      const signal = init?.signal;
      signal?.addEventListener("abort", () => line.look());
      await line.until(() => !line.broken.acknowledgements || signal?.aborted === true);
      signal?.throwIfAborted();
      await refuseOffline();
    }
    return answer;
  };
}

function isPost(input: RequestInfo | URL, init: RequestInit | undefined): boolean {
  return (init?.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase() === "POST";
}
