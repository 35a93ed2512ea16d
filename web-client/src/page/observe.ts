import type { Client } from "../client.js";
import type { CloudEvent } from "../event.js";
import { type ErrorData, ErrorReports, type Place } from "./errors.js";
import { maxErrors, type PageKind, type PageOptions, shares } from "./options.js";
import { type View, Views } from "./views.js";
import { Vitals } from "./vitals.js";
import type { PageWindow } from "./window.js";

/** What is needed of a client. */
type Sender = Pick<Client, "send">;

/** What a page is made of that tests replace. */
interface Parts {
  readonly page: PageWindow;
  /** 0 (included) to 1 (excluded). */
  readonly random: () => number;
  readonly newId: () => string;
  readonly reportError: (error: unknown) => void;
}

/**
 * Sends what happens to the page as events `page.view`, `page.vital` and `page.error`, from now on and, for vitals, from the
 * beginning of the load. Vitals are sent when the page is hidden for the first time. Call it once in a page's life; where there is no
 * document (a server, a worker) it does nothing. The function it returns ends it: nothing is sent any more. An event that the client
 * does not take is lost; the first time that is reported with `reportError`. Throws `RangeError` for an option out of bounds.
 */
export function observePage(client: Pick<Client, "send">, options: PageOptions): () => void {
  const page = globalThis as unknown as PageWindow;
  return observe(client, options, { page, random: Math.random, newId, reportError: (error) => reportError(error) });
}

/** The same with its surroundings as an argument. */
export function observe(client: Sender, options: PageOptions, { page, ...parts }: Parts): () => void {
  const stop = new AbortController();
  const send = sender(client, options, parts);
  const max = maxErrors(options);
  if (page.document && (send.view || send.vital || send.error)) {
    const begin = () => {
      if (!stop.signal.aborted) watch(page, { ...parts, options, max, send, signal: stop.signal });
    };
    // A page that is prerendered may never be looked at.
    const { document } = page;
    if (!(document as { readonly prerendering?: boolean }).prerendering) begin();
    else document.addEventListener("prerenderingchange", begin, { once: true, signal: stop.signal });
  }
  return () => stop.abort();
}

type Send = (view: View, data: ErrorData) => void;

/** How each kind is sent; null: it is not. */
function sender(
  client: Sender,
  options: PageOptions,
  parts: Omit<Parts, "page">,
): Readonly<Record<PageKind, Send | null>> {
  const { attributes, redact } = options;
  const all = shares(options);
  const draw = parts.random();
  const redactFailed = once(parts.reportError);
  const sendFailed = once(parts.reportError);
  const kind = (name: PageKind): Send | null => {
    const share = all[name];
    if (draw >= share) return null;
    return ({ id, url }, about) => {
      const data = { view: id, url, ...about, ...(share < 1 && { share }) };
      let event: CloudEvent | null = { ...attributes, type: `page.${name}`, data };
      try {
        if (redact) event = redact(event);
      } catch (error) {
        redactFailed(error);
        return;
      }
      if (event) client.send(event).catch(sendFailed);
    };
  };
  return { view: kind("view"), vital: kind("vital"), error: kind("error") };
}

interface Watched extends Omit<Parts, "page"> {
  readonly options: PageOptions;
  readonly max: number;
  readonly send: Readonly<Record<PageKind, Send | null>>;
  readonly signal: AbortSignal;
}

function watch(page: PageWindow, { options, max, send, signal, newId }: Watched): void {
  const urls = options.urls ?? "path";
  const errors = new ErrorReports({ max, urls, now: () => page.performance.now() });
  const vitals = send.vital && new Vitals(page, signal);
  const summarise = (view: View) => {
    const data = errors.summary();
    if (data) send.error?.(view, data);
  };
  const viewed = (view: View) => {
    const { arrival, referrer } = view;
    send.view?.(view, { arrival, ...(referrer && { referrer }) });
  };
  const views = new Views(page, urls, {
    newId,
    changed: (view, before) => {
      summarise(before);
      errors.restart();
      viewed(view);
    },
  });
  let measured = views.current;
  viewed(measured);
  if (send.view) views.watch(signal);

  const leave = () => {
    for (const vital of vitals?.finish() ?? []) send.vital?.(measured, { ...vital, arrival: measured.arrival });
    summarise(views.current);
  };
  // Before the client, which may be told by the same event to hand over all it has.
  const first = { capture: true, signal };
  page.addEventListener("visibilitychange", () => page.document.visibilityState === "hidden" && leave(), first);
  page.addEventListener("pagehide", leave, first);
  page.addEventListener(
    "pageshow",
    ({ persisted, timeStamp }) => {
      if (!persisted) return;
      measured = views.restored();
      vitals?.restart(timeStamp);
    },
    first,
  );

  const failed = (kind: "error" | "rejection", thrown: unknown, place?: Place) => {
    const view = views.current;
    const data = errors.report(kind, thrown, place);
    if (data) send.error?.(view, data);
  };
  if (!send.error) return;
  page.addEventListener("error", (event) => failed("error", event.error, event), { signal });
  page.addEventListener("unhandledrejection", ({ reason }) => failed("rejection", reason), { signal });
}

/** Does it the first time only. */
function once(report: (error: unknown) => void): (error: unknown) => void {
  let done = false;
  return (error) => {
    if (!done) {
      done = true;
      report(error);
    }
  };
}

/** 12 random letters and digits. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte % 36).toString(36)).join("");
}
