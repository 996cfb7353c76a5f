"""Claims: of processes that share work each part is done by one, whatever their threads wait for."""

from __future__ import annotations

from pathlib import Path

from commons import claims
from tests.processes import Forked

SHARE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from downstreams.parallel import shared

folder, backwards = Path(sys.argv[1]), bool(int(sys.argv[2]))

def do(part):
    if (folder / f"done {part}").exists():
        return
    (folder / f"doing {part}").touch(exist_ok=False)  # raises where the other process does this part
    time.sleep(0.03 * (1 + part % 3))
    (folder / f"done {part}").touch()
    (folder / f"doing {part}").unlink()

parts = list(range(10))
with ThreadPoolExecutor(2) as pool:
    shared(pool, parts[::-1] if backwards else parts, do, folder / "claims", str)
"""


def test_processes_with_threads_that_wait_for_each_other_do_no_part_twice_at_once(tmp_path: Path) -> None:
    """The system would call that a deadlock, and hand out both claims."""
    several = [Forked(SHARE, tmp_path, number) for number in (0, 1)]
    for process in several:
        _, errors = process.communicate(60)
        assert process.returncode == 0, errors
    assert len(list(tmp_path.glob("done *"))) == 10


HOLD = """
import sys, time
from pathlib import Path
from commons import claims

with claims.claimed(Path(sys.argv[1]) / "claims", "a"):
    (Path(sys.argv[1]) / "held").touch()
    while True:
        time.sleep(0.1)
"""


def test_an_attempt_waits_for_nobody_and_a_claim_ends_with_its_process(tmp_path: Path) -> None:
    holder, file = Forked(HOLD, tmp_path), tmp_path / "claims"
    while not (tmp_path / "held").exists():
        assert holder.poll() is None
    assert not claims.is_free(file, "a") and claims.is_free(file, "b")
    with claims.attempted(file, "a"):
        pass
    assert not claims.is_free(file, "a"), "the attempt did not end the other's claim"
    holder.kill()
    with claims.claimed(file, "a"):
        assert claims.is_free(file, "a"), "free for this process"
