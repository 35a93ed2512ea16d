/** A movement of the page's visitor over the canvas; CSS pixels, whole numbers. */
export interface Move {
  readonly x: number;
  readonly y: number;
  readonly by: "mouse" | "touch" | "pen" | "keyboard" | "itself";
  readonly pressed: boolean;
}

const KEY_STEP = 12;
const KEYS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-KEY_STEP, 0],
  ArrowRight: [KEY_STEP, 0],
  ArrowUp: [0, -KEY_STEP],
  ArrowDown: [0, KEY_STEP],
};

/** Calls `moved` for every movement on `canvas`, by pointer, finger, pen or arrow keys. */
export function watchPointer(canvas: HTMLCanvasElement, moved: (move: Move) => void): void {
  let x: number | null = null;
  let y: number | null = null;
  const go = (toX: number, toY: number, by: Move["by"], pressed: boolean) => {
    x = Math.min(Math.max(Math.round(toX), 0), canvas.clientWidth);
    y = Math.min(Math.max(Math.round(toY), 0), canvas.clientHeight);
    moved({ x, y, by, pressed });
  };
  const byPointer = (event: PointerEvent) =>
    go(event.offsetX, event.offsetY, kind(event.pointerType), event.buttons !== 0);
  canvas.addEventListener("pointermove", byPointer);
  canvas.addEventListener("pointerdown", byPointer);
  canvas.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go((x ?? canvas.clientWidth / 2) + step[0], (y ?? canvas.clientHeight / 2) + step[1], "keyboard", false);
  });
}

function kind(pointerType: string): Move["by"] {
  return pointerType === "touch" || pointerType === "pen" ? pointerType : "mouse";
}

const STEPS_A_SECOND = 60;

/** Moves along a Lissajous figure, 60 steps a second, until the returned function is called. */
export function drawFigure(canvas: HTMLCanvasElement, moved: (move: Move) => void): () => void {
  let step = 0;
  const timer = setInterval(() => {
    step += 1;
    const angle = step / STEPS_A_SECOND;
    const x = 0.5 + 0.42 * Math.sin(3 * angle);
    const y = 0.5 + 0.38 * Math.sin(2 * angle + 1);
    moved({
      x: Math.round(x * canvas.clientWidth),
      y: Math.round(y * canvas.clientHeight),
      by: "itself",
      pressed: false,
    });
  }, 1000 / STEPS_A_SECOND);
  return () => clearInterval(timer);
}
