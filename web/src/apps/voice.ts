// VoiceJudge: sing, prove the score, earn the reward of a round.
import { type Address, formatEther, parseAbi } from "viem";
import { keepFresh, missing, readerOf, submitInto } from "../contract";
import * as hub from "../hub";
import { button, fileField, make, say, sentence, short } from "../page";
import { proveInto, resultOf, showProved } from "../proof";
import { base64, readable, record, spectrogram } from "../sound";
import { connected, reader, requireAccount, send } from "../wallet";
import { type App, circuitOf } from "./registry";

const SCORED = parseAbi([
  "event Rewarded(uint256 indexed round, address indexed account, uint256 score, uint256 reward)",
  "event ScoreRaised(uint256 indexed round, address indexed account, uint256 score)",
]);
const SHOWN = 10; // rounds in the table, the newest first
const BEST = 3; // accounts for each round
const ANYONE = `0x${"00".repeat(32)}`; // the singers of a round that admits every account
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
  others: ["voice", "voice-groth16"],
  label: "VoiceJudge",
  view,
  submitLabel: (round) => `Submit to round ${round}`,
  async submit(state, proof, account, round, place) {
    const rewarded = await readerOf(state.applications[proof.circuit]!)("isRewarded", [round, account]);
    const done = rewarded ? "has raised its score in" : "has earned the reward of";
    await submitInto(place, state, proof, "judge", [round, account], [], () => `${account} ${done} round ${round}.`);
  },
};

async function view(place: HTMLElement, state: hub.ChainState, ended: AbortSignal): Promise<void> {
  const name = circuitOf(app, state);
  const deployment = state.applications[name];
  const circuit = await hub.circuit(name);
  const heard = make("div", { "aria-live": "polite" });
  const outcome = make("div", { "aria-live": "polite" });
  const choice = make("select", { "aria-label": "Round", hidden: true });
  const tooLow = make("p", {});
  const table = make("div", {});
  const credit = make("p", { class: "mine", "aria-live": "polite" });
  place.replaceChildren(
    make("h2", {}, "Sing or speak, prove the score, earn the reward"),
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
    heard.replaceChildren(make("p", {}, "Rating the recording…"));
    try {
      const clip = await base64(file);
      const { result, picture } = await hub.predict(name, { clip });
      const prove = button("Prove this score", () => proveClip(clip));
      weigh = async () => {
        const threshold = await thresholdOf(choice.value);
        prove.disabled = result.kind === "score" && BigInt(result.score) < threshold;
        tooLow.textContent = prove.disabled
          ? `This score is too low for round ${choice.value}, which asks for ${formatEther(threshold)}.`
          : "";
      };
      heard.replaceChildren(
        resultOf(result),
        ...(picture ? [spectrogram(picture)] : []),
        make("p", {}, choice, " ", prove),
        tooLow,
      );
      await weigh();
    } catch (error) {
      heard.replaceChildren();
      throw error;
    }
  }

  async function proveClip(clip: string): Promise<void> {
    const round = choice.value ? Number(choice.value) : null;
    const job = await proveInto(outcome, name, { clip }, requireAccount(), round);
    const submit = button("Submit this score", () => app.submit(state, job.proof!, job.account, job.round, outcome, null));
    showProved(outcome, job, circuit, submit);
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
      count ? tableOf(rows) : make("p", {}, "No round is open. To open one, see `ape run open-round --help`."),
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
          await send({ address, abi }, "withdraw", []);
          await refresh();
        }),
      );
  }

  await keepFresh(deployment, refresh, ended);
}

/** Fills a choice of rounds, the newest first, and keeps what was chosen. */
function offerRounds(choice: HTMLSelectElement, count: number): void {
  for (let number = choice.length; number < count; number++)
    choice.prepend(make("option", { value: `${number}` }, `round ${number}`));
  if (choice.hidden) choice.selectedIndex = 0;
  choice.hidden = count === 0;
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
const moment = (deadline: bigint): string =>
  deadline > 253402300799n ? "after the year 9999" : new Date(Number(deadline) * 1000).toLocaleString();

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
