"""What the page's buttons start, and whose hands they are kept out of."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from sluice.loading.withdrawal import withdraw
from sluice.orchestration.page import permits
from sluice.orchestration.page.permits import write_permit
from sluice.registry import load_registry
from tests.orchestration.page.conftest import Airflow, Ledger, Users

ODD = "<b>a&'.csv"
OWN = {"Sec-Fetch-Site": "same-origin"}
FORGED = "This was not sent by a page of this server."


def permit_of(page: TestClient, path: str) -> str:
    """The token in a form, as a browser reads it."""
    response = page.get(path)
    assert response.status_code == 200
    (token,) = re.findall(r'name="permit" value="([^"]+)"', response.text)
    assert f'method="post" action="/sluice{path}"' in response.text
    return html.unescape(token)


def sent(page: TestClient, path: str, headers: Any = OWN, **fields: str) -> Response:
    return page.post(path, data=fields, headers=headers, follow_redirects=False)


@pytest.mark.parametrize(
    ("action", "dag", "parameters"),
    [
        ("withdraw", "sluice_withdraw", {"source": "orders", "file": ODD}),
        ("replay", "sluice_replay", {"source": "orders", "files": [ODD]}),
    ],
)
def test_a_button_starts_the_run_in_the_users_name(
    page: TestClient,
    ledger: Ledger,
    airflow: Airflow,
    action: str,
    dag: str,
    parameters: dict[str, Any],
) -> None:
    load_id = ledger.deliver(ODD, "1,ink,2\n")
    path = f"/loads/{load_id}/{action}"
    assert ODD not in page.get(path).text
    permit = permit_of(page, path)
    response = sent(page, path, permit=permit)
    assert response.status_code == 303
    ((run_id, run),) = airflow.runs.items()
    assert (run["dag_id"], run["conf"]) == (dag, {**parameters, "load_id": load_id})
    assert run["triggering_user_name"] == "ann"

    shown = page.get(response.headers["location"].removeprefix("/sluice"))
    assert shown.status_code == 200
    assert html.escape(ODD, quote=True).replace("&#x27;", "&#39;") in shown.text
    assert f'href="/dags/{dag}/runs/manual__' in shown.text
    assert "queued" in shown.text
    # Pressed twice, it is still one run.
    assert sent(page, path, permit=permit).headers["location"] == response.headers["location"]
    assert list(airflow.runs) == [run_id]


def test_files_of_a_source_are_loaded_again_by_their_days(
    page: TestClient, airflow: Airflow
) -> None:
    path = "/sources/orders/replay"

    def answered(**days: str) -> int:
        return sent(page, path, permit=permit_of(page, path), **days).status_code

    assert answered(first_day="2026-02-01", last_day="") == 303
    assert answered(first_day="2026-02-02", last_day="2026-02-01") == 400
    assert answered(first_day="{{ ds }}") == 400
    (run,) = airflow.runs.values()
    assert run["conf"] == {"source": "orders", "first_day": "2026-02-01", "last_day": None}


def test_a_form_that_is_sent_with_other_days_starts_another_run(
    page: TestClient, airflow: Airflow
) -> None:
    path = "/sources/orders/replay"
    permit = permit_of(page, path)
    days = ("2026-02-01", "2026-02-02", "2026-02-01")
    answers = [sent(page, path, permit=permit, first_day=day) for day in days]
    assert [answer.status_code for answer in answers] == [303] * 3
    first, second, again = (answer.headers["location"] for answer in answers)
    assert first == again != second
    assert [run["conf"]["first_day"] for run in airflow.runs.values()] == list(days[:2])


def declare(ledger: Ledger, **keys: str) -> None:
    """Say more of the source of orders."""
    entry = ledger.settings.registry / "sources" / "orders.yml"
    more = "".join(f"{key}: {value}\n" for key, value in keys.items())
    entry.write_text(entry.read_text() + more)
    ledger.registry = load_registry(ledger.settings.project)


def button(page: TestClient, path: str) -> tuple[str, str]:
    """How the button of a form looks, and what it says."""
    (found,) = re.findall(r'<button class="([^"]+)">([^<]+)<', page.get(path).text)
    return found


EVERY_OTHER = "the rows of every other file leave bronze"


def test_what_takes_the_place_of_everything_is_said(
    page: TestClient, ledger: Ledger, airflow: Airflow
) -> None:
    declare(ledger, write_disposition="replace")
    older, newer = (ledger.deliver(name, f"1,{name},2\n") for name in ("a.csv", "b.csv"))
    path = f"/loads/{older}/replay"
    assert EVERY_OTHER in page.get(path).text
    assert "Its old rows leave" not in page.get(path).text
    assert button(page, path) == ("danger", "Load it again")
    assert sent(page, path, permit=permit_of(page, path)).status_code == 303
    # The rows that are there are replaced by their own.
    path = f"/loads/{newer}/replay"
    assert EVERY_OTHER not in page.get(path).text
    assert button(page, path) == ("primary", "Load it again")
    permit = permit_of(page, path)
    assert EVERY_OTHER in page.get("/sources/orders/replay").text
    assert button(page, "/sources/orders/replay") == ("danger", "Load it again")
    assert "Load again: the file of orders" in page.get("/sources/orders/replay").text
    # What was said to be harmless is not done once it is not.
    ledger.deliver("c.csv", "1,c,2\n")
    assert sent(page, path, permit=permit).status_code == 403
    assert len(airflow.runs) == 1


def test_where_files_stand_beside_each_other_nothing_else_leaves(
    page: TestClient, ledger: Ledger
) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\n")
    for path in (f"/loads/{load_id}/replay", "/sources/orders/replay"):
        assert "every other file" not in page.get(path).text
        assert button(page, path)[0] == "primary"
    assert button(page, f"/loads/{load_id}/withdraw")[0] == "danger"


def test_a_withdrawal_is_asked_for_on_the_newest_rows(
    page: TestClient, ledger: Ledger, airflow: Airflow
) -> None:
    declare(ledger, on_changed_file="append")
    first = ledger.deliver("a.csv", "1,ink,2\n")
    path = f"/loads/{first}/withdraw"
    permit = permit_of(page, path)
    second = ledger.deliver("a.csv", "2,pen,2\n")
    response = sent(page, path, permit=permit)
    assert response.status_code == 409
    assert f"Rows of the same file came later, as load {second}" in response.text
    assert airflow.runs == {}
    assert page.get(f"/loads/{second}/withdraw").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
    ],
)
def test_what_another_site_sends_is_refused(
    page: TestClient, airflow: Airflow, headers: dict[str, str]
) -> None:
    path = "/sources/orders/replay"
    response = sent(page, path, headers, permit=permit_of(page, path))
    assert response.status_code == 403
    assert FORGED in response.text
    assert airflow.runs == {}


def test_a_browser_over_plain_http_says_it_in_origin(page: TestClient, airflow: Airflow) -> None:
    path = "/sources/orders/replay"
    headers = {"Origin": "http://testserver"}
    assert sent(page, path, headers, permit=permit_of(page, path)).status_code == 303
    assert len(airflow.runs) == 1


def test_a_form_is_good_for_its_user_its_action_and_an_hour(
    page: TestClient,
    airflow: Airflow,
    ledger: Ledger,
    users: Users,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, other = "/sources/orders/replay", "/sources/stock/replay"
    permit = permit_of(page, path)
    changed = permit[:-9] + ("A" if permit[-9] != "A" else "B") + permit[-8:]
    for token in ("", "x", changed, permit_of(page, other), write_permit("bob", path)):
        response = sent(page, path, permit=token)
        assert response.status_code == 403
        assert "This form is not valid" in response.text
    assert sent(page, path).status_code == 403
    users.name = "bob"
    assert sent(page, path, permit=permit).status_code == 403
    users.name = "ann"
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + permits.GOOD_FOR_SECONDS + 2)
    assert sent(page, path, permit=permit).status_code == 403
    assert airflow.runs == {}


def test_who_may_not_start_the_dag_gets_no_button_and_no_run(
    page: TestClient, airflow: Airflow, ledger: Ledger, users: Users
) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\n")
    users.may_start = False
    for path in ("/sources/orders", f"/loads/{load_id}"):
        assert "/replay" not in page.get(path).text
    path = f"/loads/{load_id}/withdraw"
    assert "Airflow does not let you start that DAG" in page.get(path).text
    assert "permit" not in page.get(path).text
    response = sent(page, path, permit=write_permit("ann", path))
    assert response.status_code == 403
    assert "Airflow does not let you start the DAG sluice_withdraw." in response.text
    assert airflow.runs == {}


def test_there_is_no_form_for_what_cannot_be_done(
    page: TestClient, airflow: Airflow, ledger: Ledger, users: Users
) -> None:
    load_id = ledger.deliver("a.csv", "1,ink,2\n")
    hidden = ledger.deliver("b.csv", "1,ink,2\n", source="stock")
    withdraw(ledger.settings, ledger.registry.source("orders"), "a.csv")
    users.reads = {"shop"}
    for path, status in (
        (f"/loads/{load_id}/withdraw", 409),
        (f"/loads/{hidden}/withdraw", 404),
        (f"/loads/{hidden}/replay", 404),
        ("/sources/stock/replay", 404),
    ):
        assert page.get(path).status_code == status
        permit = write_permit("ann", path)
        assert sent(page, path, permit=permit).status_code == status
    assert page.get("/runs/shop/x").status_code == 404
    assert page.get("/runs/sluice_replay/x").status_code == 404
    assert airflow.runs == {}
