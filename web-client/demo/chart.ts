import { SECONDS, type Second } from "./seconds.js";

const LOG_LEAST = 0;
const LOG_STEPS = ["1 ms", "10 ms", "100 ms", "1 s", "10 s"];
const PAD = { left: 50, right: 8, top: 8, bottom: 6 };

/** Draws the rate of acknowledged events as bars, and of sent ones as a line, a second each. */
export function drawRates(canvas: HTMLCanvasElement, seconds: readonly Second[]): void {
  const plot = begin(canvas);
  if (!plot) return;
  const most = Math.max(...seconds.flatMap(({ sent, acknowledged }) => [sent, acknowledged]), 1);
  const top = niceCeiling(most);
  plot.grid([
    [0, "0"],
    [0.5, short(top / 2)],
    [1, short(top)],
  ]);
  const { context, colour, x, y, step } = plot;
  context.fillStyle = colour("--acknowledged");
  seconds.forEach(({ acknowledged }, index) => {
    const height = y(0) - y(acknowledged / top);
    if (acknowledged > 0)
      context.fillRect(x(index, seconds.length) + 0.5, y(0) - Math.max(height, 1), step - 1, Math.max(height, 1));
  });
  context.strokeStyle = colour("--outbox");
  context.lineWidth = 1.5;
  context.beginPath();
  seconds.forEach(({ sent }, index) => {
    const at = x(index, seconds.length);
    context.lineTo(at, y(sent / top));
    context.lineTo(at + step, y(sent / top));
  });
  context.stroke();
}

/** Draws the median and the 99th percentile of each second, on a logarithmic scale. */
export function drawLatencies(
  canvas: HTMLCanvasElement,
  seconds: readonly { readonly p50: number | null; readonly p99: number | null }[],
): void {
  const plot = begin(canvas);
  if (!plot) return;
  plot.grid(LOG_STEPS.map((label, index) => [index / (LOG_STEPS.length - 1), label]));
  const share = (ms: number) => Math.min(Math.max((Math.log10(ms) - LOG_LEAST) / (LOG_STEPS.length - 1), 0), 1);
  const { context, colour, x, y, step } = plot;
  for (const [name, property, width] of [
    ["p99", "--quiet", 1.5],
    ["p50", "--acknowledged", 2.5],
  ] as const) {
    context.strokeStyle = colour(property);
    context.lineWidth = width;
    context.lineCap = "round";
    context.beginPath();
    let drawing = false;
    seconds.forEach((second, index) => {
      const ms = second[name];
      if (ms !== null) {
        const at = x(index, seconds.length);
        if (!drawing) context.moveTo(at, y(share(ms)));
        context.lineTo(at + step, y(share(ms)));
      }
      drawing = ms !== null;
    });
    context.stroke();
  }
}

interface Plot {
  readonly context: CanvasRenderingContext2D;
  readonly step: number;
  colour(property: string): string;
  /** Left edge of a second; the newest is at the right. */
  x(index: number, count: number): number;
  /** From a share of the scale. */
  y(share: number): number;
  grid(lines: readonly (readonly [number, string])[]): void;
}

function begin(canvas: HTMLCanvasElement): Plot | null {
  const { clientWidth, clientHeight } = canvas;
  const width = Math.round(clientWidth * devicePixelRatio);
  const height = Math.round(clientHeight * devicePixelRatio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context || clientWidth === 0) return null;
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, clientWidth, clientHeight);
  const step = (clientWidth - PAD.left - PAD.right) / SECONDS;
  const y = (share: number) => clientHeight - PAD.bottom - share * (clientHeight - PAD.top - PAD.bottom);
  const colour = (property: string) => {
    canvas.style.color = `var(${property})`;
    const { color } = getComputedStyle(canvas);
    canvas.style.color = "";
    return color;
  };
  return {
    context,
    step,
    colour,
    x: (index, count) => clientWidth - PAD.right - (count - index) * step,
    y,
    grid(lines) {
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.lineWidth = 1;
      for (const [share, label] of lines) {
        context.strokeStyle = colour("--line");
        context.fillStyle = colour("--quiet");
        context.fillText(label, PAD.left - 8, y(share));
        context.beginPath();
        context.moveTo(PAD.left, Math.round(y(share)) + 0.5);
        context.lineTo(clientWidth - PAD.right, Math.round(y(share)) + 0.5);
        context.stroke();
      }
    },
  };
}

function niceCeiling(value: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 5, 10].find((factor) => factor * magnitude >= value) ?? 10;
  return Math.max(step * magnitude, 10);
}

function short(value: number): string {
  return value >= 1000 ? `${value / 1000}k` : String(value);
}
