// A system of rank-one constraints, as zk/r1cs/system.py writes it, and its witnesses.
export const FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

type Pairs = [wires: number[], factors: (number | bigint)[]];
type Rule = ["product", number] | ["bits", Pairs, number];
/** A sum of wires, each times a whole number. */
type Sum = { wires: number[]; factors: bigint[] };

export type System = {
  outputs: number; // public wires after the key
  inputs: number[][]; // the values of the bits of each input
  lowest: number; // of an input
  scale: number; // inputs are the model's times 2**scale
  wires: number;
  constraints: [Sum, Sum, Sum][];
  rules: (["product", number] | ["bits", Sum, number])[];
  results: Sum[]; // of the public outputs
};

/** Reads a system: JSON in gzip, with whole numbers of any size. */
export async function systemOf(content: ArrayBuffer): Promise<System> {
  const plain = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(plain).text();
  // JSON's numbers are exact up to 2**53: longer ones become strings first.
  const read = JSON.parse(text.replace(/-?\d{16,}/g, '"$&"'));
  return {
    ...read,
    constraints: read.constraints.map((three: Pairs[]) => three.map(sumOf)),
    rules: read.rules.map((rule: Rule) => (rule[0] === "bits" ? ["bits", sumOf(rule[1]), rule[2]] : rule)),
    results: read.results.map(sumOf),
  };
}

const sumOf = ([wires, factors]: Pairs): Sum => ({ wires, factors: factors.map(BigInt) });

/** The value of every wire, as a field element, for a key and the model's input. */
export function witness(system: System, key: bigint, x: number[]): bigint[] {
  const wires: bigint[] = [1n, key, ...new Array<bigint>(system.outputs).fill(0n)];
  numbers(system, x).forEach((number, place) => wires.push(...bits(number - system.lowest, system.inputs[place]!)));
  for (const rule of system.rules) {
    if (rule[0] === "product") {
      const [one, other] = system.constraints[rule[1]]!;
      wires.push(total(one, wires) * total(other, wires));
    } else {
      const number = total(rule[1], wires);
      for (let place = 0; place < rule[2]; place++) wires.push((number >> BigInt(place)) & 1n);
    }
  }
  system.results.forEach((result, place) => (wires[2 + place] = total(result, wires)));
  return wires.map(reduced);
}

/** Whether a witness satisfies every constraint. */
export const holds = (system: System, wires: bigint[]): boolean =>
  system.constraints.every(([one, other, result]) => reduced(total(one, wires) * total(other, wires) - total(result, wires)) === 0n);

export function total({ wires: places, factors }: Sum, wires: bigint[]): bigint {
  let sum = 0n;
  for (let at = 0; at < places.length; at++) sum += factors[at]! * wires[places[at]!]!;
  return sum;
}

export function reduced(value: bigint): bigint {
  const rest = value % FIELD;
  return rest < 0n ? rest + FIELD : rest;
}

function numbers({ inputs, lowest, scale }: System, x: number[]): number[] {
  const highest = lowest + inputs[0]!.reduce((sum, value) => sum + value, 0);
  const whole = x.map((value) => Math.round(value * 2 ** scale));
  const fits = whole.every((value, place) => value >= lowest && value <= highest && (scale > 0 || value === x[place]));
  if (!fits || x.length !== inputs.length) throw new Error(`The circuit takes ${inputs.length} numbers from ${lowest} to ${highest}.`);
  return whole;
}

/** The bits of a number whose sum it is: the highest first, as much as fits. */
function bits(number: number, values: number[]): bigint[] {
  const found: bigint[] = [];
  for (const value of values.toReversed()) {
    const on = number >= value;
    found.push(on ? 1n : 0n);
    if (on) number -= value;
  }
  return found.reverse();
}
