// A proof for people to read and share, and the progress of proving.
import { type Address, type Hex, getAddress, toHex } from "viem";
import * as hub from "./hub";
import type { Circuit, Consent, Input, Job, ProofFile, Result } from "./hub";
import type { Local } from "./local";
import { keep } from "./kept";
import { bars, button, make, next, save } from "./page";
import { FIELD } from "./r1cs";
import { Refusal } from "./refusal";

// The bits of an output, by the number of outputs in an instance: one of n bits is at least -2**(n-1).
const LANE_BITS: Record<number, number> = { 8: 29, 10: 25 };

/** The instances of the key: those after the hashes of an attested circuit. */
function keyInstances(proof: ProofFile, circuit: Circuit): string[] {
  const { hashes, limbs } = circuit.manifest.layout;
  return proof.instances.slice(hashes, hashes + limbs);
}

/** The key of a proof, joined from its limbs. */
function keyOf(proof: ProofFile, circuit: Circuit): bigint {
  const { limb_bits: bits } = circuit.manifest.layout;
  return keyInstances(proof, circuit)
    .reduce((key, limb, place) => key | (BigInt(limb) << BigInt(place * bits)), 0n);
}

/** The outputs of a proof, as whole numbers. An instance holds one, or several. */
export function outputsOf(proof: ProofFile, circuit: Circuit): bigint[] {
  const { hashes, limbs, lanes, outputs } = circuit.manifest.layout;
  const instances = proof.instances.slice(hashes + limbs).map(BigInt);
  if (lanes === 1) return instances.map((value) => (value > FIELD / 2n ? value - FIELD : value));
  const bits = LANE_BITS[lanes]!;
  const middle = 1n << BigInt(bits - 1);
  const places = Array.from({ length: lanes }, (_, lane) => BigInt(bits * lane));
  const lift = places.reduce((sum, place) => sum + (middle << place), 0n);
  return instances
    .flatMap((value) => places.map((place) => ((((value + lift) % FIELD) >> place) & (2n * middle - 1n)) - middle))
    .slice(0, outputs);
}

const accountOf = (key: bigint): Address =>
  getAddress(toHex(key & ((1n << 160n) - 1n), { size: 20 }));

/** A result in words, and bars for logits. */
export function resultOf(result: Result): HTMLElement {
  if (result.kind === "score") {
    const doubt = result.voice ? "" : " The recording does not sound like a voice.";
    return make("p", { class: "result" }, `The judge's score is ${result.written}.${doubt}`);
  }
  if (result.kind === "outputs") return outputsIn(result.names, result.outputs);
  return digitIn(result.digit, result.logits);
}

const certain = (share: number): string => (share > 99.9 ? "more than 99.9 %" : `${share.toFixed(1)} %`);

/** A reading with its share of certainty; those of all digits are folded. */
function digitIn(digit: number, logits: number[]): HTMLElement {
  const weights = logits.map((logit) => Math.exp(logit - logits[digit]!));
  const shares = weights.map((weight) => (100 * weight) / weights.reduce((sum, one) => sum + one, 0));
  const rows = shares.map((share, at): [string, number, string] => [at === digit ? `${at} ◂` : `${at}`, share, `${share.toFixed(1)} %`]);
  return make(
    "div",
    {},
    make("p", { class: "result" }, `The model reads a ${digit}.`),
    make("p", { class: "small" }, `By its own measure, it is ${certain(shares[digit]!)} certain.`),
    make("details", {}, make("summary", {}, "All digits"), bars(rows)),
  );
}

function outputsIn(names: string[], outputs: number[]): HTMLElement {
  const [name] = names;
  if (outputs.length === 1) return make("p", { class: "result" }, `The ${name ?? "output"} is ${outputs[0]!.toFixed(4)}.`);
  return bars(outputs.map((output, place) => [names[place] ?? `${place}`, output, output.toFixed(2)]));
}

/** Everything that a proof makes public. */
export function shown(proof: ProofFile, circuit: Circuit): HTMLElement {
  const { limbs } = circuit.manifest.layout;
  const key = keyOf(proof, circuit);
  const row = (name: string, value: string) => [make("dt", {}, name), make("dd", {}, value)];
  const outputs = outputsOf(proof, circuit).map((output) => Number(output) / 2 ** circuit.manifest.output_scale);
  return make(
    "details",
    { class: "proof" },
    make("summary", {}, "Show the proof"),
    make(
      "dl",
      {},
      ...row("account", accountOf(key)),
      ...row("domain: chain, contract and round", `0x${(key >> 160n).toString(16).padStart(23, "0")}`),
      ...row(limbs === 1 ? "key" : `key, in ${limbs} limbs`, keyInstances(proof, circuit).map((limb) => toHex(BigInt(limb))).join(" ")),
      ...row("outputs", outputs.map((output) => output.toFixed(4)).join(", ")),
      ...row(`proof, ${(proof.proof.length - 2) / 2} bytes`, proof.proof),
    ),
    button("Save as file", () => save(`${proof.circuit}-proof.json`, JSON.stringify(proof, null, 2))),
  );
}

