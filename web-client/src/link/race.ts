import type { Clock } from "../clock.js";
import { LinkError } from "../errors/link-error.js";
import type { Link, Route, TransportName } from "./link.js";

/** HTTPS has nothing to open, so it would win before others can: it starts this many times later. */
const HTTPS_STAGGERS = 4;

/** Opens `routes` in order, each `staggerMs` after the one before or at once when that failed; the first that opens wins, the others are given up. */
export function race(
  routes: readonly Route[],
  { clock, staggerMs, signal }: { clock: Clock; staggerMs: number; signal: AbortSignal },
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const losers = new AbortController();
    const failures: string[] = [];
    let started = 0;
    let over = false;
    let cancelNext = () => {};

    const finish = () => {
      over = true;
      cancelNext();
      signal.removeEventListener("abort", abort);
      losers.abort();
    };
    const fail = (message: string) => {
      finish();
      reject(new LinkError(message));
    };
    const abort = () => fail("given up");
    const failed = (index: number, transport: TransportName, error: unknown) => {
      if (over) return;
      failures.push(LinkError.from(transport, error).message);
      if (failures.length === routes.length) fail(failures.join("; "));
      else if (index === started - 1) start();
    };
    const start = () => {
      cancelNext();
      const index = started;
      const route = routes[index];
      if (!route) return;
      started += 1;
      const next = routes[started];
      const staggers = next?.transport === "https" ? HTTPS_STAGGERS : 1;
      if (next) cancelNext = clock.after(staggerMs * staggers, start);
      route.open(route.url, losers.signal).then(
        (link) => {
          if (over) return link.close();
          finish();
          resolve(link);
        },
        (error: unknown) => failed(index, route.transport, error),
      );
    };

    if (signal.aborted) return abort();
    if (routes.length === 0) return fail("no route to open");
    signal.addEventListener("abort", abort);
    start();
  });
}
