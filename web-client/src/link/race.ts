import type { Clock } from "../clock.js";
import { LinkError } from "../session/shared.js";
import { HTTPS_STAGGERS } from "./bounds.js";
import type { Link, Route } from "./link.js";

/** Opens `routes` in order, each `staggerMs` after the one before or at once when that failed; the first that opens wins, the others are given up. */
export function race(
  routes: readonly Route[],
  { clock, staggerMs, signal }: { clock: Clock; staggerMs: number; signal: AbortSignal },
): Promise<Link> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const failures: string[] = [];
    let started = 0;
    let cancelNext = () => {};

    const finish = () => {
      cancelNext();
      signal.removeEventListener("abort", abort);
      over.abort();
    };
    const fail = (message: string) => {
      finish();
      reject(new LinkError(message));
    };
    const abort = () => fail("given up");
    const start = () => {
      cancelNext();
      const index = started;
      const route = routes[index];
      if (!route) return;
      started += 1;
      const next = routes[started];
      if (next) cancelNext = clock.after(staggerMs * (next.transport === "https" ? HTTPS_STAGGERS : 1), start);
      route.open(route.url, over.signal).then(
        (link) => {
          if (over.signal.aborted) return link.close();
          finish();
          resolve(link);
        },
        (error: unknown) => {
          if (over.signal.aborted) return;
          failures.push(LinkError.from(route.transport, error).message);
          if (failures.length === routes.length) fail(failures.join("; "));
          else if (index === started - 1) start();
        },
      );
    };

    if (signal.aborted) return abort();
    if (routes.length === 0) return fail("no route to open");
    signal.addEventListener("abort", abort);
    start();
  });
}
