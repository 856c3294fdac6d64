// A contribution to the key of a circuit, as zk/groth16/ceremony.py makes it.
import { bn254 } from "@noble/curves/bn254";
import { sha256, sha512 } from "@noble/hashes/sha2";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils";
import { type Point1, type Point2, WORD, random, readerOf } from "./groth16";
import { FIELD } from "./r1cs";
import { Refusal } from "./refusal";

type Contribution = { name: string; delta1: string; delta2: string; commitment: string; response: string; beacon: string | null };
type Ceremony = { circuit: string; constraints: string; powers: string; contributions: Contribution[]; key: Uint8Array };
/** The new file of a ceremony. */
export type Contributed = { circuit: string; names: string[]; text: string };

const NAME = /^[\p{L}\p{N}_ .,'@+-]{1,60}$/u;
const [SIZE1, SIZE2] = [2 * WORD, 4 * WORD]; // bytes of a point
const SHARE = 250; // points between two words about the progress
const OTHER = "This is not the file of a ceremony: open the one that the participant before you sent.";

/** Adds a contribution to the file of a ceremony. Its secret is drawn here, and forgotten. */
export function contributed(text: string, name: string, say: (step: string) => void): Contributed {
  if (!NAME.test(name)) throw new Refusal(`“${name}” is no name: give up to 60 letters, digits or spaces.`);
  const held = ceremonyOf(text);
  if (held.contributions.some(({ beacon }) => beacon !== null)) throw new Refusal("The ceremony is over: its beacon was drawn.");
  const { key: bytes, ...about } = held;
  const secret = drawn();
  const { before, delta1, delta2 } = multiplied(bytes, secret, say);
  const nonce = drawn();
  const commitment = written(before.multiply(nonce));
  const transcript = bytesToHex(sha256(utf8ToBytes(asPython(about))));
  const hash = sha512(concatBytes(utf8ToBytes(transcript + name), delta1, delta2, commitment));
  const response = (nonce + (BigInt(`0x${bytesToHex(hash)}`) % FIELD) * secret) % FIELD;
  const mine: Contribution = {
    name,
    delta1: bytesToHex(delta1),
    delta2: bytesToHex(delta2),
    commitment: bytesToHex(commitment),
    response: response.toString(16).padStart(64, "0"),
    beacon: null,
  };
  const contributions = [...held.contributions, mine];
  return {
    circuit: held.circuit,
    names: contributions.map((one) => one.name),
    text: JSON.stringify({ ...about, contributions, key: base64(bytes) }),
  };
}

/** Reads the file of a ceremony. Everything that the transcript hashes has the form in which Python writes it. */
function ceremonyOf(text: string): Ceremony {
  const hex = (bytes: number) => new RegExp(`^[0-9a-f]{${2 * bytes}}$`);
  const good = (value: unknown, form: RegExp): boolean => typeof value === "string" && form.test(value);
  try {
    const { circuit, constraints, powers, contributions, key } = JSON.parse(text);
    const whole = good(circuit, /^[a-z0-9_-]+$/) && good(constraints, hex(32)) && good(powers, hex(32));
    const each = (contributions as Contribution[]).map(({ name, delta1, delta2, commitment, response, beacon }) => {
      const made = beacon === null ? good(commitment, hex(SIZE1)) : good(beacon, /^/) && commitment === "";
      const fits = good(name, NAME) && good(delta1, hex(SIZE1)) && good(delta2, hex(SIZE2)) && good(response, hex(32));
      if (!made || !fits) throw new Error(`a contribution of ${name}`);
      return { name, delta1, delta2, commitment, response, beacon };
    });
    if (whole) return { circuit, constraints, powers, contributions: each, key: Uint8Array.from(atob(key), (one) => one.charCodeAt(0)) };
  } catch {
    // refused below
  }
  throw new Refusal(OTHER);
}

/** Multiplies delta in a key by a secret, and divides the points that delta divides. Returns the old delta and the new. */
function multiplied(bytes: Uint8Array, secret: bigint, say: (step: string) => void) {
  const { first, divided, count, second } = partsOf(bytes);
  const [delta1, delta2] = [first + 2 * SIZE1, second + SIZE2];
  const read = readerOf(bytes);
  const zero = (at: number, size: number) => bytes.subarray(at, at + size).every((byte) => byte === 0);
  if (zero(delta1, SIZE1) || zero(delta2, SIZE2)) throw new Refusal(OTHER);
  const [before, before2] = [valid(() => read.first(delta1)), valid(() => read.second(delta2))];
  const inverse = bn254.fields.Fr.inv(secret);
  bytes.set(written(before.multiply(secret)), delta1);
  bytes.set(written(before2.multiply(secret)), delta2);
  for (let at = 0; at < count; at += SHARE) {
    say(`${at} of ${count} points…`);
    const places = Array.from({ length: Math.min(SHARE, count - at) }, (_, place) => divided + (at + place) * SIZE1);
    const found = places.map((place) => valid(() => read.first(place)).multiply(inverse));
    bn254.G1.ProjectivePoint.normalizeZ(found).forEach((point, place) => bytes.set(written(point), places[place]!));
  }
  return { before, delta1: bytes.slice(delta1, delta1 + SIZE1), delta2: bytes.slice(delta2, delta2 + SIZE2) };
}

/** The places of the points in a key: the first of G1, those that delta divides, and the first of G2. */
function partsOf(bytes: Uint8Array) {
  try {
    const length = new DataView(bytes.buffer).getUint32(0);
    const { logrows, instances, private: own, a, b } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const first = 4 + length;
    const divided = first + (3 + instances + a.length + b.length) * SIZE1;
    const count = own + 2 ** logrows - 1;
    const second = divided + count * SIZE1;
    const whole = [logrows, instances, own].every((one) => Number.isInteger(one) && one > 0);
    if (whole && bytes.length === second + (2 + b.length) * SIZE2) return { first, divided, count, second };
  } catch {
    // refused below
  }
  throw new Refusal(OTHER);
}

/** A point of its group. A point of another curve would give the secret away. */
function valid<P extends Point1 | Point2>(read: () => P): P {
  try {
    const point = read();
    point.assertValidity();
    return point;
  } catch {
    throw new Refusal("The key in this file has points outside BN254: ask for the file again.");
  }
}

/** The coordinates of a point. */
function written(point: Point1 | Point2): Uint8Array {
  const { x, y } = point.toAffine() as { x: bigint | { c0: bigint; c1: bigint }; y: bigint | { c0: bigint; c1: bigint } };
  const words = [x, y].flatMap((one) => (typeof one === "bigint" ? [one] : [one.c0, one.c1]));
  return hexToBytes(words.map((one) => one.toString(16).padStart(2 * WORD, "0")).join(""));
}

/** JSON as Python's `json.dumps(value, sort_keys=True)` writes it. */
function asPython(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(asPython).join(", ")}]`;
  if (value === null || typeof value !== "object")
    return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${asPython(name)}: ${asPython((value as Record<string, unknown>)[name])}`).join(", ")}}`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2 ** 12) text += String.fromCharCode(...bytes.subarray(at, at + 2 ** 12));
  return btoa(text);
}

/** A random field element other than 0. */
const drawn = (): bigint => random() || drawn();
