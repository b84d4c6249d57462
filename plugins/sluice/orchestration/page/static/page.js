// The page in Airflow's frame: it takes Airflow's theme, and its links to Airflow leave the frame.
"use strict";

const airflow = (() => {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null; // framed by another origin, which the page's policy forbids
  }
})();

function takeTheme() {
  const isDark = airflow.document.documentElement.classList.contains("dark");
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

if (airflow) {
  takeTheme();
  new MutationObserver(takeTheme).observe(airflow.document.documentElement, {
    attributes: true,
    attributeFilter: ["class"],
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    // The frame may not navigate its parent; Airflow's own router may.
    airflow.history.pushState(null, "", link.href);
    airflow.dispatchEvent(new airflow.PopStateEvent("popstate", { state: null }));
  });
}
