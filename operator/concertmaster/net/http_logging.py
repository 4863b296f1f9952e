"""What the HTTP transport says by itself: nothing. Every failure is reported once, by the code that gives up."""

from __future__ import annotations

import logging
import warnings


def silence_urllib3() -> None:
    """Silence urllib3: its retries and full pools are no news, and who leaves certificates unchecked has said so."""
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Unverified HTTPS request")
