// The connected account: of a wallet in the browser, or of the dev chain.
import { type Abi, type Address, type Hex, type TransactionReceipt, createPublicClient, createWalletClient, custom, defineChain, getAddress } from "viem";
import { type ChainState, rpc } from "./hub";
import { GONE, button, make, sentence, short } from "./page";
import { Refusal } from "./refusal";

type Provider = {
  request(call: { method: string; params?: unknown }): Promise<unknown>;
  on?(event: "accountsChanged", listener: (accounts: Address[]) => void): void;
};
type Announced = { info: { uuid: string; name: string; icon: string }; provider: Provider };
type Signer = { account: Address; provider: Provider; dev: boolean };

const WALLET = "verdict-wallet"; // in the local storage: the name of the last one
const found = new Map<string, Announced>();
window.addEventListener("eip6963:announceProvider", (event) => {
  const announced = (event as CustomEvent<Announced>).detail;
  if (found.has(announced.info.uuid)) return;
  found.set(announced.info.uuid, announced);
  if (dialog.open) fill();
  if (state) reconnect();
});

let state: ChainState;
let signer: Signer | null = null;
let accountChanged = () => {};

/** Calls `listener` when the account changes, until the next view sets another one. */
export function onAccount(listener: () => void): void {
  accountChanged = listener;
}

export const connected = (): Address | null => signer?.account ?? null;

export function requireAccount(): Address {
  if (signer) return signer.account;
  throw new Refusal("Connect an account first, at the top of this page.");
}

const relay: Provider = {
  async request({ method, params }) {
    const { result, error } = await rpc(method, params ?? []);
    if (error) throw Object.assign(new Error(error.message), error);
    return result;
  },
};

/** A client that reads from the chain through the hub. */
export function reader() {
  return createPublicClient({
    chain: described(),
    transport: custom(relay, { retryCount: 0 }),
    pollingInterval: 1000,
  });
}

function described() {
  return defineChain({
    id: state.chain_id,
    name: state.network,
    nativeCurrency: { name: "ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: [`${location.origin}/rpc`] } },
  });
}

export type Transaction = { address: Address; abi: Abi; functionName: string; args: readonly unknown[]; value?: bigint };

/** Sends a transaction to a contract and waits for its block. */
export async function send(transaction: Transaction, waiting: () => void = () => {}): Promise<TransactionReceipt> {
  requireAccount();
  const { account, provider } = signer!;
  await requireChain(provider);
  await requireCode(provider, transaction.address);
  const client = createWalletClient({ account, chain: described(), transport: custom(provider) });
  await reader().simulateContract({ ...transaction, account });
  const hash = await client.writeContract(transaction);
  waiting();
  const receipt = await reader().waitForTransactionReceipt({ hash, timeout: 120_000 });
  if (receipt.status === "reverted") throw new Refusal("The transaction reverted.");
  return receipt;
}

type TypedData = {
  domain: object;
  types: Record<string, { name: string; type: string }[]>;
  primaryType: string;
  message: Record<string, unknown>;
};

/** Lets the connected account sign typed data (EIP-712). */
export async function signTyped(data: TypedData): Promise<Hex> {
  requireAccount();
  const { account, provider } = signer!;
  await requireChain(provider);
  const client = createWalletClient({ account, chain: described(), transport: custom(provider) });
  return client.signTypedData(data as never);
}

const UNKNOWN_CHAIN = 4902; // an error of wallets

async function requireChain(provider: Provider): Promise<void> {
  const wanted = `0x${state.chain_id.toString(16)}`;
  const there = async () => (await provider.request({ method: "eth_chainId" })) === wanted;
  if (await there()) return;
  await provider
    .request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] })
    .catch((error) => (error?.code === UNKNOWN_CHAIN ? add(provider, wanted) : null))
    .catch(() => null);
  if (!(await there()))
    throw new Refusal(
      `Your wallet is on another chain: switch it to ${state.network} (${state.chain_id}), then try again.`,
    );
}

