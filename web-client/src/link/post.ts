import type { Bytes } from "../wire/bytes.js";

type Headers = Readonly<Record<string, string>>;

const LINE_FEED = 0x0a;

/** A request of events, one on a line: the client's own have no line feed inside. */
export function post(payloads: readonly Uint8Array[], token: string | undefined, headers: Headers): RequestInit {
  return {
    method: "POST",
    headers: {
      "content-type": "application/x-ndjson",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: lines(payloads),
  };
}

/** Headers of a request whose first event has the number `first`. */
export function numbering(client: string, epoch: number, first: number): Headers {
  return { "tidegate-client": client, "tidegate-epoch": `${epoch}`, "tidegate-seq": `${first}` };
}

function lines(payloads: readonly Uint8Array[]): Bytes {
  const body = new Uint8Array(payloads.reduce((bytes, { length }) => bytes + length + 1, 0)).fill(LINE_FEED);
  let offset = 0;
  for (const payload of payloads) {
    body.set(payload, offset);
    offset += payload.length + 1;
  }
  return body;
}
