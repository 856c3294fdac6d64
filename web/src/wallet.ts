// The connected account: of a wallet in the browser, or of the dev chain.
import { type Abi, type Address, type Hex, type TransactionReceipt, createPublicClient, createWalletClient, custom, defineChain, getAddress } from "viem";
import { type ChainState, rpc } from "./hub";
import { GONE, button, make, say, sentence, short } from "./page";
import { Refusal } from "./refusal";

type Provider = {
  request(call: { method: string; params?: unknown }): Promise<unknown>;
  on?(event: "accountsChanged", listener: (accounts: Address[]) => void): void;
};
type Announced = { info: { uuid: string; name: string }; provider: Provider };
type Signer = { account: Address; provider: Provider; dev: boolean };

const WALLET = "verdict-wallet"; // in the local storage: the name of the last one
const found = new Map<string, Announced>();
window.addEventListener("eip6963:announceProvider", (event) => {
  const announced = (event as CustomEvent<Announced>).detail;
  found.set(announced.info.uuid, announced);
  changed();
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

const place = document.querySelector<HTMLDivElement>("#wallet")!;

export function start(chain: ChainState): void {
  state = chain;
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  const own = (window as { ethereum?: Provider }).ethereum;
  if (own && found.size === 0)
    found.set("window", { info: { uuid: "window", name: "wallet" }, provider: own });
  changed();
  reconnect();
}

/** Uses the wallet of the last visit again, if it still allows that. */
function reconnect(): void {
  const last = [...found.values()].find(({ info }) => info.name === localStorage.getItem(WALLET));
  if (last && !signer) connect(last, "eth_accounts").catch(() => {});
}

function changed(): void {
  if (!state) return;
  const choices = [...found.values()].map((one) => button(`Connect ${one.info.name}`, () => connect(one)));
  if (signer) {
    const leave = button("Disconnect", () => {
      localStorage.removeItem(WALLET);
      use(null);
    });
    const whose = signer.dev ? "dev account" : "connected";
    place.replaceChildren(make("span", { title: signer.account }, `${whose} ${short(signer.account)}`), leave);
  } else if (state.dev) {
    place.replaceChildren(devAccounts(), ...choices);
  } else if (choices.length) place.replaceChildren(...choices);
  else place.replaceChildren("No wallet found in this browser: install one to submit proofs.");
}

/** A choice of the test accounts of a dev chain, whose private keys are public. */
function devAccounts(): HTMLElement {
  const select = make("select", { "aria-label": "Dev account" }, make("option", { value: "" }, "Dev account…"));
  relay
    .request({ method: "eth_accounts" })
    .then((accounts) => {
      for (const [number, one] of (accounts as Address[]).map((account) => getAddress(account)).entries())
        select.append(make("option", { value: one }, `${number}: ${short(one)}`));
    })
    .catch((error) => say(sentence(error)));
  select.addEventListener("change", () => {
    use({ account: select.value as Address, provider: relay, dev: true });
  });
  return select;
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

function use(chosen: Signer | null): void {
  signer = chosen;
  changed();
  accountChanged();
}