/** Offers the wallet a chain that it does not know, with the hub as its node. */
function add(provider: Provider, chainId: string): Promise<unknown> {
  const { name: chainName, nativeCurrency, rpcUrls } = described();
  const chain = { chainId, chainName, nativeCurrency, rpcUrls: rpcUrls.default.http };
  return provider.request({ method: "wallet_addEthereumChain", params: [chain] });
}

/** Refuses an address without code, where a transaction would have no effect but its cost. */
async function requireCode(provider: Provider, address: Address): Promise<void> {
  if ((await provider.request({ method: "eth_getCode", params: [address, "latest"] })) === "0x")
    throw new Refusal(`${GONE} Nothing was sent.`);
}

export function start(chain: ChainState): void {
  state = chain;
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  const own = (window as { ethereum?: Provider }).ethereum;
  if (own && found.size === 0)
    found.set("window", { info: { uuid: "window", name: "Wallet of this browser", icon: "" }, provider: own });
  opener.hidden = false;
  reconnect();
}

/** Uses the wallet of the last visit again, if it still allows that. */
function reconnect(): void {
  const last = [...found.values()].find(({ info }) => info.name === localStorage.getItem(WALLET));
  if (last && !signer) connect(last, "eth_accounts").catch(() => {});
}

const dialog = make("dialog", { "aria-labelledby": "choose", closedby: "any" });
const opener = make("button", { type: "button", "aria-haspopup": "dialog", hidden: true, click: open }, "Connect");
document.querySelector("#wallet")!.append(opener, dialog);

function open(): void {
  fill();
  dialog.showModal();
}

/** Fills the dialog with what people can choose. */
function fill(): void {
  const wallets = [...found.values()].map((one) => {
    const { name, icon } = one.info;
    const choice = chosen(name, () => connect(one));
    if (icon?.startsWith("data:image/")) choice.prepend(make("img", { src: icon, alt: "" }));
    return make("li", {}, choice);
  });
  const leave = chosen("Disconnect", () => {
    localStorage.removeItem(WALLET);
    use(null);
  });
  dialog.replaceChildren(
    make("h2", { id: "choose" }, "Choose an account"),
    wallets.length ? make("ul", { class: "choices" }, ...wallets) : make("p", {}, "No wallet found in this browser: install one to submit proofs."),
    ...(state.dev ? [devAccounts()] : []),
    make("p", {}, ...(signer ? [leave] : []), chosen("Cancel", () => {})),
  );
}

/** A button that closes the dialog. */
const chosen = (label: string, work: () => unknown): HTMLButtonElement =>
  button(label, () => {
    dialog.close();
    return work();
  });

/** The test accounts of a dev chain, for which the hub's node signs: their private keys are public. */
function devAccounts(): HTMLElement {
  const list = make("ul", { class: "choices", "aria-labelledby": "dev" });
  relay
    .request({ method: "eth_accounts" })
    .then((accounts) => {
      for (const [number, one] of (accounts as Address[]).map((account) => getAddress(account)).entries())
        list.append(make("li", {}, chosen(`${number}: ${short(one)}`, () => use({ account: one, provider: relay, dev: true }))));
    })
    .catch((error) => list.replaceWith(make("p", { class: "wrong" }, sentence(error))));
  return make("section", {}, make("h3", { id: "dev" }, "Dev accounts of this hub"), list);
}

async function connect({ info, provider }: Announced, method = "eth_requestAccounts"): Promise<void> {
  const choose = ([first]: Address[]) => {
    if (first) localStorage.setItem(WALLET, info.name);
    use(first ? { account: first, provider, dev: false } : null);
  };
  choose((await provider.request({ method })) as Address[]);
  provider.on?.("accountsChanged", (accounts) => {
    if (signer?.provider === provider) choose(accounts);
  });
}

function use(account: Signer | null): void {
  signer = account;
  opener.textContent = account ? `${account.dev ? "dev account" : "connected"} ${short(account.account)}` : "Connect";
  opener.title = account?.account ?? "";
  accountChanged();
}
