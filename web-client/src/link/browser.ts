/** A browser by the names that gateways use for them. */
export interface Browser {
  /** `chrome` (Chromium too), `edge`, `firefox` or `safari`. */
  readonly name: string;
  /** Such as `26.4`. */
  readonly version: string;
}

/** Which browsers should not use a transport. */
export interface Exclusion {
  readonly transport: string;
  /** As in `Browser`. */
  readonly browser: string;
  /** The first version that may use it; without it none may. */
  readonly below?: string | null;
}

// In this order: Edge calls itself Chrome too, and nearly everybody calls itself Safari.
const MARKS = { edge: "Edg", firefox: "Firefox", chrome: "Chrome", safari: "Version" };

/** The browser that sends this `User-Agent`; `null` for one without a name here, which nothing excludes. */
export function browserOf(userAgent: string): Browser | null {
  for (const [name, mark] of Object.entries(MARKS)) {
    const version = userAgent.split(` ${mark}/`)[1]?.split(" ")[0];
    if (version) return { name, version };
  }
  return null;
}

/** Whether `exclusions` keep `browser` from `transport`. */
export function isExcluded(exclusions: readonly Exclusion[], transport: string, browser: Browser | null): boolean {
  return exclusions.some(
    (exclusion) =>
      exclusion.transport === transport &&
      exclusion.browser === browser?.name &&
      (exclusion.below == null || isBelow(browser.version, exclusion.below)),
  );
}

/** Compares part by part as numbers; a part that is not there is 0. */
function isBelow(version: string, limit: string): boolean {
  const [ours, theirs] = [version, limit].map((text) => text.replace(/(\.0)+$/, ""));
  return (ours ?? "").localeCompare(theirs ?? "", "en", { numeric: true }) < 0;
}
