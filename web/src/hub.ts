// The hub that serves this page: predictions, proofs, verifications.
import type { Abi, Address, Hex } from "viem";
import { forgetJob, keepJob } from "./kept";
import { Refusal } from "./refusal";

export type Input = { drawing: string } | { clip: string } | { input: number[] };
export type Result =
  | { kind: "digit"; digit: number; logits: number[] }
  | { kind: "score"; score: string; written: string; voice: boolean }
  | { kind: "outputs"; outputs: number[]; names: string[] };
export type Picture = { width: number; height: number; levels: string };
export type ProofFile = { circuit: string; proof: Hex; instances: Hex[] };
export type Job = {
  id: string;
  state: "queued" | "proving" | "done" | "failed";
  account: Address;
  round: number | null;
  progress: {
    ahead: number;
    step: string | null;
    elapsed_seconds: number;
    typical_seconds: number | null;
  } | null;
  proof: ProofFile | null;
  result: Result | null;
  reason: string | null;
  transaction: { hash: Hex; block: number; gas: number; result: number } | null; // of a relayed job
};
export type Consent = { deadline: string; signature: Hex };
export type Deployment = {
  application: string;
  contract: Address;
  verifier: Address;
  block: number;
  srs: string;
  action: string; // the function that acts on a proof
  relays: boolean; // whether this hub sends the proofs of accounts that consent
  abi: Abi;
};
export type ChainState = {
  chain_id: number;
  network: string;
  dev: boolean;
  tokens: boolean;
  explorer: string | null;
  applications: Record<string, Deployment>;
};
export type Circuit = {
  name: string;
  shape: number[]; // of the model's input
  features: string[]; // the names of the input's numbers, if it has any
  labels: string[]; // the names of the outputs, if they have any
  files: Record<string, string>; // the SHA-256 of each file of the build
  manifest: {
    run_args: { prover: "ezkl" | "groth16" };
    layout: { hashes: number; limbs: number; limb_bits: number; outputs: number; lanes: number };
    output_scale: number;
  };
};
export type Verification = {
  valid: boolean;
  reason: string | null;
  account: Address | null;
  key: Hex | null;
  result: Result | null;
  round: number | null; // the round of the key; null if the application has no rounds
  answer: "accepted" | "refused" | "missing" | "unreachable"; // of the application, now
  refusal: string | null; // the reason of an answer that is not "accepted"
};
/** The hub's state: the hash of the chain's first block, and what is wrong with the chain. */
export type Health = { genesis: string | null; problem: string | null };

const TOKEN = "verdict-token"; // in the session storage, until the tab is closed

export function useToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

export const hasToken = (): boolean => sessionStorage.getItem(TOKEN) !== null;

async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const token = sessionStorage.getItem(TOKEN);
  const headers: HeadersInit = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refusal("The hub does not respond: restart it with `make hub`, then try again.");
  }
  const content = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return content as T;
  if (answer.status === 401) throw new Refusal("This hub requires a token: enter it at the top of this page.");
  const later = answer.headers.get("Retry-After");
  const detail = content?.detail ?? `The hub returned status ${answer.status}.`;
  throw new Refusal(later ? `${detail} Try again in ${later} seconds.` : detail);
}

export const health = () => ask<Health>("GET", "/healthz");
export const chain = () => ask<ChainState>("GET", "/v1/chain");
/** Sends a request to the chain's node through the hub. */
export const rpc = (method: string, params: unknown) =>
  ask<{ result?: unknown; error?: { code: number; message: string } }>("POST", "/rpc", {
    jsonrpc: "2.0",
    id: 1,
    method,
    params,
  });
export const circuit = (name: string) => ask<Circuit>("GET", `/v1/circuits/${name}`);
export const predict = (name: string, input: Input) =>
  ask<{ result: Result; picture: Picture | null; drawing: string | null }>(
    "POST",
    `/v1/circuits/${name}/predictions`,
    input,
  );
export const verify = (proof: ProofFile) =>
  ask<Verification>("POST", `/v1/circuits/${proof.circuit}/verifications`, proof);

/** Orders a proof and waits for it. `follow` gets each state of the job. With a consent, the hub also sends it. */
export async function prove(
  name: string,
  input: Input,
  account: Address,
  round: number | null,
  follow: (job: Job) => void,
  consent: Consent | null = null,
): Promise<Job> {
  const signed = consent && { deadline: Number(consent.deadline), signature: consent.signature };
  const body = { ...input, account, round, ...(signed && { relay: true, consent: signed }) };
  const { id } = await ask<Job>("POST", `/v1/circuits/${name}/proofs`, body);
  keepJob(id);
  return ended(id, follow);
}

/** Waits for a job, which was perhaps ordered before this page was loaded again. */
export async function ended(id: string, follow: (job: Job) => void = () => {}): Promise<Job> {
  let job = await ask<Job>("GET", `/v1/proofs/${id}`);
  for (let silent = 0; job.state === "queued" || job.state === "proving"; ) {
    follow(job);
    await new Promise((resolve) => setTimeout(resolve, 250));
    try {
      job = await ask<Job>("GET", `/v1/proofs/${id}`);
      silent = 0;
    } catch (error) {
      if (++silent > 40) throw error; // ten seconds: a restarted hub continues the job
    }
  }
  forgetJob(id);
  if (job.state === "failed") throw new Refusal(`Proving failed: ${job.reason}`);
  return job;
}

/** Parses the content of a proof file or of a link. */
export function proofOf(text: string): ProofFile {
  try {
    const { circuit, proof, instances } = JSON.parse(text);
    const hex = /^0x[0-9a-f]*$/;
    const named = typeof circuit === "string" && /^[a-z0-9_-]+$/.test(circuit);
    const whole = named && hex.test(proof) && Array.isArray(instances);
    if (whole && instances.every((instance: string) => hex.test(instance)))
      return { circuit, proof, instances };
  } catch {
    // refused below
  }
  throw new Refusal("This is not a proof file: choose one that `ape run prove` or this page saved.");
}
