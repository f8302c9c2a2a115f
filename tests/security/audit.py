"""`make audit`: does PyPI know a vulnerability of anything that is pinned, in the control plane's lock or on the nodes?

pip-audit asks PyPI's own advisory database. Where that does not answer, nothing was audited, and this fails: pip-audit
itself would pass over each package that it can't look up.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

ROOT: Final = Path(__file__).parents[2]
DATABASE: Final = "https://pypi.org/pypi/{name}/{version}/json"
"""https://docs.pypi.org/api/json/#get-a-release: what is known of a release, with its vulnerabilities."""
ON_NODES: Final = ("requirements-cpu.txt", "requirements-cuda13.txt")
"""Complete lists; that for CUDA 12.9 is resolved on the node."""
_EXPORT: Final = ("export", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header", "--no-annotate")


def why_not(database: str = DATABASE) -> str:
    """Return why nothing can be audited from here; empty where it can."""
    # One that is there for certain; a mirror may have the files and not this.
    url = database.format(name="pip", version="24.0")
    try:
        answer = httpx.get(url, timeout=20, follow_redirects=True)
        found = "vulnerabilities" in answer.json() if answer.status_code == httpx.codes.OK else False
    except (httpx.HTTPError, ValueError) as error:
        return f"{url} can't be reached: {type(error).__name__}"
    return "" if found else f"{url} answers {answer.status_code}, but not as an advisory database does"


def commands(uv: str, folder: Path) -> list[list[str]]:
    """Return what is run: the lock written out with its hashes, then each list audited; what is not known fails."""
    locked = folder / "locked.txt"
    audit = [str(Path(sys.executable).parent / "pip-audit"), "--strict", "--disable-pip", "--progress-spinner=off"]
    of_nodes = [[*audit, "--no-deps", "--requirement", str(ROOT / "images" / name)] for name in ON_NODES]
    return [
        [uv, *_EXPORT, "--project", str(ROOT), "--output-file", str(locked)],
        [*audit, "--require-hashes", "--requirement", str(locked)],
        *of_nodes,
    ]


def main() -> int:
    """Return the exit code: 0 where nothing is known, 1 where something is, or nobody could be asked."""
    if reason := why_not():
        print(f"audit: nothing was audited: {reason}. Run `make audit` where it can be, as CI does.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        codes = [
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL if "export" in command else None).returncode
            for command in commands(sys.argv[1], Path(folder))
        ]
    if any(codes):
        print("audit: something is known, or could not be looked up: see above.", file=sys.stderr)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
