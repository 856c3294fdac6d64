// Verify: check a proof file with the hub and the deployed verifier, and submit it for its account.
import { parseAbi } from "viem";
import { apps } from "./apps/registry";
import { missing } from "./contract";
import { generic } from "./generic";
import * as hub from "./hub";
import { localOf } from "./local";
import { forget, kept } from "./kept";
import { GONE, button, fileField, make, next, short } from "./page";
import { Refusal } from "./refusal";
import { consentFrom, proofFrom, resultOf, shown } from "./proof";
import { reader } from "./wallet";

const VERIFIER = parseAbi(["function verifyProof(bytes proof, uint256[] instances) view returns (bool)"]);
const MEANING =
  "The proof shows that its maker knew an input with this result and chose this account. " +
  "It does not show where the input came from, or that a person has only one account.";

/** `link` holds the packed proof and the packed consent of a link, or nothing. */
export async function verify(place: HTMLElement, state: hub.ChainState, link: string[]): Promise<void> {
  const [packed = "", signed = ""] = link;
  const outcome = make("div", { "aria-live": "polite" });
  const file = fileField("proof", "Drop a proof file here ", ".json", (chosen) =>
    check(async () => [hub.proofOf(await chosen.text()), null]),
  );
  const own = make("div", {});
  const ceremony = make("p", { class: "small" }, "Did you get the file of a ceremony? ", make("a", { href: "#ceremony" }, "Contribute to it"), ".");
  place.replaceChildren(make("h2", {}, "Check a proof"), file, own, outcome, ceremony);
  listOwn();
  if (packed) await check(async () => [proofFrom(packed), consentFrom(signed)]);

  async function check(read: () => Promise<[hub.ProofFile, hub.Consent | null]>): Promise<void> {
    outcome.replaceChildren(make("p", {}, "Checking the proof…"));
    try {
      outcome.replaceChildren(...(await examine(...(await read()))));
    } catch (error) {
      outcome.replaceChildren();
      throw error;
    }
  }

  /** The proofs that this browser keeps, each with a button that checks it. */
  function listOwn(): void {
    const found = kept();
    if (!found.length) return own.replaceChildren();
    const rows = found.map(({ proof, account, round, made }) => {
      const what = `${proof.circuit}${round === null ? "" : `, round ${round}`}, for ${short(account)}`;
      const when = new Date(made).toLocaleString();
      return make("li", {}, button(what, () => check(async () => [proof, null])), ` ${when}`);
    });
    const gone = button("Forget them", () => {
      forget();
      listOwn();
    });
    own.replaceChildren(make("h3", {}, "Proofs made in this browser"), make("ul", { class: "kept" }, ...rows), gone);
  }

  async function examine(proof: hub.ProofFile, consent: hub.Consent | null): Promise<HTMLElement[]> {
    const circuit = await hub.circuit(proof.circuit);
    const deployment = state.applications[proof.circuit];
    if (!deployment) throw new Refusal(missing(state, proof.circuit));
    const [checked, answer] = await Promise.all([hub.verify(proof), answerOf(deployment, proof)]);
    const verifier = `the verifier at ${deployment.verifier} on ${state.network}`;
    if (answer === "missing") return [wrong(`Not checked: ${verifier} is missing. ${GONE}`)];
    if (answer === "refused") return [wrong(`Not valid: ${verifier} rejects it.`)];
    if (!checked.valid) return [wrong(checked.reason!)];
    const local = localOf(circuit);
    if (local && !(await local.verify(proof))) return [wrong("Not valid: this page rejects it, by the circuit's verification key.")];
    return [
      make("p", { class: "result" }, `Valid: ${verifier} accepts it${local ? ", and so does this page" : ""}.`),
      resultOf(checked.result!),
      make("p", {}, MEANING),
      shown(proof, circuit),
      ...offer(proof, consent, checked, deployment),
    ];
  }

  /** The button that submits a valid proof, or the reason why the application would refuse it. */
  function offer(
    proof: hub.ProofFile,
    consent: hub.Consent | null,
    checked: hub.Verification,
    deployment: hub.Deployment,
  ): HTMLElement[] {
    if (checked.refusal) return [make("p", {}, checked.refusal)];
    const app = apps.find((one) => one.application === deployment.application) ?? generic(proof.circuit, deployment);
    const progress = make("div", { "aria-live": "polite" });
    const { account, round } = checked;
    const submit = button(app.submitLabel(round), () => app.submit(state, proof, account!, round, progress, consent));
    return [next(submit), progress];
  }
}

const wrong = (sentence: string) => make("p", { class: "result wrong" }, sentence);

// How nodes say that the verifier ran and stopped, as it does on every invalid proof.
const STOPPED = /revert|evm error|vm execution error|out of ?gas|invalid (opcode|jump)/i;

/** The verifier's answer. A node that cannot be asked is an error, and no answer. */
async function answerOf(
  { verifier: address }: hub.Deployment,
  proof: hub.ProofFile,
): Promise<"accepted" | "refused" | "missing"> {
  const args = [proof.proof, proof.instances.map(BigInt)] as const;
  try {
    const accepted = await reader().readContract({ address, abi: VERIFIER, functionName: "verifyProof", args });
    return accepted ? "accepted" : "refused";
  } catch (error) {
    for (let cause = error as any; cause; cause = cause.cause) {
      if (cause.name === "ContractFunctionZeroDataError") return "missing";
      if (!(cause instanceof Refusal) && STOPPED.test(cause.details ?? cause.message ?? "")) return "refused";
    }
    throw error;
  }
}
