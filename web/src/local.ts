// Circuits whose proofs are made on this device: the input does not leave it.
import { type Hex, toHex } from "viem";
import type { Circuit, ProofFile } from "./hub";
import type { Answer, Files, Order, Task } from "./prover";
import { Refusal } from "./refusal";

export type Local = {
  /** The instances of an input, without a proof; that of the key is 0. */
  answer(x: number[]): Promise<ProofFile>;
  prove(key: bigint, x: number[], step: (words: string) => void): Promise<ProofFile>;
  /** Whether a proof is valid, by the key of the circuit. */
  verify(proof: ProofFile): Promise<boolean>;
};
type Waiting = { step: (words: string) => void; resolve: (result: any) => void; reject: (error: Error) => void };

let worker: Worker | null = null;
let orders = 0;
const waiting = new Map<number, Waiting>();

/** The prover of a circuit on this device; null if only the hub proves with it. */
export function localOf(circuit: Circuit): Local | null {
  if (circuit.manifest.run_args.prover !== "groth16") return null;
  const address = `${location.origin}/v1/circuits/${circuit.name}/files`;
  const files: Files = { address, sha256: circuit.files };
  const silent = () => {};
  const proofOf = ({ proof = "0x", instances }: { proof?: Hex; instances: bigint[] }): ProofFile => ({
    circuit: circuit.name,
    proof,
    instances: instances.map((one) => toHex(one, { size: 32 })),
  });
  return {
    answer: async (x) => proofOf(await ordered(files, { kind: "answer", x }, silent)),
    prove: async (key, x, step) => proofOf(await ordered(files, { kind: "prove", key, x }, step)),
    verify: ({ proof, instances }) => ordered(files, { kind: "verify", proof, instances: instances.map(BigInt) }, silent),
  };
}

function ordered(files: Files, task: Task, step: Waiting["step"]): Promise<any> {
  worker ??= started();
  const number = ++orders;
  return new Promise((resolve, reject) => {
    waiting.set(number, { step, resolve, reject });
    worker!.postMessage({ number, files, task } satisfies Order);
  });
}

/** The worker, which is fetched when it is first needed. */
function started(): Worker {
  const made = new Worker(new URL("./prover.ts", import.meta.url), { type: "module" });
  made.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
    const order = waiting.get(data.number)!;
    if ("step" in data) return order.step(data.step);
    waiting.delete(data.number);
    if ("result" in data) order.resolve(data.result);
    else order.reject("refusal" in data ? new Refusal(data.refusal) : new Error(data.error));
  });
  made.addEventListener("error", () => {
    worker = null;
    for (const { reject } of waiting.values()) reject(new Refusal("The prover of this page did not start: reload the page."));
    waiting.clear();
  });
  return made;
}
