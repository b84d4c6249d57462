"""Take the pictures of ``docs/images`` again, of an instance on which ``./sluice demo`` has ended.

Delivers a file with two bad records, and asks for approval of the publication that it leads to: use
an instance of its own, on a copy of the project.

    mkdir -m 0711 /tmp/pictures && cp -r registry dbt dags data plugins /tmp/pictures/
    export SLUICE_PROJECT=/tmp/pictures SLUICE_HOME=/tmp/pictures/home
    export SLUICE_LANDING=/tmp/pictures/landing SLUICE_ARCHIVE=/tmp/pictures/archive
    ./sluice demo && .venv/bin/python docs/make_screenshots.py
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from sluice.local.airflow import airflow_address
from sluice.settings import Settings, load_settings

IMAGES = Path(__file__).parent / "images"
PATIENCE = 300_000  # ms: for a delivery to become a held publication on a busy machine
SETTLED = 4_000  # ms: Airflow's panels fade in
DELIVERY = """\
event_time,user_id,event_type,transaction_category,miles_amount,platform,utm_source,country
2026-07-01 06:00:00,00000000-0000-4000-8000-{0:012},miles_earned,fuel,120,ios,,AT
2026-07-01 06:01:00,00000000-0000-4000-8000-{0:012},like,,,web,google,DE
unknown,00000000-0000-4000-8000-{0:012},share,,,web,google,DE
2026-07-01 06:02:00,00000000-0000-4000-8000-{0:012},miles_earned,hotels,many,android,,CH
"""


def main() -> int:
    """Take all pictures; returns the exit code."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    settings = load_settings()
    if chromium is None or not isinstance(settings.landing, Path):
        raise SystemExit("This needs a chromium on the PATH, and a landing zone that is a folder.")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=sandbox)
        page = logged_in(settings, browser, "light")
        take_all(settings, page, settings.landing)
        page = logged_in(settings, browser, "dark")
        heading = page.frame_locator("iframe").get_by_role("heading", name="Landing zone")
        take(page, "/plugin/sluice", "landing-zone-dark", heading)
        browser.close()
    return 0


def logged_in(settings: Settings, browser: Any, theme: str) -> Any:
    """A page of Airflow's user."""
    address = airflow_address(settings)
    context = browser.new_context(
        base_url=address.url, viewport={"width": 1280, "height": 800}, color_scheme=theme
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto("/")
    page.fill("input[name=username]", address.user)
    page.fill("input[name=password]", address.password)
    page.click("button[type=submit]")
    page.get_by_role("link", name="Sluice").wait_for()
    return page


def take_all(settings: Settings, page: Any, landing: Path) -> None:
    """Make what there is to see, and take its pictures, in a light theme."""
    page.goto("/sluice/pipelines/engagement")
    if not page.get_by_text("held").count():
        hold_a_publication(settings, page, landing)
    take(page, "/dags?limit=50", "dags", page.get_by_role("link", name="web_traffic"))
    take(page, "/dags/engagement", "grid", page.get_by_role("link", name="analytics"))
    frame = page.frame_locator("iframe")
    take(page, "/plugin/sluice", "landing-zone", frame.get_by_role("heading", name="Landing zone"))
    row = frame.get_by_role("row").filter(has=frame.get_by_role("link", name="event_stream"))
    row.get_by_role("link").nth(1).click()
    frame.get_by_role("heading", name="Rejected records").wait_for()
    picture(page, "load")
    held = frame.get_by_text("held", exact=True).first
    take(page, "/dags/engagement/plugin/publications", "publications", held)
    frame.locator("table a").first.click()
    frame.get_by_role("link", name="the run's required action").click()
    page.get_by_test_id("hitl-option-Approve").wait_for()
    picture(page, "held")


def hold_a_publication(settings: Settings, page: Any, landing: Path) -> None:
    """Deliver a file with bad records, whose publication a person has to approve."""
    entry = settings.registry / "pipelines" / "engagement.yml"
    text = entry.read_text()
    entry.write_text(f"{text}approve_when: {{rows_changed: 0}}\n")
    try:
        page.wait_for_timeout(30_000)  # until Airflow has read it
        number = os.getpid()
        path = landing / "event_stream" / f"events_2026-07-01_{number}.csv"
        path.write_text(DELIVERY.format(number))
        while not page.get_by_text("held").count():
            page.wait_for_timeout(SETTLED)
            page.reload()
    finally:
        entry.write_text(text)


def take(page: Any, path: str, name: str, awaited: Any) -> None:
    """Take the picture of a page, once something that it waits for is there."""
    page.goto(path)
    awaited.first.wait_for()
    picture(page, name)


def picture(page: Any, name: str) -> None:
    """Keep what the page shows, once Airflow has put something in the place of its grey boxes."""
    page.wait_for_function("() => !document.querySelector('.chakra-skeleton')")
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
