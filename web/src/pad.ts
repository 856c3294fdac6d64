// A drawing pad: smooth strokes for people, 28 by 28 black or white pixels for the model, and what it sees of them.
import { make } from "./page";

const SIDE = 28;
const FINE = 24; // points of the canvas for each pixel
const REACH = 1.3; // radius of the pen, in pixels
type Point = [x: number, y: number]; // in pixels
export type Stroke = Point[];

/** A pad. After each stroke, `changed` gets the drawing, row by row as 0 and 1. */
export function pad(changed: (drawn: string) => void) {
  const canvas = make("canvas", {
    width: `${SIDE * FINE}`,
    height: `${SIDE * FINE}`,
    role: "img",
    class: "pad",
    tabindex: "0",
    "aria-label": "Drawing pad. Arrow keys move the pen, space starts and stops drawing, Delete clears.",
  });
  const seen = make("canvas", { width: `${SIDE}`, height: `${SIDE}`, role: "img", class: "seen", "aria-label": "Input of the model" });
  const before: Stroke[][] = []; // the strokes before each stroke and each clearing
  let strokes: Stroke[] = [];
  let pointer: number | null = null; // the one that draws
  let pen: Point = [14, 6]; // position of the pen for the keyboard
  let keyed = false;
  let normal = new Uint8Array(SIDE * SIDE);

  function paint(): void {
    const context = canvas.getContext("2d")!;
    drawOn(context, canvas.width, strokes);
    if (keyed) {
      context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
      context.fillRect(pen[0] * FINE, pen[1] * FINE, FINE, FINE);
    }
  }

  function tell(): void {
    paint();
    changed(pixelsOf(strokes));
  }

  function begin(point: Point): void {
    before.push(strokes);
    strokes = [...strokes, [point]];
  }

  function at({ clientX, clientY }: PointerEvent): Point {
    const box = canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SIDE, ((clientY - box.top) / box.height) * SIDE];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button) return; // a second finger, or another button of the mouse
    keyed = drawing = false;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    begin(at(event));
    tell();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1)!.push(...(parts.length ? parts : [event]).map(at));
    tell();
  });
  for (const end of ["pointerup", "pointercancel"] as const)
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });

  const moves: Record<string, Point> = {
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
  };
  const middle = (): Point => [pen[0] + 0.5, pen[1] + 0.5];
  let drawing = false; // with the keyboard
  canvas.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (pointer !== null || (!move && event.key !== " " && event.key !== "Delete")) return;
    event.preventDefault();
    keyed = true;
    if (event.key === "Delete") return clear();
    if (event.key === " ") {
      drawing = !drawing;
      if (drawing) begin(middle());
    }
    if (move) {
      const inside = (at: number) => Math.min(SIDE - 1, Math.max(0, at));
      pen = [inside(pen[0] + move[0]), inside(pen[1] + move[1])];
    }
    if (drawing && move) strokes.at(-1)!.push(middle());
    tell();
  });
  canvas.addEventListener("blur", () => {
    keyed = drawing = false;
    paint();
  });

  function restore(earlier: Stroke[]): void {
    strokes = earlier;
    pointer = null;
    drawing = false;
    tell();
  }

  function clear(): void {
    before.push(strokes);
    restore([]);
  }

  /** Takes back the last stroke, or the clearing. */
  const undo = (): void => restore(before.pop() ?? strokes);

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

  return { canvas, clear, undo, seen, show, pixels: () => pixelsOf(strokes), strokes: () => structuredClone(strokes) };
}

/** The curves of a stroke: each leads from the middle of two points to the next middle, and bends towards the point between. */
const curves = (stroke: Stroke): [from: Point, bend: Point, to: Point][] =>
  stroke.map((point, at) => [between(stroke[at - 1] ?? point, point), point, between(point, stroke[at + 1] ?? point)]);

const between = ([x, y]: Point, [otherX, otherY]: Point): Point => [(x + otherX) / 2, (y + otherY) / 2];

/** Draws strokes on paper, a square with sides of this length. */
export function drawOn(context: CanvasRenderingContext2D, length: number, strokes: Stroke[]): void {
  const style = getComputedStyle(document.body);
  context.save();
  context.scale(length / SIDE, length / SIDE);
  context.fillStyle = style.getPropertyValue("--paper");
  context.fillRect(0, 0, SIDE, SIDE);
  context.strokeStyle = style.getPropertyValue("--ink");
  context.lineWidth = 2 * REACH;
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  for (const stroke of strokes)
    for (const [at, [from, bend, to]] of curves(stroke).entries()) {
      if (at === 0) context.moveTo(from[0] - 0.001, from[1]); // a path without length has no dot
      context.quadraticCurveTo(...bend, ...to);
    }
  context.stroke();
  context.restore();
}

/** The pixels of strokes, row by row as 0 and 1: those whose middle the pen reaches. */
function pixelsOf(strokes: Stroke[]): string {
  const pixels = new Uint8Array(SIDE * SIDE);
  for (const [from, bend, to] of strokes.flatMap(curves)) {
    const length = distance(from, bend) + distance(bend, to);
    const steps = Math.max(1, Math.ceil(length * 2));
    for (let step = 0; step <= steps; step++) {
      const part = step / steps;
      const on = (place: 0 | 1) => (1 - part) ** 2 * from[place] + 2 * (1 - part) * part * bend[place] + part ** 2 * to[place];
      dot(pixels, [on(0), on(1)]);
    }
  }
  return pixels.join("");
}

function dot(pixels: Uint8Array, at: Point): void {
  const [x, y] = at;
  for (let row = Math.max(0, Math.floor(y - REACH)); row <= Math.min(SIDE - 1, y + REACH); row++)
    for (let column = Math.max(0, Math.floor(x - REACH)); column <= Math.min(SIDE - 1, x + REACH); column++)
      if (distance([column + 0.5, row + 0.5], at) <= REACH) pixels[row * SIDE + column] = 1;
}

const distance = ([x, y]: Point, [otherX, otherY]: Point): number => Math.hypot(x - otherX, y - otherY);

function fill(canvas: HTMLCanvasElement, pixels: Uint8Array): void {
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.body);
  context.fillStyle = style.getPropertyValue("--paper");
  context.fillRect(0, 0, SIDE, SIDE);
  context.fillStyle = style.getPropertyValue("--ink");
  pixels.forEach((on, at) => on && context.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1));
}
