// A picture of a drawing and what became of it. This device makes it, when somebody saves or shares it.
import { type Stroke, drawOn } from "./pad";
import { button, download, make, next } from "./page";
import { Refusal } from "./refusal";

const SIDE = 1080; // pixels
const MARGIN = 60;
const PAD = 600; // pixels of the drawing on a side
const FONTS = ["bold 110px", "36px", "26px"]; // of the lines
const WORDS = "A picture shows your drawing, this result and the transaction. It is made on this device when you ask for it.";

/** The button that saves a picture of strokes with three lines below it, and one that shares it. */
export function picture(strokes: Stroke[], lines: [string, string, string]): HTMLElement {
  const file = async () => new File([await drawn(strokes, lines)], "verdict.png", { type: "image/png" });
  const save = button("Save a picture", async () => download(await file()));
  const share = button("Share a picture", async () => shared(await file()));
  const sharing = navigator.canShare?.({ files: [new File([], "verdict.png", { type: "image/png" })] });
  return make(
    "div",
    {},
    make("p", { class: "small" }, WORDS),
    ...(sharing ? [next(share), save] : [next(save)]),
  );
}

async function shared(file: File): Promise<void> {
  await navigator.share({ files: [file] }).catch((error) => {
    if (error.name !== "AbortError") throw new Refusal("This device did not share the picture: save it instead.");
  });
}

async function drawn(strokes: Stroke[], lines: string[]): Promise<Blob> {
  const canvas = make("canvas", { width: `${SIDE}`, height: `${SIDE}` });
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.body);
  context.fillStyle = style.getPropertyValue("--paper");
  context.fillRect(0, 0, SIDE, SIDE);
  context.save();
  context.translate((SIDE - PAD) / 2, MARGIN);
  drawOn(context, PAD, strokes);
  context.restore();
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = 2;
  context.strokeRect((SIDE - PAD) / 2, MARGIN, PAD, PAD);
  context.textAlign = "center";
  context.fillStyle = style.getPropertyValue("--ink");
  lines.forEach((line, at) => {
    context.font = `${FONTS[at]} system-ui, sans-serif`;
    context.fillText(line, SIDE / 2, 810 + 90 * at, SIDE - 2 * MARGIN);
  });
  return new Promise((made) => canvas.toBlob((blob) => made(blob!), "image/png"));
}
