"""Import what all commands need, in the process that `tests.warm` forks for each of them."""

import gc
import importlib
from functools import cache

import ape_run._cli
from ape.utils import ManagerAccessMixin

from chain.compiler import application_contract
from zk.files import ROOT

LIBRARIES = [
    "ape._cli",
    "ape.api.convert",
    "ape.managers.chain",
    "ape.managers.networks",
    "ape_foundry.provider",
    "ape_node.provider",
    "ape_polygon.ecosystem",
    "ape_test.provider",
    "ape_solidity.compiler",
    "cryptography.x509",
    "distributed",
    "eth_hash.backends.pycryptodome",
    "ezkl",
    "fastapi",
    "numpy.typing",
    "onnx.compose",
    "prometheus_client",
    "psutil",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "tornado.web",
    "uvicorn",
    # Of the project, which a command in a copy of it forgets.
    "apps.audit",
    "apps.batches",
    "apps.clan",
    "apps.voice",
    "chain.deployments",
    "chain.sending",
    "hub.relay",
    "hub.server",
    "scripts._builds",
    "scripts._relay",
    "verdict.reports",
    "zk.build",
]

gc.disable()
for library in LIBRARIES:
    importlib.import_module(library)
# Ape compiles all scripts twice for each command.
compile_once = cache(compile)
for script in (ROOT / "scripts").glob("*.py"):
    compile_once(script.read_text(encoding="utf8"), script, "exec")
ape_run._cli.compile = compile_once  # type: ignore[attr-defined]
# Commands that call these contracts would ask the compiler for its kept answer.
for name in ("Clan", "VoiceJudge"):
    application_contract(name)
next(ManagerAccessMixin.plugin_manager.projects)  # reads what all installed packages say of Ape
gc.enable()
gc.freeze()  # a fork that looked at these objects would copy their memory
