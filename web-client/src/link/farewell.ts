import type { Outbox } from "../outbox/outbox.js";
import type { EventRecord } from "../wire/frames.js";
import { isTaken, judge } from "./answer.js";
import { numbering, post } from "./post.js";
import type { ask } from "./request.js";

/**
 * The last word of a page: posts what no connection has taken, by requests that outlive the page. Events go from the lowest unsettled
 * number on, as many as there is room for; returns the number of the last, `null` where nothing was posted. An answer that the page
 * lives to see counts as an acknowledgement, any other changes nothing.
 */
export type Farewell = (url: URL, outbox: Outbox, token: string | undefined) => number | null;

/** Browsers give all requests of a page that outlive it 64 KiB together. */
const BODY_BYTES_MAX = 60 * 1024;
const ANSWER_BYTES_MAX = 1024 * 1024;

/** Says it by `request`; the gateway takes one request of a client at a time. */
export function farewell(request: typeof ask, fetcher: typeof fetch): Farewell {
  let underWay = false;
  return (url, outbox, token) => {
    if (underWay) return null;
    const { client, epoch } = outbox;
    const records: EventRecord[] = [];
    let [first, bytes] = [0, 0];
    for (const event of outbox.from(outbox.upto + 1)) {
      first ||= event.seq;
      bytes += event.bytes + 1;
      // Numbers are told by counting lines, so a missing one ends the body.
      if (event.seq !== first + records.length || bytes > BODY_BYTES_MAX) break;
      records.push(event);
    }
    const count = records.length;
    if (count === 0) return null;
    underWay = true;
    const init = { ...post(records, token, numbering(client, epoch, first)), keepalive: true };
    request(url, init, ANSWER_BYTES_MAX, fetcher)
      .then((answer) => {
        if (!isTaken(answer) || outbox.client !== client || outbox.epoch !== epoch) return;
        const { upto, level, list } = judge(answer, first, count);
        for (const verdict of list) outbox.judge(verdict);
        outbox.settle(Math.min(upto, first + count - 1), level);
      })
      // The events are still in the outbox.
      .catch(() => {})
      .finally(() => {
        underWay = false;
      });
    return first + count - 1;
  };
}
