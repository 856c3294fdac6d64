// Clan: draw a digit, prove the reading, join that digit's clan.
import { type Address, isAddressEqual } from "viem";
import { keepFresh, missing, readerOf, submitInto } from "../contract";
import * as hub from "../hub";
import { middleSums, normalised } from "../drawing";
import { type Local, localOf } from "../local";
import { type Stroke, pad } from "../pad";
import { bars, button, make, next, say, sentence, short, steps, told } from "../page";
import { picture } from "../picture";
import { Refusal } from "../refusal";
import { type Proved, outputsOf, proveHere, proveInto, resultOf, showProved } from "../proof";
import { connected, reader, requireAccount, signTyped } from "../wallet";
import { type App, circuitOf } from "./registry";

const PAUSE = 60; // milliseconds without a stroke before the model reads the drawing
const WEEK = 7n * 86_400n; // seconds that a consent holds
const PRIVATE = "Your drawing stays on this device: the model reads and proves it here. Joining is for good.";
const SENT = "The hub reads and proves your drawing, which is sent to it. Joining is for good.";
const CONSENT = [
  { name: "account", type: "address" },
  { name: "digit", type: "uint256" },
  { name: "nonce", type: "uint256" },
  { name: "deadline", type: "uint256" },
];

export const app: App = {
  application: "Clan",
  circuit: "clan",
  others: ["clan-groth16"], // whose proofs are made on this device
  label: "Clan",
  view,
  submitLabel: () => "Join for this account",
  consent,
  async submit(state, proof, account, _round, place, signed) {
    const own = isAddressEqual(requireAccount(), account);
    if (!own && !signed)
      throw new Refusal(`Only ${account} can join with this proof: connect it, or open a link that it signed.`);
    const [name, more] = own ? ["join", []] : ["joinFor", [signed]];
    return submitInto(place, state, proof, name as string, [account], more as unknown[], async () => {
      const clan = await readerOf(state.applications[proof.circuit]!)("clanOf", [account]);
      return `${account} has joined clan ${clan}.`;
    });
  },
};

/** Lets the account sign that anyone may send its proof. */
async function consent(state: hub.ChainState, proof: hub.ProofFile, account: Address): Promise<hub.Consent> {
  const deployment = state.applications[proof.circuit]!;
  const claim = [account, proof.proof, proof.instances.map(BigInt)];
  return sign(state, deployment, account, (await readerOf(deployment)("readDigit", claim)) as bigint);
}

/** Lets the account sign that it joins a digit's clan. */
async function sign(
  state: hub.ChainState,
  deployment: hub.Deployment,
  account: Address,
  digit: bigint,
): Promise<hub.Consent> {
  const ask = readerOf(deployment);
  const [nonce, [, name, version], { timestamp }] = await Promise.all([
    ask("nonceOf", [account]),
    ask("eip712Domain"),
    reader().getBlock(),
  ]);
  const deadline = timestamp + WEEK;
  const signature = await signTyped({
    domain: { name, version, chainId: state.chain_id, verifyingContract: deployment.contract },
    types: { Consent: CONSENT },
    primaryType: "Consent",
    message: { account, digit, nonce, deadline },
  });
  return { deadline: `${deadline}`, signature };
}

