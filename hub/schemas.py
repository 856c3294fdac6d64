"""What goes in and out of the hub's HTTP interface."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST_CLIP = 12_000_000  # characters of base64: thirty seconds of studio quality
Number = Annotated[float, Field(allow_inf_nan=False)]


class Input(BaseModel):
    """What a model is to look at: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    drawing: Annotated[str, Field(pattern=r"^[01]{784}$")] | None = Field(
        None, description="28x28 pixels, row by row: 1 is a stroke."
    )
    clip: Annotated[str, Field(max_length=LARGEST_CLIP)] | None = Field(
        None, description="A recording in wav, flac or ogg, in base64."
    )
    input: Annotated[list[Number], Field(min_length=1, max_length=1_000_000)] | None = Field(
        None, description="The model's input itself, flat."
    )

    @model_validator(mode="after")
    def one(self) -> "Input":
        if sum(value is not None for value in (self.drawing, self.clip, self.input)) != 1:
            raise ValueError("give one of drawing, clip and input")
        return self


class Logits(BaseModel):
    """What a digit reader says: the largest logit's digit, the lowest of equal ones."""

    kind: Literal["digit"] = "digit"
    digit: int
    logits: list[float]


class Score(BaseModel):
    """What a judge says, in units of 1e-18 and as people write it."""

    kind: Literal["score"] = "score"
    score: str
    written: str


class Outputs(BaseModel):
    """What any other model says."""

    kind: Literal["outputs"] = "outputs"
    outputs: list[float]


Result = Annotated[Logits | Score | Outputs, Field(discriminator="kind")]


class ProofOrder(Input):
    """A proof to be made: of what, for whom."""

    account: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
    round: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Of VoiceJudge; the newest if left out."
    )


class ProofFile(BaseModel):
    """A proof as its file holds it."""

    model_config = ConfigDict(extra="forbid")

    circuit: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=64)]
    proof: Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=100_000)]
    instances: Annotated[
        list[Annotated[str, Field(pattern=r"^0x[0-9a-f]{1,64}$")]], Field(max_length=1000)
    ]


class Progress(BaseModel):
    """How far a job is. `typical_seconds` is the median of the circuit's last proofs."""

    ahead: int = Field(description="Jobs that come first.")
    step: str | None = Field(description="What the worker does.")
    elapsed_seconds: float
    typical_seconds: float | None


class JobState(BaseModel):
    """A job, from its order to its end."""

    id: str
    state: Literal["queued", "proving", "done", "failed"]
    circuit: str
    account: str
    round: int | None
    created: float
    progress: Progress | None
    proof: ProofFile | None
    result: Result | None
    reason: str | None


class Verification(BaseModel):
    """Whether a proof is valid, and what it says. For whom it is, the contract tells."""

    valid: bool
    reason: str | None
    key: str | None = None
    account: str | None = None
    result: Result | None = None


class CircuitState(BaseModel):
    """What everybody may know of a circuit."""

    name: str
    application: str | None
    takes: list[str]
    shape: list[int]
    files: dict[str, str]
    manifest: dict[str, Any]


class Picture(BaseModel):
    """A recording's spectrogram: rows of pitch from the lowest, 0 is silence, 255 the loudest."""

    width: int
    height: int
    levels: str = Field(description="A byte a point in base64, row by row.")


class Prediction(BaseModel):
    result: Result
    picture: Picture | None


class Health(BaseModel):
    workers: int
    jobs: int = Field(description="Jobs that have not ended.")


class Application(BaseModel):
    """A contract that believes a circuit."""

    application: str
    contract: str
    verifier: str
    block: int = Field(description="From which on its events come.")
    setup: str
    abi: list[dict[str, Any]]


class ChainState(BaseModel):
    """The chain for which proofs are made, and what stands on it."""

    chain_id: int
    network: str
    dev: bool
    tokens: bool = Field(description="Whether this hub asks for one.")
    explorer: str | None
    applications: dict[str, Application]


class Call(BaseModel):
    """A JSON-RPC request."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: int | str | None = None
    method: Annotated[str, Field(max_length=64)]
    params: Annotated[list[Any], Field(max_length=8)] = []
