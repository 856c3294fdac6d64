// The form in which a sponsor opens a round, with the limits of `ape run open-round`.
import { type Address, formatEther, isAddressEqual, parseEther, parseEventLogs } from "viem";
import { sendInto } from "./contract";
import type { ChainState, Deployment } from "./hub";
import { button, make } from "./page";
import { Refusal } from "./refusal";
import { reader, requireAccount } from "./wallet";

const ONE = 10n ** 18n; // a score of 1, or an ether
export const ANYONE = `0x${"00".repeat(32)}`; // the singers of a round that admits every account

type Field = { input: HTMLInputElement; read: () => bigint };

/** A form that opens a round. */
export function roundForm(state: ChainState, { contract: address, abi }: Deployment): HTMLElement {
  const threshold = units("threshold", "from 0 to 1", 0n, ONE, "0.25");
  const reward = units("reward", "of ether from 0.000000000000000001 to 1,000,000,000", 1n, 10n ** 9n * ONE, "0.01");
  const rewards = whole("number of rewards", "1 or more", null, "1");
  const hours = whole("number of hours", "1 to 100,000", 100_000n, "24");
  const outcome = make("div", { "aria-live": "polite" });
  const open = button("Open this round", async () => {
    const [least, paid, count, left] = [threshold, reward, rewards, hours].map(({ read }) => read()) as [bigint, bigint, bigint, bigint];
    await requireMoney(requireAccount(), paid * count);
    const deadline = (await now()) + left * 3600n;
    const transaction = { address, abi, functionName: "openRound", args: [least, paid, deadline, ANYONE], value: paid * count };
    await sendInto(outcome, state, transaction, ({ logs }) => {
      const own = logs.filter((log) => isAddressEqual(log.address, address));
      const [{ args }] = parseEventLogs({ abi, logs: own, eventName: "RoundOpened" }) as unknown as [{ args: { round: bigint } }];
      const terms = `${count} x ${formatEther(paid)} ether for a score of ${formatEther(least)} or more`;
      return `Round ${args.round} is open until ${moment(deadline)}: ${terms}.`;
    });
  });
  open.type = "submit";
  const rows = [
    make("label", {}, "Lowest score that earns the reward", threshold.input),
    make("label", {}, "Reward of an account, in ether", reward.input),
    make("label", {}, "Number of rewards", rewards.input),
    make("label", {}, "Hours to the deadline", hours.input),
  ];
  const form = make("form", { class: "numbers", submit: (event) => event.preventDefault() }, ...rows, make("p", {}, open));
  return make("details", {}, make("summary", {}, "Open a round"), form, outcome);
}

/** A field for a decimal number, read in units of 1e-18. */
const units = (name: string, range: string, smallest: bigint, largest: bigint, example: string): Field =>
  field(name, `a number ${range} with at most 18 decimals, such as ${example}`, "", (text) => {
    if (!/^\d{1,10}(\.\d{1,18})?$/.test(text)) return null;
    const number = parseEther(text);
    return number >= smallest && number <= largest ? number : null;
  });

/** A field for a whole number from 1. */
const whole = (name: string, range: string, largest: bigint | null, value: string): Field =>
  field(name, `a whole number, ${range}`, value, (text) => {
    const number = /^\d+$/.test(text) ? BigInt(text) : 0n;
    return number >= 1n && (largest === null || number <= largest) ? number : null;
  });

function field(name: string, expected: string, value: string, parse: (text: string) => bigint | null): Field {
  const input = make("input", { inputmode: "decimal", autocomplete: "off", maxlength: "40", value });
  const read = () => {
    const text = input.value.trim();
    const number = parse(text);
    input.setAttribute("aria-invalid", `${number === null}`);
    if (number !== null) return number;
    input.focus();
    throw new Refusal(`The ${name} is ${text ? `"${text}"` : "empty"}: enter ${expected}.`);
  };
  return { input, read };
}

async function requireMoney(account: Address, needed: bigint): Promise<void> {
  const balance = await reader().getBalance({ address: account });
  if (balance < needed)
    throw new Refusal(
      `The rewards cost ${formatEther(needed)} ether, and ${account} has ${formatEther(balance)}: choose fewer or smaller ones.`,
    );
}

/** The time that decides whether a deadline is over; an idle chain's last block may be old. */
async function now(): Promise<bigint> {
  const { timestamp } = await reader().getBlock();
  const clock = BigInt(Math.floor(Date.now() / 1000));
  return timestamp > clock ? timestamp : clock;
}

/** A deadline as people read it. */
export const moment = (deadline: bigint): string =>
  deadline > 253402300799n ? "after the year 9999" : new Date(Number(deadline) * 1000).toLocaleString();
