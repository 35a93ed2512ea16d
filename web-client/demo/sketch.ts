/** What is known of a point's event. */
export type Mark = "in-flight" | "acknowledged" | "refused" | "unknown";

/** A point of the path, in CSS pixels of the canvas. */
export interface Point {
  readonly x: number;
  readonly y: number;
  mark: Mark;
}

const POINTS_MAX = 2_000;
/** Points farther apart were not one movement. */
const STEP_MAX = 120;

/** The path on a canvas, painted at most once a frame. */
export class Sketch {
  readonly #canvas: HTMLCanvasElement;
  readonly #points: Point[] = [];
  #painting = false;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.repaint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  /** Adds a point whose `mark` may be changed later, followed by `repaint`. The oldest points make room. */
  add(x: number, y: number): Point {
    const point: Point = { x, y, mark: "in-flight" };
    this.#points.push(point);
    if (this.#points.length > POINTS_MAX) this.#points.shift();
    this.repaint();
    return point;
  }

  clear(): void {
    this.#points.length = 0;
    this.repaint();
  }

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
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(clientWidth * scale);
    this.#canvas.height = Math.round(clientHeight * scale);
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    const colour = this.#colours();
    this.#paintLine(context, colour.acknowledged);
    for (const point of this.#points) {
      if (point.mark !== "acknowledged")
        paintRing(context, point, point.mark === "in-flight" ? colour.inFlight : colour.refused);
    }
  }

  /** Joins neighbours that are both acknowledged. */
  #paintLine(context: CanvasRenderingContext2D, colour: string): void {
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = 2.5;
    context.lineCap = "round";
    context.beginPath();
    let last: Point | undefined;
    for (const point of this.#points) {
      if (point.mark === "acknowledged") {
        const joined = last?.mark === "acknowledged" && Math.hypot(point.x - last.x, point.y - last.y) < STEP_MAX;
        // A line of no length with round ends is a dot.
        context.moveTo(joined && last ? last.x : point.x, joined && last ? last.y : point.y);
        context.lineTo(point.x, point.y);
      }
      last = point;
    }
    context.stroke();
  }

  #colours(): { acknowledged: string; inFlight: string; refused: string } {
    return {
      acknowledged: this.#colour("--acknowledged"),
      inFlight: this.#colour("--in-flight"),
      refused: this.#colour("--refused"),
    };
  }

  /** A custom property's value is its text, so `light-dark()` must be resolved through a real property. */
  #colour(property: string): string {
    this.#canvas.style.color = `var(${property})`;
    const { color } = getComputedStyle(this.#canvas);
    this.#canvas.style.color = "";
    return color;
  }
}

function paintRing(context: CanvasRenderingContext2D, { x, y }: Point, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  context.arc(x, y, 4, 0, 2 * Math.PI);
  context.stroke();
}
