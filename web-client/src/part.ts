/**
 * `import()` of an address that bundlers leave alone. The build puts it before the start file: the comments by which they know would not
 * outlive minifying.
 */
declare const importAt: <T>(address: string) => Promise<T>;

/**
 * A file that is loaded when it is needed, once; `name` is an export of it. Where that fails the next call tries again. Browsers of before
 * 2026 remember that a file could not be had, and ask for it no more: so every other time it is asked for by another address, if the error
 * told the first one.
 */
export function part<T extends object>(
  name: string,
  load: () => Promise<T>,
  again = (address: string): Promise<T> => importAt(address),
): () => Promise<T> {
  let loading: Promise<T> | null = null;
  let address: string | undefined;
  let failures = 0;
  const attempt = async () => {
    try {
      const loaded = await (address && failures % 2 ? again(`${address}?${failures}`) : load());
      // The file of a bundler may be no module.
      if (!(name in loaded)) throw new Error(`${address} is not what was asked for`);
      return loaded;
    } catch (error) {
      loading = null;
      failures += 1;
      address ??= /https?:[^\s?]+/.exec((error as Error).message)?.[0];
      throw error;
    }
  };
  return () => {
    loading ??= attempt();
    return loading;
  };
}
