// What the tests call of the page's modules, in Node: see tests/circuits/test_page_modules.py.
import { contributed } from "../web/src/contribution";
import { middleSums, normalised } from "../web/src/drawing";
import { type VerificationKey, prove, provingKeyOf, verify } from "../web/src/groth16";
import { phrase } from "../web/src/phrase";
import { holds, systemOf, witness } from "../web/src/r1cs";

const bytes = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;

/** The normalised drawings, and the model's inputs. */
export const drawings = (drawn: string[]) =>
  drawn.map((one) => {
    const normal = normalised(one);
    return [normal.join(""), middleSums(normal)];
  });

/** The model's inputs of recordings: mono samples at 22,050 Hz, as float32 in base64. */
export const phrases = (recorded: string[]) => recorded.map((one) => phrase(new Float32Array(bytes(one))).x);

/** The wires of each input, and whether the constraints hold. */
export async function witnesses(system: string, key: string, inputs: number[][]) {
  const read = await systemOf(bytes(system));
  return inputs.map((x) => {
    const wires = witness(read, BigInt(key), x);
    return [wires.map(String), holds(read, wires)];
  });
}

export async function proof(system: string, pk: string, key: string, x: number[]) {
  const read = await systemOf(bytes(system));
  return prove(provingKeyOf(bytes(pk)), read, witness(read, BigInt(key), x));
}

export const valid = (key: VerificationKey, tried: [string, string[]][]) =>
  tried.map(([proof, instances]) => verify(key, proof, instances.map(BigInt)));

/** The files of ceremonies after a contribution to each, or the sentence that refuses it. */
export const contributions = (tried: [string, string][]) =>
  tried.map(([text, name]) => {
    try {
      return contributed(text, name, () => {}).text;
    } catch (error) {
      return String(error);
    }
  });
