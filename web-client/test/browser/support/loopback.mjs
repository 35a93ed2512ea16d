// Ports of localhost: the same one on 127.0.0.1 and, where there is IPv6, on ::1, which browsers try first.

const HOSTS = ["127.0.0.1", "::1"];
const ATTEMPTS_MAX = 20;

/** Opens something on one free port of every loopback address. `open(host, port)` rejects where that is not possible. */
export async function onLoopback(open, close) {
  let last;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const opened = [];
    try {
      let port = 0;
      for (const host of HOSTS) {
        const one = await open(host, port).catch((error) => {
          if (host === "::1" && error.code === "EADDRNOTAVAIL") return null;
          throw error;
        });
        if (one === null) continue;
        opened.push(one);
        port = one.address().port;
      }
      return { port, opened };
    } catch (error) {
      last = error;
      await Promise.all(opened.map(close));
    }
  }
  throw last;
}
