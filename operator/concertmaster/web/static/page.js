"use strict";
// A slider says its value while it moves; without scripts the page says it after it was sent.
for (const slider of document.querySelectorAll("label > input[type=range]")) {
  const shown = slider.parentElement.querySelector("output");
  slider.addEventListener("input", () => { shown.value = slider.value; });
}
// A slider that was moved is replayed at once; without scripts the button sends the form.
for (const form of document.querySelectorAll("form[data-replay]")) {
  const answer = document.getElementById("replayed");
  let latest = 0;
  form.addEventListener("change", async () => {
    const number = ++latest;
    const slow = setTimeout(() => { if (number === latest) answer.textContent = "Replaying…"; }, 300);
    let text;
    try {
      const reply = await fetch(`${form.dataset.replay}?${new URLSearchParams(new FormData(form))}`);
      text = reply.ok ? (await reply.json()).text : `The replay was refused (${reply.status}): load the page again.`;
    } catch {
      text = "The dashboard cannot be reached: is it still running?";
    }
    clearTimeout(slow);
    if (number === latest) answer.textContent = text;
  });
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
