// VoiceJudge: sing, prove the score, earn the reward of a round.
import { type Address, formatEther, parseAbi } from "viem";
import { keepFresh, missing, readerOf, submitInto } from "../contract";
import * as hub from "../hub";
import { type Local, localOf } from "../local";
import { button, fileField, make, next, say, sentence, short, steps } from "../page";
import { phrase } from "../phrase";
import { type Proved, outputsOf, proveHere, proveInto, resultOf, showProved } from "../proof";
import { Refusal } from "../refusal";
import { ANYONE, moment, roundForm } from "../rounds";
import { base64, monoOf, pictureOf, readable, record, spectrogram } from "../sound";
import { connected, reader, requireAccount, send } from "../wallet";
import { type App, circuitOf } from "./registry";

const SCORED = parseAbi([
  "event Rewarded(uint256 indexed round, address indexed account, uint256 score, uint256 reward)",
  "event ScoreRaised(uint256 indexed round, address indexed account, uint256 score)",
]);
const SHOWN = 10; // rounds in the table, the newest first
const BEST = 3; // accounts for each round
const PRIVATE = "Your recording stays on this device: the judge rates and proves it here.";
const SENT = "The hub rates and proves your recording, which is sent to it.";
const ONE = 10n ** 18n; // a score of 1
const FAINTEST_VOICE = 0.05; // a lower answer is that to a sound without a voice
/** A rated recording, in the form that proving it needs. */
type Rated<Clip> = { result: hub.Result; picture: hub.Picture | null; clip: Clip };
type Round = {
  sponsor: Address;
  deadline: bigint;
  threshold: bigint;
  reward: bigint;
  rewardsLeft: bigint;
  singers: string;
};

export const app: App = {
  application: "VoiceJudge",
  circuit: "voice",
  others: ["voice-groth16"], // whose proofs are made on this device
  label: "VoiceJudge",
  view,
  submitLabel: (round) => `Submit to round ${round}`,
  async submit(state, proof, account, round, place) {
    const rewarded = await readerOf(state.applications[proof.circuit]!)("isRewarded", [round, account]);
    const done = rewarded ? "has raised its score in" : "has earned the reward of";
    return submitInto(place, state, proof, "judge", [round, account], [], () => `${account} ${done} round ${round}.`);
  },
};

async function view(place: HTMLElement, state: hub.ChainState, ended: AbortSignal): Promise<void> {
  const name = circuitOf(app, state);
  const deployment = state.applications[name];
  const circuit = await hub.circuit(name);
  const local = localOf(circuit);
  const path = steps("Sing or speak", "Prove the score", "Earn the reward");
  const heard = make("div", { "aria-live": "polite" });
  const outcome = make("div", { "aria-live": "polite" });
  const choice = make("select", { "aria-label": "Round", hidden: true });
  const tooLow = make("p", {});
  const table = make("div", {});
  const credit = make("p", { class: "mine", "aria-live": "polite" });
  place.replaceChildren(
    make("h2", {}, "Sing or speak, prove the score, earn the reward"),
    path.list,
    make("p", {}, local ? PRIVATE : SENT),
    credit,
    make(
      "div",
      { class: "two" },
      make("section", {}, recording(listen), heard, outcome),
      make("section", {}, make("h3", {}, "Rounds"), table),
    ),
  );

  let weigh = async () => {}; // compares the last score with the chosen round
  choice.addEventListener("change", () => weigh().catch((error) => say(sentence(error))));

  async function thresholdOf(round: string): Promise<bigint> {
    if (!deployment || !round) return 0n;
    return ((await readerOf(deployment)("roundOf", [round])) as Round).threshold;
  }

  async function listen(file: Blob): Promise<void> {
    outcome.replaceChildren();
    path.at(0);
    heard.replaceChildren(make("p", {}, "Rating the recording…"));
    try {
      const { result, picture, clip } = await (local ? rateHere(local, file) : rateByHub(file));
      const prove = button("Prove this score", () => proveClip(clip));
      weigh = async () => {
        const threshold = await thresholdOf(choice.value);
        prove.disabled = result.kind === "score" && BigInt(result.score) < threshold;
        tooLow.textContent = prove.disabled
          ? `This score is too low for round ${choice.value}, which asks for ${formatEther(threshold)}.`
          : "";
      };
      path.at(1);
      heard.replaceChildren(
        make("audio", { controls: true, src: URL.createObjectURL(file), "aria-label": "Your recording" }),
        resultOf(result),
        ...(picture ? [spectrogram(picture)] : []),
        make("p", {}, choice, " ", next(prove)),
        tooLow,
      );
      await weigh();
    } catch (error) {
      heard.replaceChildren();
      throw error;
    }
  }

  async function rateByHub(file: Blob): Promise<Rated<string>> {
    const clip = await base64(file);
    return { ...(await hub.predict(name, { clip })), clip };
  }

  async function rateHere(local: Local, file: Blob): Promise<Rated<number[]>> {
    const said = phrase(await monoOf(file));
    return { result: scoreOf(await local.answer(said.x), circuit), picture: pictureOf(said), clip: said.x };
  }

  /** Proves a recording for the connected account, on this device if the circuit allows that. */
  async function proved(clip: string | number[]): Promise<Proved> {
    const [account, round] = [requireAccount(), choice.value ? Number(choice.value) : null];
    if (typeof clip === "string") return proveInto(outcome, name, { clip }, account, round);
    if (round === null || !deployment) throw new Refusal("No round is open: open one first, beside the recording.");
    const proof = await proveHere(outcome, local!, await readerOf(deployment)("keyOf", [account, round]), clip);
    return { proof, result: scoreOf(proof, circuit), account, round };
  }

  async function proveClip(clip: string | number[]): Promise<void> {
    const job = await proved(clip);
    const submit = button("Submit this score", async () => {
      await app.submit(state, job.proof!, job.account, job.round, outcome, null);
      path.at(3);
    });
    path.at(2);
    showProved(outcome, job, circuit, submit);
    if (local) outcome.prepend(make("p", {}, "Your recording never left this device: the proof was made here."));
  }

  if (!deployment) return table.replaceChildren(make("p", {}, missing(state, name)));
  const { contract: address, abi, block } = deployment;
  const ask = readerOf(deployment);

  async function refresh(): Promise<void> {
    const count = Number(await ask("rounds"));
    offerRounds(choice, count);
    const numbers = Array.from({ length: Math.min(count, SHOWN) }, (_, back) => count - 1 - back);
    const [rounds, logs] = await Promise.all([
      Promise.all(numbers.map((number): Promise<Round> => ask("roundOf", [number]))),
      reader().getLogs({ address, events: SCORED, fromBlock: BigInt(block), strict: true }),
    ]);
    const rows = rounds.map((round, at) => {
      const scores = logs.map(({ args }) => args).filter((args) => Number(args.round) === numbers[at]);
      return [`${numbers[at]}`, ...terms(round), best(scores)];
    });
    table.replaceChildren(
      count ? tableOf(rows) : make("p", {}, "No round is open yet."),
    );
    await showCredit();
  }

  async function showCredit(): Promise<void> {
    const account = connected();
    if (!account) return credit.replaceChildren("Connect an account to earn rewards.");
    const amount: bigint = await ask("creditOf", [account]);
    credit.replaceChildren(`Your credit is ${formatEther(amount)} ether. `);
    if (amount > 0n)
      credit.append(
        button("Withdraw", async () => {
          await send({ address, abi, functionName: "withdraw", args: [] });
          await refresh();
        }),
      );
  }

  table.after(roundForm(state, deployment));
  await keepFresh(deployment, refresh, ended);
}