async function view(place: HTMLElement, state: hub.ChainState, ended: AbortSignal): Promise<void> {
  const name = circuitOf(app, state);
  const deployment = state.applications[name];
  const circuit = await hub.circuit(name);
  const local = localOf(circuit);
  const path = steps("Draw a digit", "Prove what the model reads", "Join its clan");
  const mine = make("p", { class: "mine", "aria-live": "polite" });
  const hint = () => make("p", {}, "Draw a digit.");
  const reading = make("div", { "aria-live": "polite" }, hint());
  const table = make("div", { "aria-label": "Clans" });
  const outcome = make("div", { "aria-live": "polite" });

  let waiting = 0;
  let newest = 0;
  function read(pixels: string): void {
    clearTimeout(waiting);
    say("");
    outcome.replaceChildren();
    path.at(pixels.includes("1") ? 1 : 0);
    next(prove);
    if (!pixels.includes("1")) return reading.replaceChildren(hint());
    waiting = window.setTimeout(async () => {
      const number = ++newest;
      try {
        const { result, seen } = await (local ? readHere(local, pixels) : readByHub(pixels));
        if (number !== newest) return;
        drawing.show(seen);
        reading.replaceChildren(drawing.seen, resultOf(result));
      } catch (error) {
        if (number === newest) say(sentence(error));
      }
    }, PAUSE);
  }

  async function readByHub(pixels: string): Promise<{ result: hub.Result; seen: string }> {
    const { result, drawing: seen } = await hub.predict(name, { drawing: pixels });
    return { result, seen: seen! };
  }

  async function readHere(local: Local, pixels: string): Promise<{ result: hub.Result; seen: string }> {
    const seen = normalised(pixels);
    return { result: digitOf(await local.answer(middleSums(seen)), circuit), seen: seen.join("") };
  }

  /** Proves the drawing for the connected account, on this device if the circuit allows that. */
  async function proved(): Promise<Proved> {
    const [account, pixels] = [requireAccount(), drawing.pixels()];
    if (!local) return proveInto(outcome, name, { drawing: pixels }, account, null);
    const x = middleSums(normalised(pixels));
    const ask = readerOf(deployment!);
    if (await ask("isMember", [account]))
      throw new Refusal(`${account} is already in clan ${await ask("clanOf", [account])} and cannot change clans.`);
    const proof = await proveHere(outcome, local, await ask("keyOf", [account]), x);
    return { proof, result: digitOf(proof, circuit), account, round: null };
  }

  /** Offers a picture of the drawing with which an account joined a clan. */
  const offerPicture = (strokes: Stroke[], clan: unknown, account: Address, hash: string) =>
    outcome.append(picture(strokes, [`Clan ${clan}`, `${short(account)} on ${state.network}`, `Transaction ${hash}`]));

  const drawing = pad(read);
  const prove = button("Prove this digit", async () => {
    const strokes = drawing.strokes();
    const job = await proved();
    const join = button("Join this clan", async () => {
      const hash = await app.submit(state, job.proof!, job.account, job.round, outcome, null);
      path.at(3);
      offerPicture(strokes, await readerOf(deployment!)("clanOf", [job.account]), job.account, hash);
    });
    path.at(2);
    clearTimeout(waiting);
    newest++; // an answer that is still awaited is not shown any more
    reading.replaceChildren();
    showProved(outcome, job, circuit, join, () => consent(state, job.proof!, job.account));
    if (local) outcome.prepend(make("p", {}, "Your drawing never left this device: the proof was made here."));
  });
  const relayed = button("Let this hub join for you", async () => {
    const [account, strokes] = [requireAccount(), drawing.strokes()];
    const input = { drawing: drawing.pixels() };
    const { result } = await hub.predict(name, input);
    if (result.kind !== "digit" || !deployment) return;
    const signed = await sign(state, deployment, account, BigInt(result.digit));
    const job = await proveInto(outcome, name, input, account, null, signed);
    reading.replaceChildren();
    const { result: clan, hash } = job.transaction!;
    outcome.replaceChildren(make("p", {}, ...told(`${account} has joined clan ${clan}. The hub paid, in transaction ${hash}.`)));
    offerPicture(strokes, clan, account, hash);
  });
  const actions = [button("Clear", drawing.clear), button("Undo", drawing.undo), next(prove), ...(deployment?.relays ? [relayed] : [])];
  place.replaceChildren(
    make("h2", {}, "Draw a digit, join its clan"),
    path.list,
    make("p", {}, local ? PRIVATE : SENT),
    mine,
    make(
      "div",
      { class: "two" },
      make("section", {}, drawing.canvas, make("p", {}, ...actions), reading, outcome),
      make("section", {}, make("h3", {}, "Clans"), table),
    ),
  );
  if (!deployment) return table.replaceChildren(make("p", {}, missing(state, name)));
  const ask = readerOf(deployment);

  async function refresh(): Promise<void> {
    const [counts, [leader, most]]: [bigint[], [bigint, bigint]] = await Promise.all([ask("counts"), ask("leader")]);
    const rows = counts.map((count, digit): [string, number, string] => [`${digit}`, Number(count), `${count}`]);
    const leads = most ? `Clan ${leader} leads with ${members(most)}.` : "Nobody has joined yet.";
    table.replaceChildren(bars(rows), make("p", {}, leads));
    mine.textContent = await membership(counts);
  }

  async function membership(counts: bigint[]): Promise<string> {
    const account = connected();
    if (!account) return "Connect an account to join.";
    if (!(await ask("isMember", [account]))) return "You have not joined a clan yet.";
    const clan = Number(await ask("clanOf", [account]));
    const own = counts[clan]!;
    const rank = 1 + counts.filter((count, digit) => count > own || (count === own && digit < clan)).length;
    return `You are in clan ${clan}, number ${rank} of ${counts.length} with ${members(own)}.`;
  }

  await keepFresh(deployment, refresh, ended);
}

/** The digit and the logits of a proof: the lowest digit of equal ones, as in the contract. */
function digitOf(proof: hub.ProofFile, circuit: hub.Circuit): hub.Result {
  const logits = outputsOf(proof, circuit).map((output) => Number(output) / 2 ** circuit.manifest.output_scale);
  return { kind: "digit", digit: logits.indexOf(Math.max(...logits)), logits };
}

const members = (count: bigint): string => (count === 1n ? "1 member" : `${count} members`);
