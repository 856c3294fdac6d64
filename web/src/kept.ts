// This browser keeps the last proofs that were made on this page, and the jobs that a hub works on. Nobody else sees them.
import type { Address } from "viem";
import type { ProofFile } from "./hub";

export type Kept = { proof: ProofFile; account: Address; round: number | null; made: number };

const NAME = "verdict-proofs"; // in the local storage
const JOBS = "verdict-jobs";
const MOST = 20;

/** The proofs, the newest first. */
export const kept = (): Kept[] => stored(NAME);

/** The jobs that were ordered and have not ended. */
export const openJobs = (): string[] => stored(JOBS);

export function keep(made: Kept): void {
  const others = kept().filter(({ proof }) => proof.proof !== made.proof.proof);
  store(NAME, [made, ...others].slice(0, MOST));
}

export const keepJob = (id: string): void => store(JOBS, [...openJobs().filter((other) => other !== id), id]);
export const forgetJob = (id: string): void => store(JOBS, openJobs().filter((other) => other !== id));

export function forget(): void {
  localStorage.removeItem(NAME);
}

function stored(name: string): any[] {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "[]");
  } catch {
    return []; // damaged, or not allowed
  }
}

function store(name: string, content: unknown[]): void {
  try {
    localStorage.setItem(name, JSON.stringify(content));
  } catch {
    // the browser keeps nothing: a proof can still be saved as a file
  }
}
