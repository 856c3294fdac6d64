// VoiceJudge: sing, prove the judge's score, earn the round's reward.
import { type Address, formatEther, parseAbiItem } from "viem";
import { explorerLink, missing } from "./clan";
import * as hub from "./hub";
import { Refusal, button, make, say, sentence, short } from "./page";
import { copyButton, proveInto, resultOf, shown } from "./proof";
import { base64, record, spectrogram } from "./sound";
import { account, onAccount, reader, requireAccount, send } from "./wallet";

const REWARDED = parseAbiItem(
  "event Rewarded(uint256 indexed round, address indexed singer, uint256 score, uint256 reward)",
);
type Round = { sponsor: Address; deadline: bigint; threshold: bigint; reward: bigint; rewardsLeft: bigint };

const scored = (score: bigint): string => (Number(score) / 1e18).toFixed(4);
const moment = (deadline: bigint): string =>
  deadline > 253402300799n ? "after the year 9999" : new Date(Number(deadline) * 1000).toLocaleString();

export async function voice(view: HTMLElement, state: hub.ChainState, ended: AbortSignal) {
  const known = state.applications.voice;
  const heard = make("div", { "aria-live": "polite" });
  const outcome = make("div", { "aria-live": "polite" });
  const rounds = make("div", {});
  const credit = make("p", { class: "mine", "aria-live": "polite" });
  view.replaceChildren(
    make("h2", {}, "Sing or speak, prove the score, earn the reward"),
    credit,
    make(
      "div",
      { class: "two" },
      make("section", {}, recording(listen), heard, outcome),
      make("section", {}, make("h3", {}, "Rounds"), rounds),
    ),
  );
  if (!known) {
    rounds.replaceChildren(make("p", {}, missing(state, "voice")));
    return;
  }
  const circuit = await hub.circuit("voice");
  const contract = { address: known.contract, abi: known.abi };
  const ask = (functionName: string, args: unknown[] = []) =>
    reader().readContract({ ...contract, functionName, args } as never) as Promise<any>;

  async function listen(file: Blob): Promise<void> {
    outcome.replaceChildren();
    heard.replaceChildren(make("p", {}, "The judge listens…"));
    const clip = await base64(file);
    try {
      const { result, picture } = await hub.predict("voice", { clip });
      heard.replaceChildren(resultOf(result), ...(picture ? [spectrogram(picture)] : []));
    } catch (error) {
      heard.replaceChildren();
      throw error;
    }
    const count = Number(await ask("rounds"));
    if (count === 0) throw new Refusal("No round has been opened yet: there is nothing to win.");
    const choice = make("select", { "aria-label": "Round" });
    for (let number = count - 1; number >= 0; number--)
      choice.append(make("option", { value: `${number}` }, `round ${number}`));
    heard.append(
      make("p", {}, choice, " ", button("Prove this score", () => prove(clip, Number(choice.value)))),
    );
  }

  async function prove(clip: string, round: number): Promise<void> {
    const job = await proveInto(outcome, "voice", { clip }, requireAccount(), round);
    const proof = job.proof!;
    const submit = button("Have it judged", async () => {
      await judgeBy(state, proof, job.account, round, outcome);
      await stand();
    });
    outcome.replaceChildren(resultOf(job.result!), shown(proof, circuit), submit, copyButton(proof));
    submit.focus();
  }

  async function stand(): Promise<void> {
    const count = Number(await ask("rounds"));
    const numbers = Array.from({ length: Math.min(count, 10) }, (_, back) => count - 1 - back);
    const [offers, logs] = await Promise.all([
      Promise.all(numbers.map((number) => ask("roundOf", [number]) as Promise<Round>)),
      reader().getLogs({ address: known!.contract, event: REWARDED, fromBlock: BigInt(known!.block) }),
    ]);
    const now = BigInt(Math.floor(Date.now() / 1000));
    const rows = offers.map((offer, at) => {
      const best = logs
        .filter((log) => Number(log.args.round) === numbers[at])
        .sort((a, b) => Number(b.args.score! - a.args.score!))
        .slice(0, 3)
        .map((log) => `${scored(log.args.score!)} ${short(log.args.singer!)}`);
      return make(
        "tr",
        {},
        make("td", {}, `${numbers[at]}`),
        make("td", {}, scored(offer.threshold)),
        make("td", {}, formatEther(offer.reward)),
        make("td", {}, `${offer.rewardsLeft}`),
        make("td", {}, `${moment(offer.deadline)}${now > offer.deadline ? " (over)" : ""}`),
        make("td", {}, best.join(", ") || "nobody yet"),
      );
    });
    const head = ["Round", "Score", "Ether", "Left", "Until", "Best"].map((name) => make("th", { scope: "col" }, name));
    rounds.replaceChildren(
      rows.length
        ? make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))
        : make("p", {}, "No round has been opened yet: `ape run open-round --help` says how."),
    );
    await owed();
  }

  async function owed(): Promise<void> {
    const one = account();
    if (!one) return credit.replaceChildren("Connect an account to be rewarded.");
    const amount: bigint = await ask("creditOf", [one]);
    credit.replaceChildren(`You are owed ${formatEther(amount)} ether. `);
    if (amount > 0n)
      credit.append(
        button("Withdraw", async () => {
          await send(contract, "withdraw", []);
          await stand();
        }),
      );
  }

  const again = () => stand().catch((error) => say(sentence(error)));
  onAccount(again);
  await again();
  const stop = reader().watchEvent({ address: known.contract, onLogs: again, onError: () => {} });
  ended.addEventListener("abort", stop);
}

