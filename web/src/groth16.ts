// Groth16 over BN254: proofs and their verification, with the keys of zk/groth16/keys.py.
import { pippenger } from "@noble/curves/abstract/curve";
import { bn254 } from "@noble/curves/bn254";
import { FIELD, type System, reduced, total } from "./r1cs";

const G1 = bn254.G1.ProjectivePoint;
const G2 = bn254.G2.ProjectivePoint;
export type Point1 = typeof G1.BASE;
export type Point2 = typeof G2.BASE;
export const WORD = 32; // bytes of a coordinate
const GENERATOR = 5n; // of the field: its coset of the roots of unity avoids the zeros of the divisor

/** Points for the wires that need them. */
type Points<P> = { wires: number[]; points: P[] };
export type ProvingKey = {
  logrows: number;
  alpha: Point1;
  beta1: Point1;
  delta1: Point1;
  beta2: Point2;
  delta2: Point2;
  a: Points<Point1>;
  b1: Points<Point1>;
  b2: Points<Point2>;
  private: Point1[]; // of each wire that is not public
  quotient: Point1[];
};

/** Reads a proving key: wires as JSON, then the coordinates of all points. */
export function provingKeyOf(content: ArrayBuffer): ProvingKey {
  const bytes = new Uint8Array(content);
  const length = new DataView(content).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const read = readerOf(bytes);
  let at = 4 + length;
  const first = () => read.first((at += 2 * WORD) - 2 * WORD);
  const second = () => read.second((at += 4 * WORD) - 4 * WORD);
  const many = <P>(count: number, read: () => P): P[] => Array.from({ length: count }, read);
  const [alpha, beta1, delta1] = [first(), first(), first()];
  many(header.instances, first); // for verifying only
  const a = { wires: header.a, points: many(header.a.length, first) };
  const b1 = { wires: header.b, points: many(header.b.length, first) };
  const own = many(header.private, first);
  const quotient = many(2 ** header.logrows - 1, first);
  const [beta2, delta2] = [second(), second()];
  const b2 = { wires: header.b, points: many(header.b.length, second) };
  return { logrows: header.logrows, alpha, beta1, delta1, beta2, delta2, a, b1, b2, private: own, quotient };
}

/** Reads the point of G1 or of G2 at a place: its coordinates, which are 0 at infinity. */
export function readerOf(bytes: Uint8Array) {
  const word = (at: number): bigint => {
    let hex = "0x";
    for (const byte of bytes.subarray(at, at + WORD)) hex += byte.toString(16).padStart(2, "0");
    return BigInt(hex);
  };
  const first = (at: number): Point1 => {
    const [x, y] = [word(at), word(at + WORD)];
    return x || y ? G1.fromAffine({ x, y }) : G1.ZERO;
  };
  const second = (at: number): Point2 => {
    const [x0, x1, y0, y1] = [word(at), word(at + WORD), word(at + 2 * WORD), word(at + 3 * WORD)];
    return x0 || x1 || y0 || y1 ? G2.fromAffine({ x: { c0: x0, c1: x1 }, y: { c0: y0, c1: y1 } }) : G2.ZERO;
  };
  return { first, second };
}

/** A proof of a witness, as the EVM takes it: 256 bytes in hexadecimal. */
export function prove(key: ProvingKey, system: System, witness: bigint[]): `0x${string}` {
  const [r, s] = [random(), random()];
  const a = key.alpha.add(chosen(key.a, witness, G1)).add(times(key.delta1, r));
  const b1 = key.beta1.add(chosen(key.b1, witness, G1)).add(times(key.delta1, s));
  const b2 = key.beta2.add(chosen(key.b2, witness, G2)).add(times(key.delta2, s));
  const own = { wires: key.private.map((_, place) => place + system.outputs + 2), points: key.private };
  const c = chosen(own, witness, G1)
    .add(weighted(key.quotient, quotient(key.logrows, system, witness), G1))
    .add(times(a, s))
    .add(times(b1, r))
    .add(times(key.delta1, reduced(-r * s)));
  const { x, y } = b2.toAffine();
  const words = [...plain(a), x.c1, x.c0, y.c1, y.c0, ...plain(c)];
  return `0x${words.map((one) => one.toString(16).padStart(2 * WORD, "0")).join("")}`;
}

/** A verification key, as snarkjs writes it. */
export type VerificationKey = { vk_alpha_1: string[]; vk_beta_2: string[][]; vk_delta_2: string[][]; IC: string[][] };

/** Whether a proof is valid for its instances. */
export function verify(key: VerificationKey, proof: string, instances: bigint[]): boolean {
  if (!/^0x[0-9a-f]{512}$/.test(proof) || instances.length !== key.IC.length - 1) return false;
  if (instances.some((instance) => instance < 0n || instance >= FIELD)) return false;
  const words = Array.from({ length: 8 }, (_, at) => BigInt(`0x${proof.slice(2 + 64 * at, 66 + 64 * at)}`));
  try {
    const a = G1.fromAffine({ x: words[0]!, y: words[1]! });
    const b = G2.fromAffine({ x: { c0: words[3]!, c1: words[2]! }, y: { c0: words[5]!, c1: words[4]! } });
    const c = G1.fromAffine({ x: words[6]!, y: words[7]! });
    const shown = weighted(key.IC.map(firstOf), [1n, ...instances], G1);
    const product = bn254.pairingBatch([ // it refuses points outside their groups
      { g1: a.negate(), g2: b },
      { g1: firstOf(key.vk_alpha_1), g2: secondOf(key.vk_beta_2) },
      { g1: shown, g2: G2.BASE },
      { g1: c, g2: secondOf(key.vk_delta_2) },
    ]);
    return bn254.fields.Fp12.eql(product, bn254.fields.Fp12.ONE);
  } catch {
    return false; // not made of points
  }
}

