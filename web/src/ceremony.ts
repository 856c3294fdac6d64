// Contribute to a ceremony: open the file of the participant before, and save the one for the next.
import type { Contributed } from "./contribution";
import { button, fileField, make, next, save } from "./page";
import { Refusal } from "./refusal";

const MEANING =
  "The key of a circuit is made by several people. As long as one of them is honest, nobody can forge its proofs. " +
  "Your secret is drawn on this device, and forgotten: it is in no file, and in no request.";

export function ceremony(place: HTMLElement): void {
  let opened: File | null = null;
  const outcome = make("div", { "aria-live": "polite" });
  const name = make("input", { type: "text", "aria-label": "Your name", placeholder: "Your name", maxlength: "60" });
  const contribute = button("Contribute", async () => {
    if (!opened) throw new Refusal("Open the file first that the participant before you sent.");
    const words = make("p", {}, "Reading the file…");
    outcome.replaceChildren(words, make("progress", { "aria-label": "Contributing" }));
    try {
      const { circuit, names, text } = await made(await opened.text(), name.value.trim(), (step) => (words.textContent = step));
      save(`${circuit}-${names.length}.json`, text);
      outcome.replaceChildren(make("p", { class: "result" }, `The contributions to ${circuit} are ${names.join(", ")}. Send the new file to the next participant.`));
    } catch (error) {
      outcome.replaceChildren();
      throw error;
    }
  });
  const field = fileField("ceremony", "Drop the file of the ceremony here ", ".json", async (chosen) => {
    opened = chosen;
    outcome.replaceChildren();
  });
  place.replaceChildren(make("h2", {}, "Contribute to a ceremony"), make("p", {}, MEANING), field, make("p", {}, name), next(contribute), outcome);
}

/** Contributes in a worker, which ends with its secret. */
function made(text: string, name: string, step: (words: string) => void): Promise<Contributed> {
  const worker = new Worker(new URL("./contributor.ts", import.meta.url), { type: "module" });
  const done = new Promise<Contributed>((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => {
      if ("step" in data) step(data.step);
      else if ("result" in data) resolve(data.result);
      else reject("refusal" in data ? new Refusal(data.refusal) : new Error(data.error));
    });
    worker.addEventListener("error", () => reject(new Refusal("The worker of this page did not start: reload the page.")));
    worker.postMessage({ text, name });
  });
  return done.finally(() => worker.terminate());
}
