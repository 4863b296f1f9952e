"""A real Chromium, driven by Playwright: the one of ``testbed.pages.browser``, as Playwright downloads none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, ViewportSize, sync_playwright

from testbed.pages.browser import ensure


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser, stopped at the end."""
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=ensure(), args=["--disable-dev-shm-usage"])
        try:
            yield running
        finally:
            running.close()


@contextmanager
def tab(running: Browser, width: int = 1280, height: int = 900, *, scripts: bool = True) -> Iterator[Page]:
    """An empty page with separate cookies; below 500 pixels that of a phone."""
    size, phone = ViewportSize(width=width, height=height), width < 500
    with running.new_context(viewport=size, is_mobile=phone, has_touch=phone, java_script_enabled=scripts) as context:
        yield context.new_page()


def complaints(page: Page) -> list[str]:
    """Errors of scripts, violations of the Content-Security-Policy, failed requests and dialogs, collected from now
    on."""
    heard: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(message.text)

    def dialog(opened: Dialog) -> None:
        heard.append(f"dialog: {opened.message}")
        opened.dismiss()

    page.on("console", console)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", dialog)
    return heard
