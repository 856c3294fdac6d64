// The page: which view is shown, and what all of them need.
import { clan } from "./clan";
import * as hub from "./hub";
import { button, make, say, sentence } from "./page";
import { verify } from "./verify";
import { voice } from "./voice";
import { onAccount, start } from "./wallet";

const view = document.querySelector<HTMLElement>("#view")!;
let state: hub.ChainState | null = null;
let shown = new AbortController();

async function show(): Promise<void> {
  shown.abort();
  shown = new AbortController();
  onAccount(() => {});
  say("");
  const [name = "", rest = ""] = location.hash.slice(1).split("/");
  for (const link of document.querySelectorAll("nav a"))
    link.toggleAttribute("aria-current", link.getAttribute("href") === `#${name || "clan"}`);
  const place = make("div"); // a view that comes too late fills what nobody sees
  view.replaceChildren(place);
  try {
    if (!state) {
      state = await hub.chain();
      if (state.tokens) document.querySelector("header")!.append(tokenField());
      start(state);
    }
    if (name === "voice") await voice(place, state, shown.signal);
    else if (name === "verify") await verify(place, state, rest);
    else await clan(place, state, shown.signal);
  } catch (error) {
    say(sentence(error));
    if (!state) place.replaceChildren(make("p", {}, button("Try again", show)));
  }
}

/** Where a hub beyond this machine wants to know who asks. */
function tokenField(): HTMLElement {
  const field = make("input", { type: "password", "aria-label": "Token of this hub", placeholder: "Token of this hub" });
  field.addEventListener("change", () => {
    hub.useToken(field.value.trim());
    start(state!);
    void show();
  });
  return field;
}

window.addEventListener("hashchange", show);
void show();
