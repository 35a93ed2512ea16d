/**
 * What happens to a page: `hidden` and `visible`, `leaving` (perhaps for good), `returned` from the back/forward cache, `frozen`
 * and `resumed`, and what the browser thinks of the network.
 */
export type PageSignal = "hidden" | "visible" | "leaving" | "returned" | "frozen" | "resumed" | "online" | "offline";

/** The page around a client, or whatever it lives in. */
export interface Page {
  /** False where the browser says that there is no network. */
  readonly online: boolean;
  readonly visible: boolean;
  /** Calls `tell` from now on, until the returned function is called. */
  listen(tell: (signal: PageSignal) => void): () => void;
}

/** The page that this runs in. Workers have only the network, Node has nothing: then it is always there, visible and online. */
export const thisPage: Page = {
  get online() {
    return globalThis.navigator?.onLine !== false;
  },
  get visible() {
    return globalThis.document?.visibilityState !== "hidden";
  },
  listen(tell) {
    const stops: (() => void)[] = [];
    const on = (target: EventTarget | undefined, name: string, signal: (event: Event) => PageSignal | null) => {
      if (typeof target?.addEventListener !== "function") return;
      const heard = (event: Event) => {
        const told = signal(event);
        if (told) tell(told);
      };
      target.addEventListener(name, heard);
      stops.push(() => target.removeEventListener(name, heard));
    };
    const { document } = globalThis;
    on(document, "visibilitychange", () => (document.visibilityState === "hidden" ? "hidden" : "visible"));
    on(document, "freeze", () => "frozen");
    on(document, "resume", () => "resumed");
    on(globalThis, "pagehide", () => "leaving");
    on(globalThis, "pageshow", (event) => ((event as PageTransitionEvent).persisted ? "returned" : null));
    on(globalThis, "online", () => "online");
    on(globalThis, "offline", () => "offline");
    return () => {
      for (const stop of stops) stop();
    };
  },
};