/** Orders a proof and shows the progress in `place`. */
export async function proveInto(
  place: HTMLElement,
  name: string,
  input: Input,
  account: Address,
  round: number | null,
  consent: Consent | null = null,
): Promise<Job> {
  const bar = make("progress", { max: "1", "aria-label": "Proving" });
  const words = make("p", { "aria-live": "polite" }, "Sending the order to the hub…");
  place.replaceChildren(words, bar);
  try {
    return await hub.prove(name, input, account, round, follow, consent);
  } finally {
    place.replaceChildren();
  }

  function follow({ state, progress }: Job): void {
    if (!progress) return;
    const { ahead, elapsed_seconds: elapsed, typical_seconds: typical, step } = progress;
    if (consent) words.textContent = STEPS[step ?? ""] ?? `The hub is ${step}…`;
    else if (state === "queued") words.textContent = ahead ? `Waiting for ${jobs(ahead)}…` : "Next in the queue…";
    else words.textContent = `Proving for ${elapsed.toFixed(0)} s…`;
    if (state === "proving" && typical) bar.value = Math.min(elapsed / typical, 0.97);
  }
}

/** Proves on this device and shows the progress in `place`. */
export async function proveHere(place: HTMLElement, local: Local, key: bigint, x: number[]): Promise<ProofFile> {
  const words = make("p", { "aria-live": "polite" }, "Proving on this device…");
  place.replaceChildren(words, make("progress", { "aria-label": "Proving" }));
  try {
    return await local.prove(key, x, (step) => (words.textContent = step));
  } finally {
    place.replaceChildren();
  }
}

// What the hub does with an order that it relays.
const STEPS: Record<string, string> = {
  collecting: "Waiting for others who join with you…",
  proving: "Proving for all of you together…",
  sent: "Sent: waiting for the block…",
};

const jobs = (count: number): string => (count === 1 ? "1 other job" : `${count} other jobs`);

/** A proof, its result, and what it is for: a finished job, or what was proved on this device. */
export type Proved = Pick<Job, "proof" | "result" | "account" | "round">;

/**
 * Shows what was proved: its result, its proof, and the buttons that submit the proof or copy a link.
 * If the application asks for the account's consent, `consent` signs it before the link is copied.
 */
export function showProved(
  place: HTMLElement,
  job: Proved,
  circuit: Circuit,
  submit: HTMLButtonElement,
  consent?: () => Promise<Consent>,
): void {
  const proof = job.proof!;
  const relay = consent ? signButton(proof, consent) : copyButton(proof, null);
  keep({ proof, account: job.account, round: job.round, made: Date.now() });
  place.replaceChildren(resultOf(job.result!), shown(proof, circuit), next(submit), relay);
  submit.focus();
}

const packed = (content: object): string =>
  btoa(JSON.stringify(content)).replaceAll("+", "-").replaceAll("/", "_");
const unpacked = (text: string): string => atob(text.replaceAll("-", "+").replaceAll("_", "/"));

/** A link that contains a proof and a consent. Browsers do not send the part after # to servers. */
function linkTo(proof: ProofFile, consent: Consent | null): string {
  return [`${location.origin}/#verify`, packed(proof), ...(consent ? [packed(consent)] : [])].join("/");
}

export function proofFrom(link: string): ProofFile {
  try {
    return hub.proofOf(unpacked(link));
  } catch {
    return hub.proofOf("");
  }
}

/** The consent of a link; null without one. */
export function consentFrom(link: string): Consent | null {
  if (!link) return null;
  try {
    const { deadline, signature } = JSON.parse(unpacked(link));
    if (/^[0-9]{1,20}$/.test(deadline) && /^0x([0-9a-f]{2})*$/.test(signature)) return { deadline, signature };
  } catch {
    // refused below
  }
  throw new Refusal("The consent in this link is damaged: ask its account for another link.");
}

/** Two clicks: browsers copy only at a click, and a wallet can take a while to sign. */
function signButton(proof: ProofFile, consent: () => Promise<Consent>): HTMLButtonElement {
  const sign = button("Sign a link for a relayer", async () => {
    sign.replaceWith(copyButton(proof, await consent()));
  });
  return sign;
}

function copyButton(proof: ProofFile, consent: Consent | null): HTMLButtonElement {
  const copy = button("Copy a link for a relayer", async () => {
    await navigator.clipboard.writeText(linkTo(proof, consent));
    copy.textContent = "Copied. Anyone with the link can submit the proof.";
  });
  return copy;
}
