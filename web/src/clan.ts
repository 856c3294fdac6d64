// Clan: draw a digit, prove what the model reads, join that digit's clan.
import { type Address, parseAbiItem } from "viem";
import * as hub from "./hub";
import { pad } from "./pad";
import { bars, button, make, say, sentence } from "./page";
import { copyButton, proveInto, resultOf, shown } from "./proof";
import { account, onAccount, reader, requireAccount, send } from "./wallet";

const JOINED = parseAbiItem("event Joined(address indexed account, uint256 indexed clan)");
const PAUSE = 60; // milliseconds of a still pen before the model looks

export async function clan(view: HTMLElement, state: hub.ChainState, ended: AbortSignal) {
  const known = state.applications.clan;
  const circuit = await hub.circuit("clan");
  const mine = make("p", { class: "mine", "aria-live": "polite" });
  const reading = make("div", { "aria-live": "polite" }, make("p", {}, "Draw a digit."));
  const table = make("div", { "aria-label": "Clans" });
  const outcome = make("div", { "aria-live": "polite" });

  let waiting = 0;
  let newest = 0;
  function look(pixels: string): void {
    clearTimeout(waiting);
    say("");
    outcome.replaceChildren();
    if (!pixels.includes("1")) return reading.replaceChildren(make("p", {}, "Draw a digit."));
    waiting = window.setTimeout(async () => {
      const number = ++newest;
      try {
        const { result } = await hub.predict("clan", { drawing: pixels });
        if (number === newest) reading.replaceChildren(drawing.seen, resultOf(result));
      } catch (error) {
        if (number === newest) say(sentence(error));
      }
    }, PAUSE);
  }

  const drawing = pad(look);
  const prove = button("Prove and show", async () => {
    const job = await proveInto(outcome, "clan", { drawing: drawing.pixels() }, requireAccount(), null);
    const proof = job.proof!;
    const join = button("Join this clan", async () => {
      await joinBy(state, proof, job.account, outcome);
      await stand();
    });
    reading.replaceChildren();
    outcome.replaceChildren(resultOf(job.result!), shown(proof, circuit), join, copyButton(proof));
    join.focus();
  });
  view.replaceChildren(
    make("h2", {}, "Draw a digit, join its clan"),
    mine,
    make(
      "div",
      { class: "two" },
      make("section", {}, drawing.canvas, make("p", {}, button("Clear", drawing.clear), prove), reading, outcome),
      make("section", {}, make("h3", {}, "The clans"), table),
    ),
  );
  if (!known) {
    table.replaceChildren(make("p", {}, missing(state, "clan")));
    return;
  }

  const contract = { address: known.contract, abi: known.abi };
  const ask = (functionName: string, args: unknown[] = []) =>
    reader().readContract({ ...contract, functionName, args } as never) as Promise<any>;

  async function stand(): Promise<void> {
    const [counts, [leader, most]] = (await Promise.all([ask("counts"), ask("leader")])) as [bigint[], [bigint, bigint]];
    const rows = counts.map((count, digit): [string, number, string] => [`${digit}`, Number(count), `${count}`]);
    const leads = most ? `Clan ${leader} leads with ${counted(most)}.` : "Nobody has joined yet.";
    table.replaceChildren(bars(rows), make("p", {}, leads));
    mine.textContent = await standing(counts);
  }

  async function standing(counts: bigint[]): Promise<string> {
    const one = account();
    if (!one) return "Connect an account to join.";
    if (!(await ask("isMember", [one]))) return "You are in no clan yet.";
    const own = Number(await ask("clanOf", [one]));
    const rank = 1 + counts.filter((count, digit) => count > counts[own]! || (count === counts[own] && digit < own)).length;
    return `You are in clan ${own}, which is number ${rank} of ten with ${counted(counts[own]!)}.`;
  }

  const again = () => stand().catch((error) => say(sentence(error)));
  onAccount(again);
  await again();
  const stop = reader().watchEvent({ address: known.contract, event: JOINED, onLogs: again, onError: () => {} });
  ended.addEventListener("abort", stop);
}

const counted = (members: bigint): string => (members === 1n ? "1 member" : `${members} members`);

/** Joins for whoever a proof names; anybody may send it. */
export async function joinBy(state: hub.ChainState, proof: hub.ProofFile, whom: Address, place: HTMLElement) {
  const known = state.applications[proof.circuit]!;
  const contract = { address: known.contract, abi: known.abi };
  const words = make("p", { "aria-live": "polite" }, "Sign in your wallet…");
  place.append(words);
  try {
    const hash = await send(contract, "join", [whom, proof.proof, proof.instances.map(BigInt)], () => {
      words.textContent = "Sent; waiting for its block…";
    });
    const own = await reader().readContract({ ...contract, functionName: "clanOf", args: [whom] } as never);
    place.replaceChildren(make("p", { class: "result" }, `${whom} has joined clan ${own}.`), explorerLink(state, hash));
  } finally {
    words.remove();
  }
}

export function explorerLink(state: hub.ChainState, hash: string): HTMLElement {
  if (!state.explorer) return make("p", { class: "small" }, `Transaction ${hash}`);
  const link = make("a", { href: `${state.explorer}/tx/${hash}`, rel: "noreferrer", target: "_blank" }, "See it in the explorer");
  return make("p", {}, link);
}

export function missing(state: hub.ChainState, circuit: string): string {
  return `The contract of ${circuit} is not on ${state.network}: run \`ape run deploy --only ${circuit} --network ${state.network}\`, then load this page again.`;
}
