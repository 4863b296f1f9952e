"use strict";
// A slider says its value while it moves; without scripts the page says it after it was sent.
for (const slider of document.querySelectorAll("label > input[type=range]")) {
  const shown = slider.parentElement.querySelector("output");
  slider.addEventListener("input", () => { shown.value = slider.value; });
}
// A copy button beside every block that can be pasted. Without scripts the blocks are plain text, and nothing is lost.
for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  status.className = "quiet";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      status.textContent = " copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(block);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      status.textContent = " selected: press Ctrl+C";
    }
  });
  block.after(button, status);
}
