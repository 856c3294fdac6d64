// The interface of an application, and the applications of this folder.
import type { Address, Hex } from "viem";
import type { ChainState, Consent, ProofFile } from "../hub";

/** An application on the page. A file of this folder that exports `app` adds one. */
export type App = {
  application: string; // the name of its contract
  circuit: string; // the view's URL hash, and the circuit of the view
  others?: string[]; // circuits that the view takes instead, if they are deployed: the best first
  label: string; // its link in the navigation
  /** Fills `place`. Stops watching the chain when `ended` aborts. */
  view(place: HTMLElement, state: ChainState, ended: AbortSignal): Promise<void>;
  /** The label of the button that submits a proof in the verify view. */
  submitLabel(round: number | null): string;
  /** Lets an account sign that others may submit its proof, if its contract asks for that. */
  consent?(state: ChainState, proof: ProofFile, account: Address): Promise<Consent>;
  /** Submits a proof for its account and shows the progress and the result in `place`. Returns the transaction's hash. */
  submit(
    state: ChainState,
    proof: ProofFile,
    account: Address,
    round: number | null,
    place: HTMLElement,
    consent: Consent | null,
  ): Promise<Hex>;
};

/** The circuit that an application's view takes on this chain. */
export const circuitOf = ({ circuit, others = [] }: App, { applications }: ChainState): string =>
  others.find((name) => name in applications) ?? circuit;

const found = import.meta.glob<App>(["./*.ts", "!./registry.ts"], { eager: true, import: "app" });

/** In the order of their file names. The page opens with the first. */
export const apps = Object.values(found);
