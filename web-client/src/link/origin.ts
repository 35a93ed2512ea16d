import { DOCUMENT_BYTES_MAX } from "./bounds.js";
import type { Route } from "./link.js";
import { ask } from "./request.js";

/**
 * Whether the gateway refuses this page for its origin. Of what a foreign page asks it may read that alone, and only the answer to a
 * request without preflight: an empty POST with the token in the address. Rejects where there is no answer.
 */
export async function isForeign(
  routes: readonly Route[],
  token: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const https = routes.find(({ transport }) => transport === "https");
  const url = new URL(https?.url ?? new URL("events", routes.at(-1)?.url.href.replace(/^ws/, "http")));
  if (token !== undefined) url.searchParams.set("token", token);
  const { status, body } = await ask(url, { method: "POST", body: "", signal }, DOCUMENT_BYTES_MAX);
  return status === 403 && /"reason":\s*"origin"/.test(body);
}
