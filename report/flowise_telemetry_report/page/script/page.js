// The page around the figures: theme, copying, printing.

const THEME = "flowise-telemetry-report-theme";
const status = document.getElementById("page-status");

function announce(text) {
  status.textContent = text;
}

/** Storage may be refused, as for a page that was opened from a file. */
function remembered() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // kept until the page is closed
  }
}

function setTheme(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
}

function openThemeSwitch() {
  const choice = document.querySelector(".theme");
  choice.hidden = false;
  for (const radio of choice.querySelectorAll("input")) {
    radio.checked = radio.value === (root.dataset.theme ?? "system");
    radio.addEventListener("change", () => {
      setTheme(radio.value);
      remember(radio.value);
      redrawAll();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
}

/** Copies a text; where the clipboard is not to be had, as on plain HTTP, by selection. */
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}

function openCopyButton(button) {
  button.hidden = false;
  const code = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    announce((await copy(code)) ? "SQL copied" : "SQL selected: copy it with the keyboard");
    button.firstChild.data = "Copied";
    setTimeout(() => (button.firstChild.data = "Copy"), 2000);
  });
}

/** Paper is light, whatever the screen is. */
function openPrinting() {
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    setTheme("light");
    redrawAll();
  });
  addEventListener("afterprint", () => {
    setTheme(before);
    redrawAll();
  });
}

setTheme(remembered());
document.querySelectorAll(".chart-box").forEach(openFigure);
document.querySelectorAll(".copy").forEach(openCopyButton);
openThemeSwitch();
openPrinting();
if (matchMedia("(max-width: 66rem)").matches) document.querySelector("nav details").open = false;
