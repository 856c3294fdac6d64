// The worker that answers, proves and verifies on this device. It checks the hash of each file that it fetches.
import { sha256 } from "@noble/hashes/sha2";
import { bytesToHex } from "@noble/hashes/utils";
import { type ProvingKey, prove, provingKeyOf, verify } from "./groth16";
import { Refusal } from "./refusal";
import { type System, holds, systemOf, witness } from "./r1cs";

/** The address of a circuit's files, and the hash of each. */
export type Files = { address: string; sha256: Record<string, string> };
export type Task =
  | { kind: "answer"; x: number[] }
  | { kind: "prove"; x: number[]; key: bigint }
  | { kind: "verify"; proof: string; instances: bigint[] };
export type Order = { number: number; files: Files; task: Task };
export type Answer = { number: number } & ({ step: string } | { result: unknown } | { refusal: string } | { error: string });

const kept = new Map<string, Promise<ArrayBuffer>>(); // by hash
const systems = new Map<string, Promise<System>>();
const keys = new Map<string, Promise<ProvingKey>>();

self.addEventListener("message", async ({ data: { number, files, task } }: MessageEvent<Order>) => {
  const tell = (answer: object) => self.postMessage({ number, ...answer });
  try {
    tell({ result: await done(files, task, (step) => tell({ step })) });
  } catch (error) {
    tell(error instanceof Refusal ? { refusal: error.message } : { error: String(error) });
  }
});

async function done(files: Files, task: Task, say: (step: string) => void): Promise<unknown> {
  if (task.kind === "verify") {
    const key = JSON.parse(new TextDecoder().decode(await fetched(files, "vk")));
    return verify(key, task.proof, task.instances);
  }
  const system = await once(systems, files.sha256.constraints!, async () => systemOf(await fetched(files, "constraints")));
  const wires = witness(system, task.kind === "prove" ? task.key : 0n, task.x);
  if (!holds(system, wires)) throw new Refusal("The model's answer is outside the circuit's range: change the input.");
  const instances = wires.slice(1, system.outputs + 2);
  if (task.kind === "answer") return { instances };
  say("Fetching the proving key, once…");
  const key = await once(keys, files.sha256.pk!, async () => provingKeyOf(await fetched(files, "pk")));
  say("Proving on this device…");
  return { instances, proof: prove(key, system, wires) };
}

/** A file of the circuit, which the browser keeps until its content changes. */
function fetched({ address, sha256: hashes }: Files, label: string): Promise<ArrayBuffer> {
  const expected = hashes[label]!;
  return once(kept, expected, async () => {
    for (const cache of ["force-cache", "reload"] as const) {
      const answer = await fetch(`${address}/${label}`, { cache }).catch(() => null);
      if (!answer?.ok) throw new Refusal(`The hub does not give the file ${label} of this circuit: try again.`);
      const content = await answer.arrayBuffer();
      if (bytesToHex(sha256(new Uint8Array(content))) === expected) return content;
    }
    throw new Refusal(`The file ${label} of this circuit has not the hash ${expected}: reload this page.`);
  });
}

/** What was made before, unless that failed. */
function once<T>(made: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const found = made.get(name) ?? make();
  made.set(name, found);
  found.catch(() => made.delete(name));
  return found;
}
