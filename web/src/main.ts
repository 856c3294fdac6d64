// The page: the navigation, and the view that the URL's hash names.
import { apps } from "./apps/registry";
import * as hub from "./hub";
import { button, make, say, sentence } from "./page";
import { verify } from "./verify";
import { onAccount, start } from "./wallet";

const PULSE = 5000; // milliseconds between two looks at the chain
const view = document.querySelector<HTMLElement>("#view")!;
const navigation = document.querySelector<HTMLElement>("nav")!;
navigation.prepend(...apps.map(({ circuit, label }) => make("a", { href: `#${circuit}` }, label)));

let state: hub.ChainState | null = null;
let shown = new AbortController();
let genesis: string | null = null; // the hash of the first block
let problem: string | null = null; // what is wrong with the chain

async function show(): Promise<void> {
  shown.abort();
  shown = new AbortController();
  onAccount(() => {});
  say("");
  const [name = "", ...link] = location.hash.slice(1).split("/");
  const app = apps.find(({ circuit }) => circuit === name) ?? apps[0]!;
  const current = name === "verify" ? name : app.circuit;
  for (const link of navigation.querySelectorAll("a"))
    if (link.hash === `#${current}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  const place = make("div"); // a view that finishes late fills a detached element
  view.replaceChildren(place);
  try {
    if (!state) {
      state = await hub.chain();
      if (state.tokens && !document.querySelector("header input")) document.querySelector("header")!.append(tokenField());
      start(state);
    }
    if (name === "verify") await verify(place, state, link);
    else await app.view(place, state, shown.signal);
  } catch (error) {
    say(sentence(error));
    if (!state) place.replaceChildren(make("p", {}, button("Try again", show)));
  }
}

/** Says at once what is wrong with the chain, and starts anew when it was reset or is back. */
async function watch(): Promise<void> {
  const now = await hub.health().catch(() => null);
  if (!now) return; // the page says that the hub does not respond when it is used
  const reset = genesis !== null && now.genesis !== null && now.genesis !== genesis;
  const back = problem !== null && now.problem === null;
  genesis = now.genesis ?? genesis;
  problem = now.problem;
  if (reset || back) {
    state = null;
    await show();
  }
  if (problem) say(problem);
}

/** The field for a token, if the hub requires one. */
function tokenField(): HTMLElement {
  const field = make("input", { type: "password", "aria-label": "Hub token", placeholder: "Hub token" });
  field.addEventListener("change", () => {
    hub.useToken(field.value.trim());
    start(state!);
    void show();
  });
  return field;
}

window.addEventListener("hashchange", show);
void show().then(watch);
setInterval(watch, PULSE);
