// As much of React's types as react.tsx needs, so that checking it takes no React.
declare module "react" {
  export function useSyncExternalStore<T>(
    subscribe: (changed: () => void) => () => void,
    snapshot: () => T,
    serverSnapshot?: () => T,
  ): T;
}

declare module "react/jsx-runtime" {
  export namespace JSX {
    type Element = object;
    interface IntrinsicElements {
      button: { type: "button"; onClick: () => void; children: unknown };
    }
  }
}
