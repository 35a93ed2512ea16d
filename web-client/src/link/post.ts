import type { EventRecord } from "../wire/frames.js";

type Headers = Readonly<Record<string, string>>;

/** A request of events, one on a line: the client's own have no line feed inside. */
export function post(records: readonly EventRecord[], token: string | undefined, headers: Headers): RequestInit {
  return {
    method: "POST",
    headers: {
      "content-type": "application/x-ndjson",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: records.map(({ payload }) => `${payload}\n`).join(""),
  };
}

/** Headers of a request whose first event has the number `first`. */
export function numbering(client: string, epoch: number, first: number): Headers {
  return { "tidegate-client": client, "tidegate-epoch": `${epoch}`, "tidegate-seq": `${first}` };
}