/** Has a proof judged for the singer that it names; anybody may send it. */
export async function judgeBy(
  state: hub.ChainState,
  proof: hub.ProofFile,
  singer: Address,
  round: number,
  place: HTMLElement,
) {
  const known = state.applications[proof.circuit]!;
  const contract = { address: known.contract, abi: known.abi };
  const words = make("p", { "aria-live": "polite" }, "Sign in your wallet…");
  place.append(words);
  try {
    const args = [round, singer, proof.proof, proof.instances.map(BigInt)];
    const hash = await send(contract, "judge", args, () => {
      words.textContent = "Sent; waiting for its block…";
    });
    place.replaceChildren(
      make("p", { class: "result" }, `${singer} has earned the reward of round ${round}.`),
      explorerLink(state, hash),
    );
  } finally {
    words.remove();
  }
}

/** A button that records, and a place to drop or choose a file. */
function recording(listen: (file: Blob) => Promise<void>): HTMLElement {
  const meter = make("meter", { min: "0", max: "1", "aria-label": "Level" });
  const left = make("output", {});
  let stop: AbortController | null = null;
  const finish = button("Stop", () => stop?.abort());
  const live = make("p", { hidden: true }, meter, " ", left, " ", finish);
  const start = button("Record", async () => {
    stop = new AbortController();
    live.hidden = false;
    try {
      const clip = await record((share, seconds) => {
        meter.value = share;
        left.textContent = `${seconds.toFixed(1)} s left`;
      }, stop.signal);
      live.hidden = true;
      await listen(clip);
    } finally {
      live.hidden = true;
    }
  });
  const chosen = make("input", { type: "file", accept: ".wav,.flac,.ogg,audio/*", id: "clip" });
  const open = async (file: File | undefined) => {
    say("");
    if (file) await listen(file).catch((error) => say(sentence(error)));
  };
  chosen.addEventListener("change", () => open(chosen.files?.[0]));
  const drop = make("label", { class: "drop", for: "clip" }, "or drop a wav, flac or ogg file here ", chosen);
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    void open(event.dataTransfer?.files[0]);
  });
  return make("div", {}, start, live, drop);
}
