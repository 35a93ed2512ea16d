/** What is used of a page's window, so that tests can be the window. Marked optional: what some browsers lack. */
export type PageWindow = Pick<
  Window & typeof globalThis,
  "document" | "location" | "history" | "performance" | "addEventListener" | "requestAnimationFrame"
> & {
  readonly navigation?: Pick<Navigation, "addEventListener">;
  readonly PerformanceObserver?: typeof PerformanceObserver;
};
