// The view of an application that has no file in apps/: its input, the answer, the proof and the events.
import { type Abi, type AbiEvent, type Address, parseEventLogs } from "viem";
import type { App } from "./apps/registry";
import { keepFresh, readerOf, submitInto } from "./contract";
import * as hub from "./hub";
import { localOf } from "./local";
import { numbersField } from "./numbers";
import { button, make, next, short } from "./page";
import { type Proved, outputsOf, proveHere, proveInto, resultOf, showProved } from "./proof";
import { reader, requireAccount } from "./wallet";

const SHOWN = 10; // events, the newest first

/** The application of a circuit, by what the hub knows about its contract. */
export function generic(circuit: string, { application, action }: hub.Deployment): App {
  const app: App = {
    application,
    circuit,
    label: application,
    view: (place, state, ended) => view(app, place, state, ended),
    submitLabel: () => "Send this proof",
    submit: (state, proof, account, round, place) =>
      submitInto(place, state, proof, action, [...(round === null ? [] : [round]), account], [], () => `${application} accepted the proof of ${account}.`),
  };
  return app;
}

async function view(app: App, place: HTMLElement, state: hub.ChainState, ended: AbortSignal): Promise<void> {
  const deployment = state.applications[app.circuit]!;
  const circuit = await hub.circuit(app.circuit);
  const local = localOf(circuit);
  const reading = make("div", { "aria-live": "polite" });
  const outcome = make("div", { "aria-live": "polite" });
  const table = make("div", {});
  let newest = 0;

  async function read(input: number[]): Promise<void> {
    const number = ++newest;
    outcome.replaceChildren();
    const result = await answered(input);
    if (number === newest) reading.replaceChildren(resultOf(result), next(button("Prove this answer", () => prove(input))));
  }

  async function answered(input: number[]): Promise<hub.Result> {
    if (!local) return (await hub.predict(app.circuit, { input })).result;
    return outputsIn(await local.answer(input));
  }

  /** The result of a proof, as the hub gives it. */
  function outputsIn(proof: hub.ProofFile): hub.Result {
    const outputs = outputsOf(proof, circuit).map((output) => Number(output) / 2 ** circuit.manifest.output_scale);
    return { kind: "outputs", outputs, names: circuit.labels };
  }

  /** Proves for the connected account, on this device if the circuit allows that. */
  async function proved(input: number[]): Promise<Proved> {
    const account = requireAccount();
    if (!local) return proveInto(outcome, app.circuit, { input }, account, null);
    const proof = await proveHere(outcome, local, await readerOf(deployment)("keyOf", [account]), input);
    return { proof, result: outputsIn(proof), account, round: null };
  }

  async function prove(input: number[]): Promise<void> {
    const job = await proved(input);
    const send = button(app.submitLabel(null), () => app.submit(state, job.proof!, job.account, job.round, outcome, null));
    reading.replaceChildren();
    showProved(outcome, job, circuit, send);
  }

  const size = circuit.shape.reduce((product, length) => product * length, 1);
  place.replaceChildren(
    make("h2", {}, app.label),
    make(
      "div",
      { class: "two" },
      make("section", {}, numbersField(circuit.features, size, read), reading, outcome),
      make("section", {}, make("h3", {}, "Events"), table),
    ),
  );
  await keepFresh(deployment, async () => table.replaceChildren(await eventsOf(deployment)), ended);
}

/** The newest events of a contract, with their arguments. */
async function eventsOf({ contract: address, abi, block }: hub.Deployment): Promise<HTMLElement> {
  const logs = await reader().getLogs({ address, fromBlock: BigInt(block) });
  const events = parseEventLogs({ abi: abi as Abi, logs }).slice(-SHOWN).toReversed();
  if (events.length === 0) return make("p", {}, "No proof was sent yet.");
  const rows = events.map(({ eventName, args }) => {
    const { inputs } = abi.find((item) => item.type === "event" && item.name === eventName) as AbiEvent;
    const values = inputs.map(({ name, type }) => `${name} ${written((args as unknown as Record<string, unknown>)[name!], type)}`);
    return make("tr", {}, make("th", { scope: "row" }, eventName), make("td", {}, values.join(", ")));
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

const written = (value: unknown, type: string): string => (type === "address" ? short(value as Address) : String(value));