/** Fills a choice of rounds, the newest first, and keeps what was chosen. */
function offerRounds(choice: HTMLSelectElement, count: number): void {
  for (let number = choice.length; number < count; number++)
    choice.prepend(make("option", { value: `${number}` }, `round ${number}`));
  if (choice.hidden) choice.selectedIndex = 0;
  choice.hidden = count === 0;
}

/** The score of a proof, as the contract computes it. */
function scoreOf(proof: hub.ProofFile, circuit: hub.Circuit): hub.Result {
  const [output] = outputsOf(proof, circuit) as [bigint];
  const unit = 1n << BigInt(circuit.manifest.output_scale);
  const within = output < 0n ? 0n : output > unit ? unit : output;
  const score = (within * ONE) / unit;
  return { kind: "score", score: `${score}`, written: (Number(score) / 1e18).toFixed(4), voice: Number(output) > FAINTEST_VOICE * Number(unit) };
}

function terms({ threshold, reward, rewardsLeft, deadline, singers }: Round): string[] {
  const over = Math.floor(Date.now() / 1000) > deadline ? " (over)" : "";
  const chosen = singers === ANYONE ? "" : " (chosen singers)";
  return [scored(threshold), formatEther(reward), `${rewardsLeft}`, `${moment(deadline)}${over}${chosen}`];
}

/** The accounts with the highest scores. An account's later scores are higher than its earlier ones. */
function best(scores: { account: Address; score: bigint }[]): string {
  const latest = new Map(scores.map(({ account, score }) => [account, score]));
  const highest = [...latest].toSorted(([, a], [, b]) => Number(b - a)).slice(0, BEST);
  return highest.map(([account, score]) => `${scored(score)} ${short(account)}`).join(", ") || "none yet";
}

const scored = (score: bigint): string => (Number(score) / 1e18).toFixed(4);

function tableOf(rows: string[][]): HTMLElement {
  const names = ["Round", "Threshold", "Ether", "Left", "Deadline", "Best"];
  const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

/** A button that records, and a field for a recorded file. */
function recording(listen: (file: Blob) => Promise<void>): HTMLElement {
  const meter = make("meter", { min: "0", max: "1", "aria-label": "Input level" });
  const left = make("output", {});
  let stop: AbortController | null = null;
  const finish = button("Stop", () => stop?.abort());
  const live = make("p", { hidden: true }, meter, " ", left, " ", finish);
  const start = button("Record", async () => {
    stop = new AbortController();
    live.hidden = false;
    try {
      const clip = await record((level, seconds) => {
        meter.value = level;
        left.textContent = `${seconds.toFixed(1)} s left`;
      }, stop.signal);
      live.hidden = true;
      await listen(clip);
    } finally {
      live.hidden = true;
    }
  });
  const open = async (file: File) => listen(await readable(file));
  return make("div", {}, start, live, fileField("clip", "or drop a recording of at most 30 seconds and 9 MB here ", "audio/*,.flac,.ogg", open));
}
