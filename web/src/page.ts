// What every view makes its page of: elements, and one sentence about what went wrong.

type Child = Node | string;
type Attributes = Record<string, string | boolean | EventListener>;

/** An element; attributes that are functions listen to the event of that name. */
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

/** What a person can do something about; its message is the whole sentence. */
export class Refusal extends Error {}

const notice = document.querySelector<HTMLParagraphElement>("#notice")!;

export function say(sentence: string): void {
  notice.textContent = sentence;
  notice.hidden = sentence === "";
}

/** A button that is busy until its work is done, and says why where it could not be. */
export function button(label: string, work: () => Promise<void> | void): HTMLButtonElement {
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

/** Why something failed: what was refused, the contract's own error with its values, or what the wallet says. */
export function sentence(error: unknown): string {
  for (let cause = error as any; cause; cause = cause.cause) {
    if (cause instanceof Refusal) return cause.message;
    if (cause.code === 4001 || cause.name === "UserRejectedRequestError")
      return "You did not sign: nothing was sent. Try again when you want to.";
    if (cause.data?.errorName)
      return `The contract refuses: ${cause.data.errorName}(${(cause.data.args ?? []).join(", ")}).`;
    if (cause.name === "WaitForTransactionReceiptTimeoutError")
      return "The transaction is not in a block yet: look at it in your wallet.";
    if (cause.name === "InsufficientFundsError" || /insufficient funds/.test(cause.message ?? ""))
      return "The account cannot pay for the gas: send it some ether first.";
  }
  console.error(error);
  return "Something failed that this page does not know; the browser's console says more.";
}

/** Bars of numbers, each with its label; the largest fills the line. */
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
