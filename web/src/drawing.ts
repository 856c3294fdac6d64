// The model's input of a drawing, as models/data/drawing.py makes it: the same numbers, bit for bit.
import { roundEven } from "./phrase";
import { Refusal } from "./refusal";

export const SIDE = 28;
const BOX = 20; // pixels of a digit's longer side
const MOST_INK = 0.5; // of a drawing
type Grid = { height: number; width: number; values: Float32Array };

/** A drawing of 28 by 28 pixels, row by row as 0 and 1, with its longer side at 20 and its mass in the middle. */
export function normalised(drawn: string): Uint8Array {
  const pixels = light(Float32Array.from(drawn, Number));
  const ink = pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
  if (ink === 0) throw new Refusal("The drawing is empty: draw one digit with clear strokes.");
  if (ink > MOST_INK) throw new Refusal("The drawing has ink on more than half of its pixels: draw one digit with thinner strokes.");
  const strokes = fitted(fitted({ height: SIDE, width: SIDE, values: pixels }));
  const top = start(strokes, (at) => Math.floor(at / strokes.width), strokes.height);
  const left = start(strokes, (at) => at % strokes.width, strokes.width);
  const drawing = new Uint8Array(SIDE * SIDE);
  strokes.values.forEach((on, at) => {
    const row = top + Math.floor(at / strokes.width);
    drawing[row * SIDE + left + (at % strokes.width)] = on;
  });
  return drawing;
}

/** The sums of the blocks of 2 by 2 pixels of a normalised drawing, without those of the border. */
export function middleSums(drawing: Uint8Array): number[] {
  const sums: number[] = [];
  for (let row = 2; row < SIDE - 2; row += 2)
    for (let column = 2; column < SIDE - 2; column += 2) {
      const at = row * SIDE + column;
      sums.push(drawing[at]! + drawing[at + 1]! + drawing[at + SIDE]! + drawing[at + SIDE + 1]!);
    }
  return sums;
}

/** The pixels with light strokes on dark. */
function light(pixels: Float32Array): Float32Array {
  const line = Array.from({ length: SIDE }, (_, at) => at);
  const edge = line.flatMap((at) => [at, at + SIDE * (SIDE - 1), at * SIDE, at * SIDE + SIDE - 1]);
  const mean = edge.reduce((sum, at) => sum + pixels[at]!, 0) / edge.length;
  return mean > 0.5 ? pixels.map((value) => 1 - value) : pixels;
}

/** Cuts out the strokes, scales the longer side to 20 pixels, and rounds pixels to 0 or 1. */
function fitted({ height, width, values }: Grid): Grid {
  const rows: number[] = [];
  const columns: number[] = [];
  values.forEach((value, at) => {
    if (value <= 0.5) return;
    rows.push(Math.floor(at / width));
    columns.push(at % width);
  });
  const [top, bottom] = [Math.min(...rows), Math.max(...rows)];
  const [left, right] = [Math.min(...columns), Math.max(...columns)];
  let box: Grid = { height: bottom - top + 1, width: right - left + 1, values: new Float32Array() };
  box.values = Float32Array.from({ length: box.height * box.width }, (_, at) =>
    values[(top + Math.floor(at / box.width)) * width + left + (at % box.width)]!,
  );
  const longer = Math.max(box.height, box.width);
  const scaled = (side: number) => Math.max(roundEven((side * BOX) / longer), 1);
  box = resized(box, scaled(box.height), scaled(box.width));
  const threshold = Math.min(Math.max(...box.values), 1) / 2; // thin strokes turn grey
  return { ...box, values: box.values.map((value) => (value > threshold ? 1 : 0)) };
}

/** Resizes as Pillow does: a bicubic filter along the rows, then along the columns. */
function resized(grid: Grid, height: number, width: number): Grid {
  const across = width === grid.width ? grid : transposed(filtered(transposed(grid), width));
  return height === across.height ? across : filtered(across, height);
}

const transposed = ({ height, width, values }: Grid): Grid => ({
  height: width,
  width: height,
  values: values.map((_, at) => values[(at % height) * width + Math.floor(at / height)]!),
});

/** Filters each column to another height. */
function filtered({ height, width, values }: Grid, wanted: number): Grid {
  const scale = height / wanted;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const found = new Float32Array(wanted * width);
  for (let row = 0; row < wanted; row++) {
    const centre = (row + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), height);
    const weights = Array.from({ length: end - first }, (_, at) => bicubic((at + first - centre + 0.5) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let column = 0; column < width; column++) {
      const sum = weights.reduce((all, weight, at) => all + values[(first + at) * width + column]! * (weight / total), 0);
      found[row * width + column] = sum;
    }
  }
  return { height: wanted, width, values: found };
}

function bicubic(distance: number): number {
  const [a, x] = [-0.5, Math.abs(distance)];
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** The place of the strokes at which their centre of mass is in the middle. */
function start(strokes: Grid, coordinate: (at: number) => number, size: number): number {
  let [sum, count] = [0, 0];
  strokes.values.forEach((on, at) => {
    sum += on * coordinate(at);
    count += on;
  });
  return Math.min(Math.max(roundEven((SIDE - 1) / 2 - sum / count), 0), SIDE - size);
}
