"""Change one line of the product at a time, and list the changes that no test notices.

`make mutants` runs it; docs/mutants.md describes it and argues the changes that may survive.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tests.changes import changed_lines, compiles
from zk.files import ROOT

SOURCES = ("contracts", "zk", "cairo", "apps", "chain", "hub", "modellers", "models/data")
# Files without code, and files whose lines are drawn four times as often.
PROSE = ("contracts/interfaces/",)
CRITICAL = (
    *("contracts/", "zk/binding.py", "zk/layout.py", "zk/slim.py", "zk/proof.py"),
    "zk/batches.py",
    *("zk/r1cs/", "zk/groth16/"),
    *("zk/witness.py", "zk/verifier.py", "zk/solc.py", "hub/gate.py", "hub/jobs.py"),
)
# The tests of each file, the fastest first. The longest prefix of a path decides.
TESTS = {
    "contracts/": "chain/test_numbers.py chain/test_join.py chain/test_judge.py",
    "contracts/Clan.sol": (
        "chain/test_numbers.py chain/test_join.py chain/test_consents.py chain/test_batches.py"
    ),
    "contracts/base/AttestedApplication.sol": "chain/test_attestations.py",
    "contracts/base/BatchedApplication.sol": "chain/test_batches.py",
    "contracts/libraries/Outputs.sol": "chain/test_numbers.py chain/test_batches.py",
    "contracts/VoiceJudge.sol": "chain/test_rounds.py chain/test_singers.py chain/test_judge.py",
    "contracts/libraries/MerkleTree.sol": "chain/test_singers.py",
    "zk/arrays.py": "circuits/test_arrays.py",
    "zk/audit/batch.py": "circuits/test_circuits_for_batches.py",
    "zk/audit/": "circuits/test_audit.py circuits/test_audit_build.py",
    "zk/audit/constraints.py": "circuits/test_groth16.py chain/test_groth16_clan.py",
    "zk/audit/powers.py": "circuits/test_groth16.py",
    "zk/audit/reach.py": "circuits/test_audit_reach.py circuits/test_audit_families.py",
    "zk/audit/checks.py": "circuits/test_audit_families.py circuits/test_audit.py",
    "zk/audit/curve.py": "circuits/test_audit_families.py",
    "zk/audit/groth16.py": "circuits/test_audit_families.py",
    "zk/audit/interfaces.py": "circuits/test_audit_families.py",
    "zk/audit/machine.py": "circuits/test_machine.py circuits/test_audit_families.py",
    "zk/audit/plonk.py": "circuits/test_audit_families.py",
    "zk/audit/syntax.py": "circuits/test_audit.py circuits/test_audit_families.py",
    "zk/audit/verifying.py": "circuits/test_audit.py circuits/test_audit_families.py",
    "zk/batches.py": "circuits/test_circuits_for_batches.py",
    "zk/binding.py": (
        "circuits/test_binding.py circuits/test_choices.py circuits/test_circuits_for_batches.py"
    ),
    "zk/build.py": "circuits/test_build.py",
    "zk/child.py": "circuits/test_processes.py",
    "zk/circuit.py": "circuits/test_samples.py circuits/test_limits.py",
    "zk/downloads.py": "circuits/test_srs.py",
    "zk/errors.py": "circuits/test_files.py",
    "zk/ezkl.py": (
        "circuits/test_ezkl.py circuits/test_verifier.py circuits/test_proof.py "
        "circuits/test_srs.py circuits/test_slim.py"
    ),
    "zk/files.py": "circuits/test_files.py",
    "zk/groth16/": "circuits/test_groth16.py",
    "zk/groth16/verifier.py": "chain/test_groth16_clan.py",
    "zk/journal.py": "circuits/test_files.py",
    "zk/layout.py": "circuits/test_layout.py circuits/test_circuits_for_batches.py",
    "zk/limits.py": "circuits/test_limits.py",
    "zk/manifest.py": "circuits/test_manifest.py",
    "zk/private.py": "circuits/test_private.py",
    "zk/processes.py": "circuits/test_files.py circuits/test_processes.py",
    "zk/proof.py": "circuits/test_proof.py circuits/test_processes.py circuits/test_groth16.py",
    "zk/r1cs/": "circuits/test_r1cs.py",
    "zk/rewriting.py": "circuits/test_rewriting.py",
    "zk/samples.py": "circuits/test_samples.py",
    "zk/slim.py": "circuits/test_slim.py",
    "zk/solc.py": "circuits/test_verifier.py circuits/test_audit.py",
    "zk/srs.py": "circuits/test_srs.py",
    "zk/steps.py": "circuits/test_build.py circuits/test_groth16.py",
    "zk/translation.py": "circuits/test_translation.py",
    "zk/tuning/": "circuits/test_tuner.py",
    "zk/tuning/defaults.py": "circuits/test_defaults.py",
    "zk/verifier.py": "circuits/test_verifier.py",
    "zk/witness.py": "circuits/test_witness.py",
    "apps/": "chain/test_applications.py",
    "apps/attestations.py": "chain/test_attestations.py",
    "apps/audit.py": (
        "chain/test_batches.py chain/test_audit_deployment.py commands/test_groth16_commands.py"
    ),
    "apps/drafts.py": "commands/test_new_applications.py",
    "apps/registry.py": "chain/test_applications.py commands/test_prove.py",
    "apps/rules.py": "chain/test_applications.py commands/test_new_applications.py",
    "hub/batches.py": "serving/test_transactions.py",
    "hub/relay.py": "serving/test_transactions.py hub/test_relaying.py",
    "apps/batches.py": "commands/test_batch_commands.py",
    "apps/claims.py": "commands/test_prove.py commands/test_batch_commands.py",
    "apps/consents.py": "chain/test_consents.py",
    "apps/circuits.py": "circuits/test_circuits_by_name.py",
    "apps/singers.py": "chain/test_singers.py",
    "apps/voice.py": "chain/test_applications.py chain/test_singers.py",
    "chain/": "chain/test_contracts.py chain/test_front_runner.py",
    "chain/accounts.py": "chain/test_contracts.py commands/test_clan_commands.py",
    "chain/contracts.py": (
        "chain/test_contracts.py chain/test_front_runner.py chain/test_batches.py "
        "serving/test_relay.py chain/test_edited_code.py commands/test_deploy.py"
    ),
    "chain/deployments.py": "chain/test_deployments.py",
    "chain/sending.py": (
        "chain/test_sending.py chain/test_contracts.py chain/test_front_runner.py"
    ),
    "hub/": "serving/test_service.py serving/test_relay.py serving/test_circuits.py",
    "hub/aside.py": "serving/test_circuits.py",
    "hub/chain.py": "serving/test_relay.py",
    "hub/circuits.py": "serving/test_circuits.py",
    "hub/client.py": "serving/test_client.py",
    "hub/connections.py": "serving/test_connections.py",
    "hub/dispatcher.py": "serving/test_dispatcher.py",
    "hub/gate.py": "serving/test_gate.py",
    "hub/jobs.py": "serving/test_jobs.py",
    "hub/limits.py": "serving/test_gate.py serving/test_connections.py",
    "hub/proving.py": "serving/test_circuits.py",
    "cairo/": "cairo/test_arithmetic.py cairo/test_transpile.py cairo/test_programs.py",
    "modellers/": "modellers/test_training.py modellers/test_modellers.py",
    "modellers/archives.py": "modellers/test_archives.py",
    "models/data/": "models/test_drawings.py models/test_data.py",
    "models/data/noises.py": "models/test_noises.py",
    "models/data/picture.py": "models/test_picture.py",
    "models/data/sound.py": "models/test_sound.py",
    "models/data/synthetic.py": "models/test_synthetic.py",
    "models/data/voices.py": "models/test_corpora.py models/test_voices.py",
}
# Folders that are not in git, but that the tests would make again.
BUILT = ("artifacts", "contracts/verifiers", ".build", ".cache", "web/dist")
TOOLS = (".venv", "node_modules")
ARGUED = ROOT / "docs" / "mutants.md"


@dataclass(frozen=True)
class Mutant:
    """A changed line of a file."""

    file: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.before.strip()} -> {self.after.strip() or '(gone)'}"

    @property
    def content(self) -> str:
        """The whole file with the changed line."""
        lines = (ROOT / self.file).read_text().split("\n")
        assert lines[self.line - 1] == self.before, f"{self.file} changed meanwhile: run it again"
        return "\n".join([*lines[: self.line - 1], self.after, *lines[self.line :]])

    @property
    def valid(self) -> bool:
        return compiles(self.file, self.content)

    @property
    def argued(self) -> bool:
        """True if a line of the documentation names this change."""
        change = f"`{self.before.strip()}` → `{self.after.strip()}`".replace("|", r"\|")
        lines = ARGUED.read_text().splitlines()
        return any(change in line and f"`{self.file}`" in line for line in lines)


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file."""
    source = (ROOT / file).read_text()
    lines = source.split("\n")
    changed = changed_lines(source, solidity=file.endswith(".sol"))
    return [Mutant(file, number, lines[number - 1], after) for number, after in changed]


