/** How a point is drawn: by what is known of its event. */
export type Mark = "outbox" | "acknowledged" | "arrived" | "others" | "refused" | "dropped";

/** A point of a drawing on a field of this size, which is fitted into the canvas. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Of a dot; 1 is usual. */
  readonly size: number;
  /** Points of one stroke that follow each other are joined; a dot stands alone. */
  readonly stroke: string | null;
  /** Looked at whenever the drawing is painted. */
  readonly event: { readonly fate: Mark };
}

const POINTS_MAX = 24_000;
/** With more points dots are squares, which are quicker to paint. */
const ROUND_MAX = 4_000;
/** Points farther apart, in CSS pixels, were not one movement. */
const STEP_MAX = 160;
/** The radius of a dot that is no part of a stroke, in CSS pixels. */
const DOT = 2.1;
const MARKS: readonly Mark[] = ["arrived", "others", "acknowledged", "dropped", "refused", "outbox"];
const STYLES: Readonly<Record<Mark, { readonly width: number; readonly dot: number; readonly open: boolean }>> = {
  arrived: { width: 3.5, dot: 2.1, open: false },
  others: { width: 3.5, dot: 2.1, open: false },
  acknowledged: { width: 1.75, dot: 1.5, open: false },
  outbox: { width: 0, dot: 2.8, open: true },
  refused: { width: 0, dot: 3, open: true },
  dropped: { width: 0, dot: 3, open: true },
};

/** A drawing on a canvas, painted at most once a frame. */
export class Sketch {
  readonly #canvas: HTMLCanvasElement;
  readonly #points: Point[] = [];
  #painting = false;
  #colours: Record<Mark, string> | null = null;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.repaint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#colours = null;
      this.repaint();
    });
  }

  /** Adds a point. The oldest points make room. */
  add(point: Point): void {
    this.#points.push(point);
    this.#canvas.parentElement?.setAttribute("data-used", "");
    if (this.#points.length > POINTS_MAX) this.#points.splice(0, POINTS_MAX / 8);
    this.repaint();
  }

  clear(): void {
    this.#points.length = 0;
    this.repaint();
  }

  /** To be called when the fate of a point's event has changed. */
  repaint(): void {
    if (this.#painting) return;
    this.#painting = true;
    requestAnimationFrame(() => {
      this.#painting = false;
      this.#paint();
    });
  }

  #paint(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    const width = Math.round(clientWidth * devicePixelRatio);
    const height = Math.round(clientHeight * devicePixelRatio);
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    const paths = this.#paths(clientWidth, clientHeight);
    this.#colours ??= colours(this.#canvas);
    context.lineCap = "round";
    for (const mark of MARKS) {
      const { lines, dots, rings } = paths[mark];
      context.strokeStyle = this.#colours[mark];
      context.fillStyle = this.#colours[mark];
      context.lineWidth = STYLES[mark].width || 1;
      context.stroke(lines);
      context.fill(dots);
      context.lineWidth = 1.5;
      context.stroke(rings);
    }
  }

  #paths(width: number, height: number): Record<Mark, Paths> {
    const paths = {} as Record<Mark, Paths>;
    for (const mark of MARKS) paths[mark] = { lines: new Path2D(), dots: new Path2D(), rings: new Path2D() };
    const round = this.#points.length <= ROUND_MAX;
    const last = new Map<string, Place>();
    for (const point of this.#points) {
      const { x, y } = fit(point, width, height);
      const style = STYLES[point.event.fate];
      const dot = (point.stroke === null ? DOT : style.dot) * point.size;
      const { lines, dots, rings } = paths[point.event.fate];
      const before = point.stroke === null ? undefined : last.get(point.stroke);
      if (point.stroke !== null) last.set(point.stroke, { x, y });
      if (style.open && point.stroke !== null) circle(rings, x, y, dot);
      else if (point.stroke !== null) {
        const joined = before && Math.hypot(x - before.x, y - before.y) < STEP_MAX;
        // A line of no length with round ends is a dot.
        lines.moveTo(joined ? before.x : x, joined ? before.y : y);
        lines.lineTo(x, y);
      } else if (round) circle(dots, x, y, dot);
      else dots.rect(x - dot, y - dot, 2 * dot, 2 * dot);
    }
    return paths;
  }
}

interface Place {
  readonly x: number;
  readonly y: number;
}

/** The whole field is seen, in the middle of the canvas. */
function fit(point: Point, width: number, height: number): Place {
  const scale = Math.min(width / point.width, height / point.height);
  return {
    x: width / 2 + (point.x - point.width / 2) * scale,
    y: height / 2 + (point.y - point.height / 2) * scale,
  };
}

function circle(path: Path2D, x: number, y: number, radius: number): void {
  path.moveTo(x + radius, y);
  path.arc(x, y, radius, 0, 2 * Math.PI);
}

interface Paths {
  readonly lines: Path2D;
  readonly dots: Path2D;
  readonly rings: Path2D;
}

/** A custom property's value is its text, so `light-dark()` must be resolved through a real property. */
function colours(canvas: HTMLCanvasElement): Record<Mark, string> {
  const resolved = {} as Record<Mark, string>;
  for (const mark of MARKS) {
    canvas.style.color = `var(--${mark})`;
    resolved[mark] = getComputedStyle(canvas).color;
  }
  canvas.style.color = "";
  return resolved;
}
