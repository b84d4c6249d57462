"""The page's buttons in a real Airflow: who may, who may not, and whose name the run bears."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from sluice.local.airflow import airflow_address
from sluice.local.airflow_config import airflow_environment
from tests.orchestration.running_airflow import Instance

pytestmark = [pytest.mark.xdist_group("airflow"), pytest.mark.timeout(900)]

PATH = "/sources/orders/replay"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
LOGIN = """
import sys
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
user = SimpleAuthManagerUser(username=sys.argv[1], role=sys.argv[2])
print("said:" + create_auth_manager().generate_jwt(user))
"""
PERMIT = """
import sys
from sluice.orchestration.page.permits import write_permit
print("said:" + write_permit(sys.argv[1], sys.argv[2]))
"""


def said_by(instance: Instance, program: str, *arguments: str) -> str:
    """What a program says that has the instance's secrets."""
    output = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=airflow_environment(instance.settings),
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return output.rpartition("said:")[2].strip()


def browser(instance: Instance, name: str, role: str) -> httpx.Client:
    """What asks as a user of this role would, after a login."""
    url = airflow_address(instance.settings).url + "/sluice"
    cookies = {"_token": said_by(instance, LOGIN, name, role)}
    return httpx.Client(base_url=url, cookies=cookies, timeout=30)


def permit(client: httpx.Client) -> str:
    (token,) = re.findall(r'name="permit" value="([^"]+)"', client.get(PATH).text)
    return str(token)


def test_only_who_may_starts_a_run_and_it_bears_their_name(instance: Instance) -> None:
    forms, runs = len(instance.runs("sluice_replay")), len(instance.runs())
    form: dict[str, Any] = {"first_day": "2001-01-01", "last_day": "2001-01-02"}
    user, viewer = browser(instance, "uma", "user"), browser(instance, "vera", "viewer")
    form["permit"] = permit(user)

    address = f"{user.base_url}{PATH.removeprefix('/')}"
    assert httpx.post(address, data=form, headers=SAME_ORIGIN).status_code == 401
    assert viewer.post(PATH, data=form, headers=SAME_ORIGIN).status_code == 403
    assert user.post(PATH, data=form, headers={"Origin": "http://x.example"}).status_code == 403
    assert user.post(PATH, data=form).status_code == 403
    forged = {**form, "permit": form["permit"][:-2]}
    assert user.post(PATH, data=forged, headers=SAME_ORIGIN).status_code == 403
    assert len(instance.runs("sluice_replay")) == forms

    response = user.post(PATH, data=form, headers=SAME_ORIGIN)
    assert response.status_code == 303
    run = instance.wait_until_idle("sluice_replay", after=forms)
    assert (run["triggering_user_name"], run["triggered_by"]) == ("uma", "ui")
    del form["permit"]
    assert run["conf"] == {"source": "orders", **form}
    # Nothing arrived on those days: the form's run says so, and the page has it.
    assert run["state"] == "failed"
    shown = httpx.get(user.base_url.join(response.headers["location"]), cookies=user.cookies)
    assert "failed" in shown.text
    assert f'href="/dags/sluice_replay/runs/{quote(run["dag_run_id"])}"' in shown.text
    assert len(instance.runs()) == runs


def test_what_airflow_does_not_let_a_user_do_the_page_does_not_do(instance: Instance) -> None:
    viewer = browser(instance, "vera", "viewer")
    assert "Airflow does not let you start that DAG" in viewer.get(PATH).text
    before = len(instance.runs("sluice_replay"))
    # With a form that the page would not have given them.
    form = {"permit": said_by(instance, PERMIT, "vera", PATH)}
    response = viewer.post(PATH, data=form, headers=SAME_ORIGIN)
    assert response.status_code == 403
    assert "Airflow does not let you start the DAG sluice_replay." in response.text
    assert len(instance.runs("sluice_replay")) == before
