// The input of a model, from a file or a form.
import { fileField, make } from "./page";
import { Refusal } from "./refusal";

const MOST_FIELDS = 24; // of a form

/** A form with a field for each feature, if there are few, and a field for a file. */
export function numbersField(features: string[], size: number, given: (x: number[]) => Promise<void>): HTMLElement {
  const file = fileField("numbers", "Drop an .npy file, a list in JSON or one row of CSV here ", ".npy,.json,.csv", async (chosen) => {
    const x = await numbersOf(chosen);
    if (x.length !== size) throw new Refusal(`The model takes ${size} numbers, and ${chosen.name} has ${x.length}.`);
    await given(x);
  });
  if (features.length === 0 || features.length > MOST_FIELDS) return file;
  const fields = features.map((name) => make("input", { type: "number", step: "any", required: true, "aria-label": name }));
  const form = make("form", { class: "numbers" }, ...features.map((name, at) => make("label", {}, name, fields[at]!)));
  const ready = () => {
    if (form.checkValidity()) void given(fields.map(({ valueAsNumber }) => valueAsNumber));
  };
  form.addEventListener("input", ready);
  form.addEventListener("submit", (event) => event.preventDefault());
  return make("div", {}, form, file);
}

async function numbersOf(file: File): Promise<number[]> {
  try {
    const numbers = file.name.endsWith(".npy") ? fromNpy(await file.arrayBuffer()) : fromText(file.name, await file.text());
    if (numbers.length > 0 && numbers.every(Number.isFinite)) return numbers;
  } catch {
    // refused below
  }
  throw new Refusal(`${file.name} should hold finite numbers: an .npy array, a list in JSON, or one row of CSV.`);
}

function fromText(name: string, text: string): number[] {
  if (name.endsWith(".json")) return (JSON.parse(text) as unknown[]).flat(Infinity) as number[];
  const row = text.replace("\ufeff", "").trim();
  if (row.includes("\n")) return [];
  const cells = row.includes(";") ? row.replaceAll(",", ".").split(";") : row.split(",");
  return cells.map((cell) => (cell.trim() === "" ? NaN : Number(cell)));
}

/** The numbers of a NumPy file: a header in ASCII, then the array. */
function fromNpy(content: ArrayBuffer): number[] {
  const view = new DataView(content);
  const start = view.getUint8(6) === 1 ? 10 : 12;
  const end = start + (start === 10 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = new TextDecoder("latin1").decode(content.slice(start, end));
  const type = /'descr': '([<|][fiub]\d)'.*'fortran_order': False/.exec(header)?.[1] ?? "";
  const read: Record<string, (at: number) => number> = {
    "<f4": (at) => view.getFloat32(at, true),
    "<f8": (at) => view.getFloat64(at, true),
    "<i4": (at) => view.getInt32(at, true),
    "<i8": (at) => Number(view.getBigInt64(at, true)),
    "|u1": (at) => view.getUint8(at),
    "|b1": (at) => view.getUint8(at),
  };
  const size = Number(type.at(-1));
  return Array.from({ length: (content.byteLength - end) / size }, (_, place) => read[type]!(end + place * size));
}
