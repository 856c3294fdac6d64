// A proof as people can read it, and the progress of one that is being made.
import { type Address, getAddress, toHex } from "viem";
import type { Circuit, Input, Job, ProofFile, Result } from "./hub";
import * as hub from "./hub";
import { bars, button, make } from "./page";

const FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** The key inside a proof, of its limbs. */
export function keyOf(proof: ProofFile, circuit: Circuit): bigint {
  const { limbs, bits } = circuit.manifest.key;
  return proof.instances
    .slice(0, limbs)
    .reduce((key, limb, place) => key | (BigInt(limb) << BigInt(place * bits)), 0n);
}

export const accountOf = (key: bigint): Address =>
  getAddress(toHex(key & ((1n << 160n) - 1n), { size: 20 }));

/** What a result says, in words and bars. */
export function resultOf(result: Result): HTMLElement {
  if (result.kind === "score")
    return make("p", { class: "result" }, `The judge's score is ${result.written}.`);
  if (result.kind === "outputs") return make("p", {}, result.outputs.join(", "));
  return make(
    "div",
    {},
    make("p", { class: "result" }, `The model reads a ${result.digit}.`),
    bars(result.logits.map((logit, digit) => [`${digit}`, logit, logit.toFixed(2)])),
  );
}

/** All that a proof shows to everybody. */
export function shown(proof: ProofFile, circuit: Circuit): HTMLElement {
  const { limbs } = circuit.manifest.key;
  const key = keyOf(proof, circuit);
  const row = (name: string, value: string) => [make("dt", {}, name), make("dd", {}, value)];
  const outputs = proof.instances.slice(limbs).map((instance) => {
    const value = BigInt(instance);
    return Number(value > FIELD / 2n ? value - FIELD : value) / 2 ** circuit.manifest.output_scale;
  });
  return make(
    "details",
    { class: "proof" },
    make("summary", {}, "Show the proof"),
    make(
      "dl",
      {},
      ...row("for the account", accountOf(key)),
      ...row("on the chain, contract and round of the domain", toHex(key >> 160n, { size: 8 })),
      ...row(`key, in ${limbs} limbs`, proof.instances.slice(0, limbs).map((limb) => toHex(BigInt(limb))).join(" ")),
      ...row("outputs", outputs.map((output) => output.toFixed(4)).join(", ")),
      ...row(`proof, ${(proof.proof.length - 2) / 2} bytes`, proof.proof),
    ),
    button("Save as a file", () => save(proof)),
  );
}

function save(proof: ProofFile): void {
  const content = new Blob([JSON.stringify(proof, null, 2)], { type: "application/json" });
  const link = make("a", { href: URL.createObjectURL(content), download: `${proof.circuit}-proof.json` });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Has something proved, with a bar of how far it is. */
export async function proveInto(
  place: HTMLElement,
  name: string,
  input: Input,
  account: Address,
  round: number | null,
): Promise<Job> {
  const bar = make("progress", { max: "1", "aria-label": "Proving" });
  const words = make("p", { "aria-live": "polite" }, "The hub takes the job…");
  place.replaceChildren(words, bar);
  try {
    return await hub.prove(name, input, account, round, ({ state, progress }) => {
      if (!progress) return;
      const { ahead, elapsed_seconds: elapsed, typical_seconds: typical } = progress;
      if (state === "queued") words.textContent = ahead ? `${ahead} jobs come first.` : "Next in the queue…";
      else words.textContent = `Proving for ${elapsed.toFixed(0)} s…`;
      if (state === "proving" && typical) bar.value = Math.min(elapsed / typical, 0.97);
    });
  } finally {
    place.replaceChildren();
  }
}

/** A link with a proof inside, for somebody else to send; nothing of it reaches a server. */
export function linkTo(proof: ProofFile): string {
  const packed = btoa(JSON.stringify(proof)).replaceAll("+", "-").replaceAll("/", "_");
  return `${location.origin}/#verify/${packed}`;
}

export function fromLink(packed: string): ProofFile {
  try {
    return hub.proofOf(atob(packed.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return hub.proofOf("");
  }
}

export function copyButton(proof: ProofFile): HTMLButtonElement {
  const copy = button("Copy a link for a relayer", async () => {
    await navigator.clipboard.writeText(linkTo(proof));
    copy.textContent = "Copied: whoever opens it can send it";
  });
  return copy;
}
