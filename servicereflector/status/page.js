"use strict";
// Keeps the page as it is now: fetches what the address bar says, and swaps in what has changed.
// What comes was escaped by the server, and runs no script.
{
  const PERIOD = 3000;
  const connection = document.getElementById("connection");
  const form = document.getElementById("filter");
  let timer = 0;
  let asking = null;

  function swap(fresh) {
    for (const after of fresh.querySelectorAll("[data-live]")) {
      const before = document.getElementById(after.id);
      if (!before || before.innerHTML === after.innerHTML) continue;
      const focused = before.contains(document.activeElement) ? document.activeElement : null;
      const places = [...before.querySelectorAll(".wide, .drawn")].map((e) => e.scrollLeft);
      before.replaceChildren(...after.childNodes);
      before.querySelectorAll(".wide, .drawn").forEach((e, i) => { e.scrollLeft = places[i] || 0; });
      if (focused) refocus(before, focused);
    }
    document.title = fresh.title;
  }

  // The same link or region, as far as it is still there.
  function refocus(within, focused) {
    const told = ["id", "href", "aria-label"].find((name) => focused.hasAttribute(name));
    const same = [...within.querySelectorAll("a, [tabindex]")].find((e) =>
      e.getAttribute(told) === focused.getAttribute(told));
    (same || document.getElementById("mirrors")).focus({ preventScroll: true });
  }

  function complain(text) {
    if (connection.textContent !== text) connection.textContent = text;
    connection.hidden = !text;
  }

  async function refresh() {
    clearTimeout(timer);
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    const late = setTimeout(() => mine.abort(), 10 * PERIOD);
    try {
      const answer = await fetch(location.pathname + location.search, { signal: mine.signal });
      const text = await answer.text();
      if (mine !== asking) return;
      if (answer.ok) {
        swap(new DOMParser().parseFromString(text, "text/html"));
        complain("");
      } else {
        complain("What is shown is no longer up to date: " + text.slice(0, 300).trim());
      }
    } catch (error) {
      if (mine !== asking) return;
      complain("What is shown is no longer up to date: no answer.");
    } finally {
      clearTimeout(late);
      if (mine === asking) later();
    }
  }

  function later() {
    clearTimeout(timer);
    if (document.visibilityState === "visible") timer = setTimeout(refresh, PERIOD);
  }

  function filter() {
    const given = [...new FormData(form)].filter(([, value]) => value);
    history.replaceState(null, "", "?" + new URLSearchParams(given));
    refresh();
  }

  let typing = 0;
  form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 250); });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") refresh();
    else clearTimeout(timer);
  });
  later();
}
