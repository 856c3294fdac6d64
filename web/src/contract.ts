// The contract of an application: reading it, watching it, and submitting proofs to it.
import type { Hex, TransactionReceipt } from "viem";
import type { ChainState, Deployment, ProofFile } from "./hub";
import { make, say, sentence, told } from "./page";
import { type Transaction, onAccount, reader, send } from "./wallet";

/** A function that reads the contract of a deployment. */
export const readerOf = ({ contract: address, abi }: Deployment) =>
  (functionName: string, args: unknown[] = []): Promise<any> =>
    reader().readContract({ address, abi, functionName, args });

/** Calls `refresh` now, after each event of the contract and when the account changes, until `ended` aborts. */
export async function keepFresh({ contract: address }: Deployment, refresh: () => Promise<void>, ended: AbortSignal) {
  if (ended.aborted) return;
  const again = () => refresh().catch((error) => say(sentence(error)));
  onAccount(again);
  ended.addEventListener("abort", reader().watchEvent({ address, onLogs: again, onError: () => {} }));
  await again();
}

/** Calls `functionName` with `claim`, the proof, its instances and `more`, as `sendInto` does. */
export function submitInto(
  place: HTMLElement,
  state: ChainState,
  proof: ProofFile,
  functionName: string,
  claim: unknown[],
  more: unknown[],
  result: () => string | Promise<string>,
): Promise<Hex> {
  const { contract: address, abi } = state.applications[proof.circuit]!;
  const args = [...claim, proof.proof, proof.instances.map(BigInt), ...more];
  return sendInto(place, state, { address, abi, functionName, args }, result);
}

/**
 * Sends a transaction. Shows the progress in `place`, and then the sentence that `result` returns.
 * Returns the transaction's hash.
 */
export async function sendInto(
  place: HTMLElement,
  state: ChainState,
  transaction: Transaction,
  result: (receipt: TransactionReceipt) => string | Promise<string>,
): Promise<Hex> {
  const progress = make("p", { "aria-live": "polite" }, "Sign in your wallet…");
  place.append(progress);
  try {
    const receipt = await send(transaction, () => {
      progress.textContent = "Sent. Waiting for its block…";
    });
    place.replaceChildren(make("p", { class: "result" }, ...told(await result(receipt))), details(state, receipt));
    return receipt.transactionHash;
  } finally {
    progress.remove();
  }
}

/** The hash, the block and the gas of a transaction, with a link to the explorer of its network. */
function details({ explorer }: ChainState, { transactionHash: hash, blockNumber, gasUsed }: TransactionReceipt): HTMLElement {
  const link = make("a", { href: `${explorer}/tx/${hash}`, rel: "noreferrer", target: "_blank" }, "View in the explorer");
  const words = told(`Transaction ${hash} is in block ${blockNumber}, for ${gasUsed.toLocaleString()} gas. `);
  return make("p", { class: "small" }, ...words, ...(explorer ? [link] : []));
}

/** The sentence that a view shows if the contract of its circuit is not deployed. */
export function missing({ network }: ChainState, circuit: string): string {
  const command = `ape run deploy --only ${circuit} --network ${network}`;
  return `${circuit} is not deployed on ${network}: run \`${command}\`, then reload this page.`;
}
