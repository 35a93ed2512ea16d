/** Where the page's visitor is on the canvas, by pointer, finger or arrow keys; CSS pixels, whole numbers. */
export type Moved = (x: number, y: number) => void;

const KEY_STEP = 12;
const KEYS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-KEY_STEP, 0],
  ArrowRight: [KEY_STEP, 0],
  ArrowUp: [0, -KEY_STEP],
  ArrowDown: [0, KEY_STEP],
};

/** Calls `moved` for every movement on `canvas`. */
export function watchPointer(canvas: HTMLCanvasElement, moved: Moved): void {
  let x = canvas.clientWidth / 2;
  let y = canvas.clientHeight / 2;
  const go = (toX: number, toY: number) => {
    x = Math.min(Math.max(Math.round(toX), 0), canvas.clientWidth);
    y = Math.min(Math.max(Math.round(toY), 0), canvas.clientHeight);
    moved(x, y);
  };
  canvas.addEventListener("pointermove", (event) => go(event.offsetX, event.offsetY));
  canvas.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    go(x + step[0], y + step[1]);
  });
}

/** Moves along a Lissajous figure, 60 steps a second, until the returned function is called. */
export function drawFigure(canvas: HTMLCanvasElement, moved: Moved): () => void {
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    const angle = step / 60;
    const x = 0.5 + 0.42 * Math.sin(3 * angle);
    const y = 0.5 + 0.38 * Math.sin(2 * angle + 1);
    moved(Math.round(x * canvas.clientWidth), Math.round(y * canvas.clientHeight));
  }, 1000 / 60);
  return () => clearInterval(timer);
}
