// A drawing pad of 28 by 28 black or white pixels, and the drawing that the model sees.
import { make } from "./page";

const SIDE = 28;
const REACH = 1.3; // radius of the pen, in pixels

/** A pad. After each stroke, `changed` gets the drawing, row by row as 0 and 1. */
export function pad(changed: (drawn: string) => void) {
  const pixels = new Uint8Array(SIDE * SIDE);
  const size = { width: `${SIDE}`, height: `${SIDE}`, role: "img" };
  const canvas = make("canvas", {
    ...size,
    class: "pad",
    tabindex: "0",
    "aria-label": "Drawing pad. Arrow keys move the pen, space starts and stops drawing, Delete clears.",
  });
  const seen = make("canvas", { ...size, class: "seen", "aria-label": "Input of the model" });
  const before: Uint8Array[] = []; // each stroke
  let last: [number, number] | null = null;
  let pen: [number, number] = [14, 6]; // position of the pen for the keyboard
  let keyed = false;
  let normal = new Uint8Array(SIDE * SIDE);

  function paint(): void {
    const context = fill(canvas, pixels);
    if (keyed) {
      context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
      context.fillRect(pen[0], pen[1], 1, 1);
    }
  }

  function tell(): void {
    paint();
    changed(pixels.join(""));
  }

  function dot(x: number, y: number): void {
    for (let row = Math.max(0, Math.floor(y - REACH)); row <= Math.min(SIDE - 1, y + REACH); row++)
      for (let column = Math.max(0, Math.floor(x - REACH)); column <= Math.min(SIDE - 1, x + REACH); column++)
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= REACH) pixels[row * SIDE + column] = 1;
  }

  function stroke(event: PointerEvent): void {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * SIDE;
    const y = ((event.clientY - box.top) / box.height) * SIDE;
    const [fromX, fromY] = last ?? [x, y];
    const steps = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) * 2));
    for (let step = 0; step <= steps; step++)
      dot(fromX + ((x - fromX) * step) / steps, fromY + ((y - fromY) * step) / steps);
    last = [x, y];
  }

  canvas.addEventListener("pointerdown", (event) => {
    keyed = false;
    before.push(pixels.slice());
    canvas.setPointerCapture(event.pointerId);
    stroke(event);
    tell();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const each of parts.length ? parts : [event]) stroke(each);
    tell();
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => (last = null));

  const moves: Record<string, [number, number]> = {
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
  };
  let drawing = false;
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move && event.key !== " " && event.key !== "Delete") return;
    event.preventDefault();
    keyed = true;
    if (event.key === "Delete") return clear();
    if (event.key === " ") {
      if (!drawing) before.push(pixels.slice());
      drawing = !drawing;
    }
    if (move) {
      const inside = (at: number) => Math.min(SIDE - 1, Math.max(0, at));
      pen = [inside(pen[0] + move[0]), inside(pen[1] + move[1])];
    }
    if (drawing) dot(pen[0] + 0.5, pen[1] + 0.5);
    tell();
  });
  canvas.addEventListener("blur", () => {
    keyed = drawing = false;
    paint();
  });

  function clear(): void {
    before.push(pixels.slice());
    pixels.fill(0);
    tell();
  }

  /** Takes back the last stroke, or the clearing. */
  function undo(): void {
    pixels.set(before.pop() ?? pixels);
    tell();
  }

  requestAnimationFrame(paint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    paint();
    fill(seen, normal);
  });

  /** Shows the drawing that the model saw. */
  function show(drawn: string): void {
    normal = Uint8Array.from(drawn, Number);
    fill(seen, normal);
  }

  return { canvas, clear, undo, seen, show, pixels: () => pixels.join("") };
}

function fill(canvas: HTMLCanvasElement, pixels: Uint8Array): CanvasRenderingContext2D {
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.body);
  context.fillStyle = style.getPropertyValue("--paper");
  context.fillRect(0, 0, SIDE, SIDE);
  context.fillStyle = style.getPropertyValue("--ink");
  pixels.forEach((on, at) => on && context.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1));
  return context;
}
