"""``sluice notify``: what has not been told, and a test message."""

from __future__ import annotations

from tests.cli.conftest import Sluice
from tests.notifying.conftest import SECRET, Webhook, http_api, webhook  # noqa: F401  # fixtures
from tests.shop_project import ShopProject


def test_a_message_is_sent_or_its_connection_is_asked_for(
    webhook: Webhook,  # noqa: F811  # first: its connection is in the command's environment
    sluice: Sluice,
    shop: ShopProject,
) -> None:
    nobody = sluice("notify", "shop")
    assert nobody.returncode == 1
    assert "Pipeline shop tells nobody." in nobody.stderr
    path = shop.settings.registry / "pipelines" / "shop.yml"
    text = path.read_text()
    path.write_text(f"{text}notify: [{{connection: ops_chat}}, {{connection: unknown}}]\n")
    tested = sluice("notify", "shop", "--test")
    assert tested.returncode == 1
    assert tested.stdout == "sent: ops_chat: Sluice: a test message of pipeline shop\n"
    assert "There is no connection unknown for pipeline shop." in tested.stderr
    assert "AIRFLOW_CONN_UNKNOWN" in tested.stderr
    ((_, body),) = webhook.take()
    assert "rejected, late, missing, failed, warned, held.\n" in body

    path.write_text(f"{text}notify: [{{connection: ops_chat}}]\n")
    shop.drop("bad.csv", "one,ink,2\n")
    shop.load()
    told = sluice("notify", "shop")
    assert told.stdout == "sent: Sluice: orders: 1 file rejected\n", told.stderr
    assert SECRET not in tested.stdout + tested.stderr + told.stderr
    assert sluice("notify", "shop").stdout == "shop: there is nothing to tell\n"
