"""How a server listens: behind a proxy that it believes, or one that it does not."""

from pathlib import Path

import httpx
import pytest
import uvicorn

from automation.errors import Stopped
from control_plane.serve_command import _server
from control_plane.store.database import Database

from .workplace import Workplace


@pytest.mark.parametrize(("trusted", "is_secure"), [([], False), (["10.9.9.9"], False), (["127.0.0.0/8"], True)])
def test_the_cookie_is_secure_where_a_proxy_that_is_believed_says_so(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, trusted: list[str], is_secure: bool
) -> None:
    workplace.api.stop()
    made = _server(workplace.api.app, "127.0.0.1", workplace.api.port, trusted)
    monkeypatch.setattr(uvicorn, "Server", lambda _config: made)
    workplace.api.start()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    with httpx.Client(base_url=workplace.api.url, trust_env=False) as browser:
        answer = browser.post("/session", json={"token": workplace.token}, headers=headers)
    assert answer.status_code == httpx.codes.NO_CONTENT
    assert ("secure" in answer.headers["set-cookie"].lower()) is is_secure


def test_a_databases_url_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"sqlite:///{tmp_path}/own.sqlite\n")
    database = Database(f"@{file}")
    assert database.url == f"sqlite:///{tmp_path}/own.sqlite"
    database.close()
    with pytest.raises(Stopped) as refused:
        Database(f"@{tmp_path}/none")
    assert refused.value.code == "database_url"
