// The proofs that were made on this page: this browser keeps the last ones, and nobody else sees them.
import type { Address } from "viem";
import type { ProofFile } from "./hub";

export type Kept = { proof: ProofFile; account: Address; round: number | null; made: number };

const NAME = "verdict-proofs"; // in the local storage
const MOST = 20;

/** The proofs, the newest first. */
export function kept(): Kept[] {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "[]");
  } catch {
    return []; // damaged, or not allowed
  }
}

export function keep(made: Kept): void {
  const others = kept().filter(({ proof }) => proof.proof !== made.proof.proof);
  try {
    localStorage.setItem(NAME, JSON.stringify([made, ...others].slice(0, MOST)));
  } catch {
    // the browser keeps nothing: the proof can still be saved as a file
  }
}

export function forget(): void {
  localStorage.removeItem(NAME);
}