def sources() -> list[str]:
    """Return the files that mutants may change."""
    listed = subprocess.run(["git", "ls-files", *SOURCES], cwd=ROOT, capture_output=True, text=True)
    files = [file for file in listed.stdout.split() if file.endswith((".py", ".sol"))]
    return [file for file in files if not file.startswith(PROSE)]


def draw(seed: int, count: int, only: Iterable[str] = ("",)) -> list[Mutant]:
    """Draw mutants: one of each file, and the others by the number of its lines."""
    files = [file for file in sources() if file.startswith(tuple(only))]
    shuffled = {file: mutants for file in files if (mutants := mutants_of(file))}
    for file, mutants in shuffled.items():
        random.Random(f"{seed} {file}").shuffle(mutants)
    weights = {f: len((ROOT / f).read_text().split("\n")) for f in shuffled}
    weights = {f: w * 4 if f.startswith(CRITICAL) else w for f, w in weights.items()}
    drawn: dict[str, list[Mutant]] = {file: [] for file in shuffled}
    while sum(map(len, drawn.values())) < count and any(shuffled.values()):
        file = min((f for f in shuffled if shuffled[f]), key=lambda f: len(drawn[f]) / weights[f])
        mutant = shuffled[file].pop()
        if mutant.valid:
            drawn[file].append(mutant)
    return [mutant for mutants in drawn.values() for mutant in mutants]


