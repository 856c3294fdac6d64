// The page: the navigation, and the view that the URL's hash names.
import { apps } from "./apps/registry";
import * as hub from "./hub";
import { button, make, say, sentence } from "./page";
import { verify } from "./verify";
import { onAccount, start } from "./wallet";

const view = document.querySelector<HTMLElement>("#view")!;
const navigation = document.querySelector<HTMLElement>("nav")!;
navigation.prepend(...apps.map(({ circuit, label }) => make("a", { href: `#${circuit}` }, label)));

let state: hub.ChainState | null = null;
let shown = new AbortController();

async function show(): Promise<void> {
  shown.abort();
  shown = new AbortController();
  onAccount(() => {});
  say("");
  const [name = "", packed = ""] = location.hash.slice(1).split("/");
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
      if (state.tokens) document.querySelector("header")!.append(tokenField());
      start(state);
    }
    if (name === "verify") await verify(place, state, packed);
    else await app.view(place, state, shown.signal);
  } catch (error) {
    say(sentence(error));
    if (!state) place.replaceChildren(make("p", {}, button("Try again", show)));
  }
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
void show();
