"""Parts for tests of pages: Chromium, the accessibility checks, and the site of the documentation."""