@contextmanager
def open_folder(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder that others can enter: PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="mutants-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def copy_project(folder: Path) -> None:
    """Copy the files of git and what was built from them; the tools are shared."""
    subprocess.run(["git", "init", "--quiet", folder], check=True)  # some tests list the files
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    for file in (file for file in listed if (ROOT / file).is_file()):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, folder / file)
    for built in (built for built in BUILT if (ROOT / built).is_dir()):
        shutil.copytree(ROOT / built, folder / built, dirs_exist_ok=True)
    for tool in TOOLS:
        (folder / tool).symlink_to(ROOT / tool)


def suite_of(file: str) -> list[str]:
    """Return the tests of a file, in their order."""
    prefix = max((prefix for prefix in TESTS if file.startswith(prefix)), key=len)
    return [f"tests/{test}" for test in TESTS[prefix].split()]


def run_tests(project: Path, tests: list[str], limit: float | None = None) -> str:
    """Run tests of a copy; return "passed", "failed" or, after `limit` seconds, "hung"."""
    temporary = project / ".tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["ape", "test", *tests, "-x", "-q", "-p", "no:cacheprovider"]
    with (
        (project / ".tests.log").open("w") as log,
        subprocess.Popen(
            words, cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            return "failed" if process.wait(limit) else "passed"
        except subprocess.TimeoutExpired:
            return "hung"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Copies:
    """Copies of the project, in which the tests pass, and the time that they take."""

    def __init__(self, folder: Path) -> None:
        self.original, self.seconds = folder / "original", dict[str, float]()
        copy_project(self.original)

    def require_passing(self, tests: list[str]) -> None:
        key, started = " ".join(tests), time.monotonic()
        if key not in self.seconds:
            if run_tests(self.original, tests) != "passed":
                log = (self.original / ".tests.log").read_text()
                sys.exit(f"{log}\nThese tests fail without a mutant: {key}. Repair them first.")
            self.seconds[key] = time.monotonic() - started

    def outcome(self, mutant: Mutant) -> str:
        tests = suite_of(mutant.file)
        with open_folder(self.original.parent) as folder:
            project = folder / "project"
            shutil.copytree(self.original, project, symlinks=True)
            (project / mutant.file).write_text(mutant.content)
            return run_tests(project, tests, 60 + 4 * self.seconds[" ".join(tests)])


def main() -> None:
    options = parsed()
    mutants = draw(options.seed, options.count, options.only)
    outcomes: list[str] = []
    unargued = 0
    with open_folder() as folder:
        copies = Copies(folder)
        for mutant in tqdm(mutants, "run the tests without mutants", leave=False):
            copies.require_passing(suite_of(mutant.file))
        with ThreadPoolExecutor(options.workers) as pool:
            running = {pool.submit(copies.outcome, mutant): mutant for mutant in mutants}
            for done in tqdm(as_completed(running), "mutants", len(running)):
                mutant, outcome = running[done], done.result()
                outcomes.append(outcome)
                if outcome == "passed":
                    unargued += not mutant.argued
                    tqdm.write(f"{mutant}{'  (see docs/mutants.md)' if mutant.argued else ''}")
    print(
        f"Of {len(mutants)} mutants, {outcomes.count('passed')} survived, {unargued} of them "
        "without a reason in docs/mutants.md. "
        f"{outcomes.count('hung')} hung, which counts as noticed."
    )
    sys.exit(unargued > 0)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description="Change one line at a time, and list the changes that no test notices.",
        epilog="Example: python -m tests.mutants --only zk/proof.py zk/audit/ --count 40",
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="Files or folders to change (default: all)."
    )
    parser.add_argument("--seed", type=int, default=1, help="Choice of mutants (default: 1).")
    parser.add_argument("--count", type=int, default=160, help="Number of mutants (default: 160).")
    parser.add_argument("--workers", type=int, default=2, help="Tests at once (default: 2).")
    return parser.parse_args()


if __name__ == "__main__":
    main()
