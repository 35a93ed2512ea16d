const EVENTS = ["visibilitychange", "freeze", "resume", "pagehide", "pageshow", "online", "offline"] as const;

/**
 * What happens to a page, as its events are called: `pagehide` when it is left, perhaps for good; `pageshow` when it is back from the
 * back/forward cache; what the browser thinks of the network; and what becomes of its visibility.
 */
export type PageSignal = Exclude<(typeof EVENTS)[number], "visibilitychange"> | "visible" | "hidden";

/** The page around a client, or whatever it lives in. */
export interface Page {
  /** False where the browser says that there is no network. */
  readonly online: boolean;
  readonly visible: boolean;
  /** Calls `tell` from now on, after all others who listen, until the returned function is called. */
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
    /** The page is being left, and nobody was told yet. */
    let leaving = false;
    const heard = (event: Event) => {
      const type = event.type as (typeof EVENTS)[number];
      if (type === "pagehide" || leaving) tell("pagehide");
      leaving = false;
      if (type === "visibilitychange") tell(thisPage.visible ? "visible" : "hidden");
      // A page that was loaded is shown, too.
      else if (type !== "pagehide" && (type !== "pageshow" || (event as PageTransitionEvent).persisted)) tell(type);
    };
    // Whoever else listens shall have sent what there is to send: what listens only now is called last. But for events of the window
    // in Chromium, where it is not called at all: there a page that is left while it is seen is hidden afterwards, and told so.
    const before = (event: Event) => {
      const { type, target, bubbles } = event;
      if (type === "pagehide") leaving = thisPage.visible;
      const last = type === "pagehide" ? leaving : type === "visibilitychange" || type === "freeze";
      if (last) (bubbles ? globalThis : target)?.addEventListener(type, heard, { once: true });
      else heard(event);
    };
    // On their way to the document its events come through here, whether they bubble or not.
    for (const name of EVENTS) globalThis.addEventListener?.(name, before, true);
    return () => {
      for (const name of EVENTS) globalThis.removeEventListener?.(name, before, true);
    };
  },
};
