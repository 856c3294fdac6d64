# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A good model, a bad model, and a proof that tells them apart
#
# This notebook trains two networks that read handwritten digits. The good one trains for 25
# epochs, the bad one for a single epoch. You then build a zero-knowledge circuit of each and let
# the bad one make a proof. The proof is genuine, but it fails under the good model's key: anyone
# with that key notices the switch.
#
# If `models-pkl.tar.gz` is in the folder below, both models are restored instead of trained.
# Remove it to train again. Remove `mnist-train-n-test.tar.gz` to fetch the data set again.

# %%
import sys

sys.path.append("..")

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown

from apps import circuits
from modellers.training import CALIBRATION, export, obtain_models, use_data
from models.data import drawing, mnist
from zk.build import build
from zk.errors import InvalidProofError
from zk.files import ROOT
from zk.proof import answer, prove, verify

# %% tags=["parameters"]
NETWORK = "lenet"  # a recipe of models/digits.py
CIRCUIT = "clan-lenet"  # the circuit whose tuned knobs fit the network
EPOCHS = None  # None: as many as the recipe says
FOLDER = ROOT / ".modellers"  # of both modellers
ARTIFACTS, VERIFIERS = circuits.ARTIFACTS, circuits.VERIFIERS


# %% [markdown]
# ## The data
#
# MNIST has 60,000 drawings to learn from and 10,000 to test with. Each pixel is 0 or 1: that is
# what people draw on the page.


# %%
def report(step):
    print(json.dumps(step))


use_data(FOLDER, report)
samples, labels = mnist.drawings("test", 16), mnist.labels("test")
figure, axes = plt.subplots(2, 8, figsize=(10, 3))
for ax, sample, label in zip(axes.flat, samples, labels, strict=False):
    ax.imshow(sample, cmap="gray_r")
    ax.set_title(label)
    ax.axis("off")

# %% [markdown]
# ## The training
#
# Both networks have the same layers and start from the same weights.

# %%
models = obtain_models(FOLDER, NETWORK, report, EPOCHS)
good, bad = models.values()
print(good.network)
print(f"good: {good.accuracy:.2%} of the test images, bad: {bad.accuracy:.2%}")

# %%
if good.history:
    losses, accuracies = zip(*good.history, strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
    left.plot(range(1, len(losses) + 1), losses, marker=".")
    left.set(xlabel="epoch", ylabel="mean loss")
    right.plot(range(1, len(losses) + 1), accuracies, marker=".")
    right.set(xlabel="epoch", ylabel="accuracy on the test images")
else:
    print("Both models were restored: there are no losses to show.")

# %% [markdown]
# ## What each model confuses
#
# A row is the digit in the drawing, a column the digit that the model reads.

# %%
views = drawing.VIEWS[NETWORK](mnist.drawings("test"))
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5))
for ax, (name, model) in zip(axes, models.items(), strict=True):
    with torch.no_grad():
        read = model.network(torch.from_numpy(views)).argmax(1).numpy()
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, read), 1)
    ax.imshow(np.log1p(confusion), cmap="Blues")
    for i, j in np.argwhere(confusion):
        ax.text(j, i, confusion[i, j], ha="center", va="center", fontsize=7)
    ax.set(title=f"{name}: {model.accuracy:.2%}", xlabel="read", ylabel="drawn")
    ax.set(xticks=range(10), yticks=range(10))

# %% [markdown]
# ## The exports
#
# A circuit is made of an ONNX file. The calibration data shows the circuit which values occur.

# %%
exports = FOLDER / "notebook"
export(exports, NETWORK, models, report)
for path in sorted(exports.iterdir()):
    print(f"{path.name:18} {path.stat().st_size:>9,} bytes")


# %% [markdown]
# ## Two circuits
#
# A build makes a proving key, a verification key and a Solidity verifier. The network is large
# for a circuit: each key has 800 MB and takes a minute.


# %%
def built(name, model):
    """Build the circuit of an exported model."""
    own = circuits.own_circuit(name, exports / f"{model}.onnx", exports / CALIBRATION, "Clan")
    tuned = replace(own, run_args=circuits.tuned(CIRCUIT))
    return build(tuned, artifacts=ARTIFACTS, verifiers=VERIFIERS, report=print)[0]


good_circuit = built("mnist", NETWORK)
bad_circuit = built("mnistbad", f"{NETWORK}-bad")
print(good_circuit["accuracy"])

# %% [markdown]
# ## The switch is noticed
#
# Choose a drawing that the two models read differently. Each model proves its own answer. A proof
# names the account that it is for: here 1.

# %%
ACCOUNT = 1


def reading(circuit, x):
    """The digit that a circuit's model reads."""
    return int(np.argmax(answer(circuit, x)))


def outcome(circuit, proof):
    """Verify a proof under a circuit's key."""
    try:
        verify(circuit, proof)
    except InvalidProofError:
        return "refused"
    return "accepted"


chosen = next(i for i, x in enumerate(views) if reading(good_circuit, x) != reading(bad_circuit, x))
print(drawing.as_text(mnist.drawings("test")[chosen]))
proofs = {
    "good model": prove(good_circuit, ACCOUNT, views[chosen]),
    "bad model": prove(bad_circuit, ACCOUNT, views[chosen]),
}
keys = {"good key": good_circuit, "bad key": bad_circuit}
outcomes = {
    (model, key): outcome(circuit, proof)
    for model, proof in proofs.items()
    for key, circuit in keys.items()
}
print(f"drawn: {labels[chosen]}")
for (model, key), found in outcomes.items():
    print(f"the proof of the {model}, under the {key}: {found}")
assert outcomes["good model", "good key"] == outcomes["bad model", "bad key"] == "accepted"
assert outcomes["bad model", "good key"] == "refused"

# %% [markdown]
# ## Open it in the hub
#
# The circuit of your good model is now one of the project's builds. Start a hub in a terminal,
# and it proves your model's answers for others.

# %%
Markdown(
    f"1. `ape run deploy --only {good_circuit['circuit']}` and `ape run hub`, in a terminal\n"
    f"2. [Open it in the hub](http://127.0.0.1:8000/v1/circuits/{good_circuit['circuit']})"
)
