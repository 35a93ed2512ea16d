/** An event as it was written behind the gateway. */
export interface Arrival {
  /** Its number in the log. */
  readonly sequence: number;
  readonly topic: string;
  /** Absent where it is too large to be shown. */
  readonly event?: { readonly id?: string; readonly type?: string; readonly source?: string; readonly data?: unknown };
}

/** What is heard from the other end. */
export interface ArrivalsListener {
  /** Some events, in the order in which they were written, and how many could not be shown. */
  arrived(arrivals: readonly Arrival[], skipped: number): void;
  /** Whether the stream is open; if not, why, as a sentence. `final`: it will not be. */
  stands(open: boolean, why: string | null, final: boolean): void;
}

const PATH = "/demo/arrived";
const RETRY_MS = 2_000;
/** The gateway says at least a blank line every second. */
const SILENCE_MS = 10_000;

/** Reads what arrives at the gateway of this page, from now on, for as long as the page lives. */
export async function followArrivals(fetchNative: typeof fetch, listener: ArrivalsListener): Promise<void> {
  const place: Place = { after: null };
  for (;;) {
    const why = await read(fetchNative, place, listener);
    if (why.final) return listener.stands(false, why.sentence, true);
    listener.stands(false, why.sentence, false);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

interface End {
  readonly sentence: string;
  readonly final: boolean;
}

/** The sequence that was told last, shown or not. */
interface Place {
  after: number | null;
}

async function read(fetchNative: typeof fetch, place: Place, listener: ArrivalsListener): Promise<End> {
  const given = new AbortController();
  let alarm = setTimeout(() => given.abort(), SILENCE_MS);
  try {
    const path = place.after === null ? PATH : `${PATH}?after=${place.after}`;
    const answer = await fetchNative(path, { signal: given.signal, cache: "no-store" });
    if (!answer.ok || !answer.body) return await refusal(answer);
    listener.stands(true, null, false);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(alarm);
      if (done) return { sentence: "the gateway ended the stream", final: false };
      alarm = setTimeout(() => given.abort(), SILENCE_MS);
      const lines = (rest + value).split("\n");
      rest = lines.pop() ?? "";
      const elsewhere = tell(lines, place, listener);
      if (elsewhere !== null) return { sentence: elsewhere, final: true };
    }
  } catch {
    return { sentence: "the gateway cannot be reached", final: false };
  } finally {
    clearTimeout(alarm);
    given.abort();
  }
}

async function refusal(answer: Response): Promise<End> {
  // Anything but a refusal of this gateway has no such document.
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
  const sentence = problem.detail ?? `the gateway answered ${answer.status}`;
  return { sentence, final: [403, 404].includes(answer.status) };
}

/** A line of the stream: an event, so many that are not shown, or why none will come. */
type Line = Arrival & { readonly skipped?: number; readonly elsewhere?: string };

/** Why no events will come, where a line says so. */
function tell(lines: readonly string[], place: Place, listener: ArrivalsListener): string | null {
  const arrivals: Arrival[] = [];
  let skipped = 0;
  for (const line of lines) {
    if (line === "") continue;
    const told = JSON.parse(line) as Line;
    if (told.elsewhere !== undefined) return told.elsewhere;
    if (told.skipped === undefined) {
      arrivals.push(told);
      place.after = told.sequence;
    } else {
      skipped += told.skipped;
      if (place.after !== null) place.after += told.skipped;
    }
  }
  if (arrivals.length > 0 || skipped > 0) listener.arrived(arrivals, skipped);
  return null;
}
