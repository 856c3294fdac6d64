"""The JSON that the hub's HTTP interface takes and returns."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apps.registry import Digit, Outputs, Score
from hub.jobs import State
from hub.limits import LARGEST_CLIP
from models.data.sound import FORMATS_IN_WORDS

Number = Annotated[float, Field(allow_inf_nan=False)]
Answer = Literal["accepted", "refused", "missing", "unreachable"]
Result = Annotated[Digit | Score | Outputs, Field(discriminator="kind")]


class Input(BaseModel):
    """An input of a model: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    drawing: Annotated[str, Field(pattern=r"^[01]{784}$")] | None = Field(
        default=None, description="28x28 pixels, row by row; 1 is a stroke."
    )
    clip: Annotated[str, Field(max_length=LARGEST_CLIP)] | None = Field(
        default=None, description=f"A recording in base64: {FORMATS_IN_WORDS}."
    )
    input: Annotated[list[Number], Field(min_length=1, max_length=1_000_000)] | None = Field(
        default=None, description="The input tensor of the model, flattened."
    )

    @model_validator(mode="after")
    def one(self) -> "Input":
        if sum(value is not None for value in (self.drawing, self.clip, self.input)) != 1:
            raise ValueError("give one of drawing, clip and input")
        return self


class ConsentOrder(BaseModel):
    """A consent of an account, as `ape run consent` signs it."""

    model_config = ConfigDict(extra="forbid")

    deadline: Annotated[int, Field(ge=0, lt=2**63)] = Field(description="Unix time.")
    signature: Annotated[str, Field(pattern=r"^0x[0-9a-f]{130}$")]


class ProofOrder(Input):
    """An order of a proof: the input, and the account that the proof is for."""

    account: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
    round: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        default=None, description="For applications with rounds. Default: the newest round."
    )

    consent: ConsentOrder | None = Field(
        default=None, description="The account's consent, if the hub shall relay."
    )
    relay: bool = Field(
        default=False, description="Prove it in a batch, and send it from the hub's account."
    )

    @model_validator(mode="after")
    def agreed(self) -> "ProofOrder":
        if self.relay != (self.consent is not None):
            raise ValueError("give a consent and relay together, or neither")
        return self


class ProofFile(BaseModel):
    """A proof file."""

    model_config = ConfigDict(extra="forbid")

    circuit: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=64)]
    proof: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=100_000)]
    instances: Annotated[
        list[Annotated[str, Field(pattern=r"^0x[0-9a-f]{1,64}$")]], Field(max_length=1000)
    ]


class Progress(BaseModel):
    """The progress of an open job."""

    ahead: int = Field(description="Jobs that are proved before this one.")
    step: str | None = Field(description="The worker's current step.")
    elapsed_seconds: float
    typical_seconds: float | None = Field(
        description="The median time of the circuit's latest proofs."
    )


class Mined(BaseModel):
    """A transaction of the hub that an application accepted for an account."""

    hash: str
    block: int
    gas: int = Field(description="The gas of the whole transaction.")
    result: int = Field(description="What the application recorded for the account.")


class JobState(BaseModel):
    """A job, from its order to its end."""

    id: str
    state: State
    circuit: str
    account: str
    round: int | None
    created: float = Field(description="Unix time of the order.")
    progress: Progress | None = Field(description="Null when the job has ended.")
    proof: ProofFile | None
    result: Result | None
    reason: str | None = Field(description="Why the job failed.")
    transaction: Mined | None = Field(default=None, description="Of a relayed job that is done.")


class Verification(BaseModel):
    """The check of a proof, by the circuit's key and by its application."""

    valid: bool
    reason: str | None = Field(description="Why the proof is not valid.")
    key: str | None = None
    account: str | None = Field(default=None, description="The account inside the proof's key.")
    result: Result | None = None
    round: int | None = Field(default=None, description="The round that the proof was made for.")
    answer: Answer = Field(
        description="Whether the application would accept the proof now; missing if the chain has "
        "no such contract, unreachable if the chain's node does not answer."
    )
    refusal: str | None = Field(description="Why the proof would not be accepted now, or null.")


class CircuitState(BaseModel):
    """The public description of a circuit."""

    name: str
    application: str | None
    takes: list[str] = Field(description="The kinds of input that an order can have.")
    shape: list[int] = Field(description="The shape of the model's input.")
    features: list[str] = Field(description="The names of the input's numbers, if it has any.")
    labels: list[str] = Field(description="The names of the outputs, if they have any.")
    files: dict[str, str] = Field(description="The SHA-256 of each file of the build.")
    manifest: dict[str, Any]


class Picture(BaseModel):
    """The spectrogram of a recording."""

    width: int
    height: int
    levels: str = Field(
        description="One byte per point in base64, row by row from the lowest pitch; 0 is silence, "
        "255 the loudest point."
    )


class Prediction(BaseModel):
    """The answer of the quantised model."""

    result: Result
    picture: Picture | None
    drawing: str | None = Field(description="The drawing, scaled and centred for the model.")


class Health(BaseModel):
    workers: int
    jobs: int = Field(description="Open jobs.")
    genesis: str | None = Field(description="The hash of the chain's first block.")
    problem: str | None = Field(description="What is wrong with the chain; null if nothing is.")


class Deployment(BaseModel):
    """The contract of a circuit on the connected chain."""

    application: str
    contract: str
    verifier: str
    block: int = Field(description="The block before the contract's first event.")
    srs: str = Field(description="ceremony, or insecure-dev: its maker can forge proofs.")
    relays: bool = Field(description="True if this hub sends the proofs of those who consent.")
    action: str = Field(description="The function that acts on a proof.")
    abi: list[dict[str, Any]]


class ChainState(BaseModel):
    """The chain that proofs are made for, and its contracts."""

    chain_id: int
    network: str
    dev: bool
    tokens: bool = Field(description="True if this hub requires a token.")
    explorer: str | None
    genesis: str | None = Field(description="The hash of the chain's first block.")
    problem: str | None = Field(description="What is wrong with the chain; null if nothing is.")
    applications: dict[str, Deployment] = Field(description="Those that the chain has now.")


class Call(BaseModel):
    """A JSON-RPC request."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: int | str | None = None
    method: Annotated[str, Field(max_length=64)]
    params: Annotated[list[Any], Field(max_length=8)] = []
