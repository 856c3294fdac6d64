// A proof for people to read and share, and the progress of proving.
import { type Address, getAddress, toHex } from "viem";
import * as hub from "./hub";
import type { Circuit, Input, Job, ProofFile, Result } from "./hub";
import { bars, button, make } from "./page";

const FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;

/** The key of a proof, joined from its limbs. */
function keyOf(proof: ProofFile, circuit: Circuit): bigint {
  const { limbs, bits } = circuit.manifest.key;
  return proof.instances
    .slice(0, limbs)
    .reduce((key, limb, place) => key | (BigInt(limb) << BigInt(place * bits)), 0n);
}

const accountOf = (key: bigint): Address =>
  getAddress(toHex(key & ((1n << 160n) - 1n), { size: 20 }));

/** A result in words, and bars for logits. */
export function resultOf(result: Result): HTMLElement {
  if (result.kind === "score") {
    const doubt = result.voice ? "" : " The recording does not sound like a voice.";
    return make("p", { class: "result" }, `The judge's score is ${result.written}.${doubt}`);
  }
  if (result.kind === "outputs") return make("p", {}, result.outputs.join(", "));
  return make(
    "div",
    {},
    make("p", { class: "result" }, `The model reads a ${result.digit}.`),
    bars(result.logits.map((logit, digit) => [`${digit}`, logit, logit.toFixed(2)])),
  );
}

/** Everything that a proof makes public. */
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
      ...row("account", accountOf(key)),
      ...row("domain: chain, contract and round", toHex(key >> 160n, { size: 8 })),
      ...row(`key, in ${limbs} limbs`, proof.instances.slice(0, limbs).map((limb) => toHex(BigInt(limb))).join(" ")),
      ...row("outputs", outputs.map((output) => output.toFixed(4)).join(", ")),
      ...row(`proof, ${(proof.proof.length - 2) / 2} bytes`, proof.proof),
    ),
    button("Save as file", () => save(proof)),
  );
}

function save(proof: ProofFile): void {
  const content = new Blob([JSON.stringify(proof, null, 2)], { type: "application/json" });
  const link = make("a", { href: URL.createObjectURL(content), download: `${proof.circuit}-proof.json` });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Orders a proof and shows the progress in `place`. */
export async function proveInto(
  place: HTMLElement,
  name: string,
  input: Input,
  account: Address,
  round: number | null,
): Promise<Job> {
  const bar = make("progress", { max: "1", "aria-label": "Proving" });
  const words = make("p", { "aria-live": "polite" }, "Sending the order to the hub…");
  place.replaceChildren(words, bar);
  try {
    return await hub.prove(name, input, account, round, ({ state, progress }) => {
      if (!progress) return;
      const { ahead, elapsed_seconds: elapsed, typical_seconds: typical } = progress;
      if (state === "queued") words.textContent = ahead ? `Waiting for ${jobs(ahead)}…` : "Next in the queue…";
      else words.textContent = `Proving for ${elapsed.toFixed(0)} s…`;
      if (state === "proving" && typical) bar.value = Math.min(elapsed / typical, 0.97);
    });
  } finally {
    place.replaceChildren();
  }
}

const jobs = (count: number): string => (count === 1 ? "1 other job" : `${count} other jobs`);

/** Shows a finished job: its result, its proof, and the buttons that submit the proof or copy a link. */
export function showProved(place: HTMLElement, job: Job, circuit: Circuit, submit: HTMLButtonElement): void {
  const proof = job.proof!;
  place.replaceChildren(resultOf(job.result!), shown(proof, circuit), submit, copyButton(proof));
  submit.focus();
}

/** A link that contains a proof. Browsers do not send the part after # to servers. */
function linkTo(proof: ProofFile): string {
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

function copyButton(proof: ProofFile): HTMLButtonElement {
  const copy = button("Copy a link for a relayer", async () => {
    await navigator.clipboard.writeText(linkTo(proof));
    copy.textContent = "Copied. Anyone with the link can submit the proof.";
  });
  return copy;
}
