// The page: the navigation, and the view that the URL's hash names.
import { type App, apps } from "./apps/registry";
import { generic } from "./generic";
import * as hub from "./hub";
import { forgetJob, keep, openJobs } from "./kept";
import { button, make, say, sentence } from "./page";
import { verify } from "./verify";
import { onAccount, start } from "./wallet";

const PULSE = 5000; // milliseconds between two looks at the chain
const view = document.querySelector<HTMLElement>("#view")!;
const navigation = document.querySelector<HTMLElement>("nav")!;
const checking = navigation.querySelector("a")!; // the link to the verify view

let state: hub.ChainState | null = null;
let shown = new AbortController();
let genesis: string | null = null; // the hash of the first block
let problem: string | null = null; // what is wrong with the chain

async function show(): Promise<void> {
  shown.abort();
  const { signal: ended } = (shown = new AbortController());
  onAccount(() => {});
  say("");
  takeToken();
  const [name = "", ...link] = location.hash.slice(1).split("/");
  navigate(name);
  const place = make("div"); // a view that finishes late fills a detached element
  view.replaceChildren(place);
  try {
    if (!state) {
      state = await hub.chain();
      if (state.tokens && !document.querySelector("header input")) document.querySelector("header")!.append(tokenField());
      start(state);
      navigate(name);
    }
    if (ended.aborted) return;
    if (name === "verify") await verify(place, state, link);
    else if (name === "ceremony") (await import("./ceremony")).ceremony(place);
    else await chosen(name).view(place, state, ended);
  } catch (error) {
    say(sentence(error));
    if (!state) place.replaceChildren(make("p", {}, button("Try again", show)));
  }
}

/** Takes the token of a link such as #token/abc, unless the page has one, and removes it from the address. */
function takeToken(): void {
  const [name, token] = location.hash.slice(1).split("/");
  if (name !== "token") return;
  if (token && !hub.hasToken()) hub.useToken(token);
  history.replaceState(null, "", "#");
}

/** The applications of the page, and the other ones that are deployed. */
function all(): App[] {
  const own = new Set(apps.map(({ application }) => application));
  const others = Object.entries(state?.applications ?? {}).filter(([, { application }]) => !own.has(application));
  return [...apps, ...others.map(([circuit, deployment]) => generic(circuit, deployment))];
}

const chosen = (name: string): App => all().find(({ circuit }) => circuit === name) ?? apps[0]!;

/** Links to all applications, and marks the current view. */
function navigate(name: string): void {
  const current = ["verify", "ceremony"].includes(name) ? name : chosen(name).circuit;
  const links = all().map(({ circuit, label }) => make("a", { href: `#${circuit}` }, label));
  navigation.replaceChildren(...links, checking);
  for (const link of navigation.querySelectorAll("a"))
    if (link.hash === `#${current}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
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

/** Waits for the jobs that were ordered before this page was loaded. */
function resume(): void {
  for (const id of openJobs())
    hub.ended(id).then(
      ({ proof, account, round }) => {
        if (proof) keep({ proof, account, round, made: Date.now() });
        say(proof ? "The proof that you ordered is ready: open it under Verify." : "The hub has sent the order that you signed.");
      },
      (error) => {
        forgetJob(id);
        say(sentence(error));
      },
    );
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
void show().then(watch).then(resume);
setInterval(watch, PULSE);
