// Elements of the page, shared by all views, and one sentence for each error.
import { Refusal } from "./refusal";

type Child = Node | string;
type Attributes = Record<string, string | boolean | EventListener>;

/** Makes an element. A function as an attribute listens to the event of that name. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** The sentence for a contract whose address has no code. */
export const GONE = "The contract is not on this chain, which was perhaps reset: run `ape run deploy` again.";

const notice = document.querySelector<HTMLParagraphElement>("#notice")!;

/** Shows a sentence in the notice of the page, with a button that hides it; an empty one hides the notice. */
export function say(sentence: string): void {
  const close = make("button", { type: "button", class: "close", "aria-label": "Close", click: () => say("") });
  notice.replaceChildren(sentence, close);
  notice.hidden = sentence === "";
}

/** A button that is disabled while `work` runs. Errors appear in the notice. */
export function button(label: string, work: () => unknown): HTMLButtonElement {
  const made = make("button", { type: "button" }, label);
  made.addEventListener("click", async () => {
    say("");
    made.disabled = true;
    made.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      say(sentence(error));
    } finally {
      made.disabled = false;
      made.removeAttribute("aria-busy");
    }
  });
  return made;
}

/** Marks the button that leads on, the only loud one of a view. */
export function next(made: HTMLButtonElement): HTMLButtonElement {
  for (const loud of document.querySelectorAll("button.next")) loud.classList.remove("next");
  made.classList.add("next");
  return made;
}

/** The steps of a view in their order; `at` marks the current one. */
export function steps(...names: string[]): { list: HTMLElement; at: (place: number) => void } {
  const items = names.map((name) => make("li", {}, name));
  const at = (place: number) =>
    items.forEach((item, number) => (number === place ? item.setAttribute("aria-current", "step") : item.removeAttribute("aria-current")));
  at(0);
  return { list: make("ol", { class: "steps" }, ...items), at };
}

/** Saves a file, as the browser saves downloads. */
export function download(file: File): void {
  const link = make("a", { href: URL.createObjectURL(file), download: file.name });
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Saves JSON as a file of this name. */
export const save = (name: string, json: string): void => download(new File([json], name, { type: "application/json" }));

/** A field to drop or choose a file. Errors of `open` appear in the notice. */
export function fileField(id: string, label: string, accept: string, open: (file: File) => Promise<void>): HTMLElement {
  const take = (file: File | undefined) => {
    say("");
    if (file) open(file).catch((error) => say(sentence(error)));
  };
  const input = make("input", { type: "file", accept, id });
  input.addEventListener("change", () => take(input.files?.[0]));
  const field = make("label", { class: "drop", for: id }, label, input);
  field.addEventListener("dragover", (event) => event.preventDefault());
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    input.files = event.dataTransfer!.files; // the field shows the name
    take(input.files[0]);
  });
  return field;
}

/** The sentence that explains an error of this page, a contract or a wallet. */
export function sentence(error: unknown): string {
  for (let cause = error as any; cause; cause = cause.cause) {
    if (cause instanceof Refusal) return cause.message;
    if (cause.code === 4001 || cause.name === "UserRejectedRequestError")
      return "Nothing was sent: you rejected the request in your wallet.";
    if (cause.data?.errorName)
      return `The contract reverted with ${cause.data.errorName}(${(cause.data.args ?? []).join(", ")}).`;
    if (cause.name === "ContractFunctionZeroDataError") return GONE;
    if (/nonce too low|already (known|imported)|underpriced/.test(cause.message ?? ""))
      return "The account sent another transaction meanwhile: try again.";
    if (cause.name === "WaitForTransactionReceiptTimeoutError")
      return "The transaction is not in a block yet: check it in your wallet.";
    if (cause.name === "InsufficientFundsError" || /insufficient funds/.test(cause.message ?? ""))
      return "The account cannot pay for the gas: send it some ether first.";
  }
  console.error(error);
  return "Unexpected error. See the browser console for details.";
}

/** Labelled bars for numbers; the bar of the largest fills the line. */
export function bars(rows: [label: string, value: number, shown: string][]): HTMLElement {
  const lowest = Math.min(0, ...rows.map(([, value]) => value));
  const span = Math.max(...rows.map(([, value]) => value - lowest)) || 1;
  return make(
    "ol",
    { class: "bars" },
    ...rows.map(([label, value, shown]) => {
      const bar = make("progress", { max: "100", "aria-hidden": "true" });
      bar.value = (100 * (value - lowest)) / span;
      return make("li", {}, make("span", {}, label), bar, make("output", {}, shown));
    }),
  );
}

export const short = (account: string): string => `${account.slice(0, 6)}…${account.slice(-4)}`;

/** A sentence whose accounts and hashes are short. A click on one copies it whole. */
export function told(sentence: string): Child[] {
  const parts = sentence.split(/(0x(?:[0-9a-f]{64}|[0-9a-f]{40}))/i);
  return parts.map((part, at) => (at % 2 ? copied(part) : part));
}

function copied(whole: string): HTMLButtonElement {
  const copy = button(short(whole), async () => {
    await navigator.clipboard.writeText(whole).catch(() => {
      throw new Refusal(`The browser does not let this page copy: select ${whole} here.`);
    });
    copy.textContent = "copied";
    setTimeout(() => (copy.textContent = short(whole)), 1500);
  });
  copy.className = "copy";
  copy.title = `Copy ${whole}`;
  return copy;
}