const firstOf = ([x, y]: string[]): Point1 => G1.fromAffine({ x: BigInt(x!), y: BigInt(y!) });
const secondOf = ([x, y]: string[][]): Point2 =>
  G2.fromAffine({ x: { c0: BigInt(x![0]!), c1: BigInt(x![1]!) }, y: { c0: BigInt(y![0]!), c1: BigInt(y![1]!) } });

/** The coefficients of the quotient of the constraints' polynomial and the one that is 0 on all rows. */
function quotient(logrows: number, system: System, witness: bigint[]): bigint[] {
  const rows = 2 ** logrows;
  const root = power(GENERATOR, (FIELD - 1n) / BigInt(rows));
  const shift = powers(GENERATOR, rows);
  const sides = [0, 1, 2].map((side) => system.constraints.map((three) => reduced(total(three[side]!, witness))));
  sides[0]!.push(...witness.slice(0, system.outputs + 2));
  const [a, b, c] = sides.map((values) => {
    const whole = [...values, ...new Array<bigint>(rows - values.length).fill(0n)];
    const coefficients = inverse(whole, root);
    return transformed(coefficients.map((one, place) => (one * shift[place]!) % FIELD), root);
  }) as [bigint[], bigint[], bigint[]];
  const divisor = inverted(power(GENERATOR, BigInt(rows)) - 1n);
  const values = a.map((one, place) => reduced((one * b[place]! - c[place]!) * divisor));
  const back = powers(inverted(GENERATOR), rows);
  return inverse(values, root).map((one, place) => (one * back[place]!) % FIELD).slice(0, -1);
}

/** The values of a polynomial at the powers of a root of unity. */
function transformed(coefficients: bigint[], root: bigint): bigint[] {
  const size = coefficients.length;
  if (size === 1) return coefficients;
  const square = (root * root) % FIELD;
  const even = transformed(coefficients.filter((_, place) => place % 2 === 0), square);
  const odd = transformed(coefficients.filter((_, place) => place % 2 === 1), square);
  const found = new Array<bigint>(size);
  let factor = 1n;
  for (let place = 0; place < size / 2; place++) {
    const turned = (factor * odd[place]!) % FIELD;
    found[place] = even[place]! + turned;
    if (found[place]! >= FIELD) found[place]! -= FIELD;
    found[place + size / 2] = even[place]! - turned;
    if (found[place + size / 2]! < 0n) found[place + size / 2]! += FIELD;
    factor = (factor * root) % FIELD;
  }
  return found;
}

function inverse(values: bigint[], root: bigint): bigint[] {
  const share = inverted(BigInt(values.length));
  return transformed(values, inverted(root)).map((one) => (one * share) % FIELD);
}

type Group<P> = { ZERO: P };

/** Adds points times their wires. Most wires are 0 or 1, for which no multiplication is needed. */
function chosen<P extends Point1 | Point2>({ wires, points }: Points<P>, witness: bigint[], group: Group<P>): P {
  let sum = group.ZERO as any;
  const [rest, factors]: [P[], bigint[]] = [[], []];
  points.forEach((point, place) => {
    const value = witness[wires[place]!]!;
    if (value === 1n) sum = sum.add(point as any);
    else if (value) {
      rest.push(point);
      factors.push(value);
    }
  });
  return rest.length ? sum.add(weighted(rest, factors, group)) : sum;
}

function weighted<P>(points: P[], factors: bigint[], group: Group<P>): P {
  const used = points.flatMap((point, place) => (factors[place] ? [[point, factors[place]!] as const] : []));
  if (!used.length) return group.ZERO;
  return pippenger(group as any, bn254.fields.Fr, used.map(([point]) => point) as any, used.map(([, factor]) => factor)) as any;
}

const times = <P extends Point1 | Point2>(point: P, factor: bigint): P => (factor ? point.multiply(factor) : point.subtract(point as any)) as P;

function plain(point: Point1): [bigint, bigint] {
  const { x, y } = point.toAffine();
  return [x, y];
}

/** A random field element. */
export function random(): bigint {
  for (;;) {
    const bytes = crypto.getRandomValues(new Uint8Array(WORD));
    bytes[0]! &= 0x3f; // half of the numbers of 254 bits are field elements
    const number = bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
    if (number < FIELD) return number;
  }
}

function power(base: bigint, exponent: bigint): bigint {
  let [found, square] = [1n, base];
  for (let rest = exponent; rest; rest >>= 1n) {
    if (rest & 1n) found = (found * square) % FIELD;
    square = (square * square) % FIELD;
  }
  return found;
}

const inverted = (value: bigint): bigint => power(value, FIELD - 2n);

function powers(base: bigint, count: number): bigint[] {
  const found = [1n];
  while (found.length < count) found.push((found.at(-1)! * base) % FIELD);
  return found;
}
