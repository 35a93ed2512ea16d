type Listener = (event: FakeEvent) => void;
type When = boolean | { readonly capture?: boolean; readonly once?: boolean };

/** As much of an event as the client looks at. */
export interface FakeEvent {
  readonly type: string;
  readonly target: FakeTarget;
  readonly bubbles: boolean;
}

/** A window or a document: events go down to their target and up again, as the DOM has it (Node's own targets know no phases). */
export class FakeTarget {
  visibilityState = "visible";
  readonly #parent: FakeTarget | null;
  #listeners: { type: string; listener: Listener; capture: boolean; once: boolean }[] = [];

  constructor(parent: FakeTarget | null = null) {
    this.#parent = parent;
  }

  addEventListener = (type: string, listener: Listener, when: When = false): void => {
    const { capture = false, once = false } = typeof when === "boolean" ? { capture: when } : when;
    const known = this.#listeners.some(
      (own) => own.type === type && own.listener === listener && own.capture === capture,
    );
    if (!known) this.#listeners.push({ type, listener, capture, once });
  };

  removeEventListener = (type: string, listener: Listener, capture = false): void => {
    this.#listeners = this.#listeners.filter(
      (own) => own.type !== type || own.listener !== listener || own.capture !== capture,
    );
  };

  /** As Chromium does with events of the window: all in one go, those who listen when it begins. */
  fireAtOnce(type: string): void {
    const listeners = this.#listeners.filter((own) => own.type === type);
    for (const { listener, capture, once } of listeners) {
      if (once) this.removeEventListener(type, listener, capture);
      listener({ type, target: this, bubbles: false });
    }
  }

  fire(type: string, bubbles: boolean): void {
    const event = { type, target: this, bubbles };
    const above = this.#parent ? [this.#parent] : [];
    for (const target of [...above, this]) target.#call(event, true);
    for (const target of [this, ...(bubbles ? above : [])]) target.#call(event, false);
  }

  #call(event: FakeEvent, capture: boolean): void {
    for (const own of [...this.#listeners]) {
      if (own.type !== event.type || own.capture !== capture) continue;
      if (own.once) this.removeEventListener(own.type, own.listener, capture);
      own.listener(event);
    }
  }
}

/** Runs `test` in the page of a window and its document. */
export function inPage(test: (window: FakeTarget, document: FakeTarget) => void): void {
  const window = new FakeTarget();
  const document = new FakeTarget(window);
  const { addEventListener, removeEventListener } = window;
  const names = Object.entries({ addEventListener, removeEventListener, document });
  for (const [name, value] of names) Object.defineProperty(globalThis, name, { value, configurable: true });
  try {
    test(window, document);
  } finally {
    for (const [name] of names) Reflect.deleteProperty(globalThis, name);
  }
}
