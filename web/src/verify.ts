// Verify: any proof file, checked by the hub and by the deployed verifier, and sent for its owner.
import { parseAbi } from "viem";
import { joinBy, missing } from "./clan";
import * as hub from "./hub";
import { Refusal, button, make, say, sentence } from "./page";
import { accountOf, fromLink, keyOf, resultOf, shown } from "./proof";
import { judgeBy } from "./voice";
import { reader } from "./wallet";

const VERIFIER = parseAbi(["function verifyProof(bytes proof, uint256[] instances) view returns (bool)"]);
const SAYS =
  "It says that whoever made it knew an input to which this model answers so, and named that account. " +
  "It does not say that a hand drew it or a voice sang it, or that a person has only one account.";

export async function verify(view: HTMLElement, state: hub.ChainState, packed: string) {
  const outcome = make("div", { "aria-live": "polite" });
  const chosen = make("input", { type: "file", accept: ".json", id: "proof" });
  const drop = make("label", { class: "drop", for: "proof" }, "Drop a proof file here ", chosen);
  const check = (text: () => Promise<hub.ProofFile>) =>
    text()
      .then((proof) => examine(proof))
      .catch((error) => {
        outcome.replaceChildren();
        say(sentence(error));
      });
  const open = (file: File | undefined) => {
    say("");
    if (file) void check(async () => hub.proofOf(await file.text()));
  };
  chosen.addEventListener("change", () => open(chosen.files?.[0]));
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    open(event.dataTransfer?.files[0]);
  });
  view.replaceChildren(make("h2", {}, "Check a proof"), drop, outcome);
  if (packed) await check(async () => fromLink(packed));

  async function examine(proof: hub.ProofFile): Promise<void> {
    outcome.replaceChildren(make("p", {}, "The verifier looks at it…"));
    const circuit = await hub.circuit(proof.circuit);
    const known = state.applications[proof.circuit];
    if (!known) throw new Refusal(missing(state, proof.circuit));
    const [said, onChain] = await Promise.all([hub.verify(proof), accepted(known, proof)]);
    const verdict = said.valid && onChain;
    const words = verdict
      ? `Valid: the verifier at ${known.verifier} on ${state.network} accepts it.`
      : `Not valid: ${onChain ? said.reason : `the verifier at ${known.verifier} refuses it`}.`;
    outcome.replaceChildren(make("p", { class: verdict ? "result" : "result wrong" }, words));
    if (!verdict || !said.result) return;
    outcome.append(resultOf(said.result), make("p", {}, SAYS), shown(proof, circuit));
    await offer(proof, circuit, known);
  }

  /** What can be done with a valid proof: it is sent for whoever it names, if it is for this chain. */
  async function offer(proof: hub.ProofFile, circuit: hub.Circuit, known: hub.Application): Promise<void> {
    const key = keyOf(proof, circuit);
    const whom = accountOf(key);
    const ask = (functionName: string, args: unknown[] = []) =>
      reader().readContract({ address: known.contract, abi: known.abi, functionName, args } as never) as Promise<any>;
    const place = make("div", { "aria-live": "polite" });
    if (known.application === "Clan") {
      if ((await ask("keyOf", [whom])) !== key) return elsewhere();
      if (await ask("isMember", [whom]))
        return outcome.append(make("p", {}, `${whom} is in clan ${await ask("clanOf", [whom])} already, for good.`));
      outcome.append(button("Join for this account", () => joinBy(state, proof, whom, place)), place);
      return;
    }
    for (let round = Number(await ask("rounds")) - 1; round >= 0; round--) {
      if ((await ask("keyOf", [whom, round])) !== key) continue;
      const judge = button(`Have it judged in round ${round}`, () => judgeBy(state, proof, whom, round, place));
      outcome.append(judge, place);
      return;
    }
    elsewhere();
  }

  function elsewhere(): void {
    outcome.append(make("p", {}, "It is for another chain, contract or round than those of this page, and worth nothing here."));
  }
}

async function accepted(known: hub.Application, proof: hub.ProofFile): Promise<boolean> {
  try {
    return await reader().readContract({
      address: known.verifier,
      abi: VERIFIER,
      functionName: "verifyProof",
      args: [proof.proof, proof.instances.map(BigInt)],
    });
  } catch {
    return false; // it reverts on any bad proof
  }
}
