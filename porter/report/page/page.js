"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // What only works with a script is hidden until there is one.
  for (const element of all(".js")) element.hidden = false;

  // Search and kinds over the items of one section; a long list first shows its beginning.
  const filter = (section) => {
    const search = section.querySelector("[data-search]");
    if (!search) return { reveal() {} };
    const kinds = all("[data-kind]", section);
    const said = section.querySelector("[data-shown]");
    const button = section.querySelector("[data-all]");
    const limit = button ? Number(section.dataset.limit) : Infinity;
    const items = all("[data-item]", section).map((element) => ({
      element, kind: element.dataset.item, text: element.textContent.toLowerCase(),
    }));
    let whole = items.length <= limit;
    const update = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = new Set(kinds.filter((box) => box.checked).map((box) => box.dataset.kind));
      const found = items.filter((item) => (!kinds.length || wanted.has(item.kind))
        && words.every((word) => item.text.includes(word)));
      const shown = new Set(whole ? found : found.slice(0, limit));
      for (const item of items) item.element.hidden = !shown.has(item);
      for (const group of all("[data-group]", section)) {
        const inside = all("[data-item]", group);
        group.hidden = inside.length > 0 && inside.every((element) => element.hidden);
      }
      if (button) {
        button.hidden = shown.size === found.length;
        button.textContent = `Show all ${found.length}`;
      }
      said.textContent = found.length === items.length && shown.size === found.length
        ? `${items.length} in all`
        : `${shown.size} shown of ${found.length} that match, ${items.length} in all`;
    };
    search.addEventListener("input", update);
    for (const box of kinds) box.addEventListener("change", update);
    if (button) button.addEventListener("click", () => { whole = true; update(); });
    update();
    return {
      reveal(target) {
        if (!items.some((item) => item.element === target && item.element.hidden)) return;
        search.value = "";
        for (const box of kinds) box.checked = true;
        whole = true;
        update();
      },
    };
  };
  const filters = new Map(all("[data-filter]").map((section) => [section, filter(section)]));

  // A link into a closed box opens it, also when a filter has hidden it.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const section = target.closest("[data-filter]");
    if (section && section !== target) filters.get(section).reveal(target);
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    for (const old of all(".target")) old.classList.remove("target");
    if (target.matches("details")) target.classList.add("target");
    target.scrollIntoView({ behavior: "auto" });
  };
  addEventListener("hashchange", follow);
  addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    // The same link a second time changes no hash.
    if (link && link.hash === location.hash) follow();
  });
  if (location.hash) follow();

  // The end of a log is what matters.
  for (const box of all(".run")) {
    box.addEventListener("toggle", () => {
      for (const log of all(".log", box)) log.scrollTop = log.scrollHeight;
    });
  }

  for (const button of all(".copy")) {
    if (!navigator.clipboard) { button.hidden = true; continue; }
    button.addEventListener("click", async () => {
      const text = button.previousElementSibling.textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  }

  // The section in view is marked in the navigation, which on a phone scrolls sideways by itself.
  const nav = document.querySelector("nav");
  const links = new Map(all("nav li a").map((link) => [link.hash.slice(1), link]));
  const mark = () => {
    let current = null;
    for (const section of all("main > section")) {
      if (section.getBoundingClientRect().top <= innerHeight / 3) current = section.id;
    }
    for (const [id, link] of links) {
      if (id !== current) { link.removeAttribute("aria-current"); continue; }
      if (link.hasAttribute("aria-current")) continue;
      link.setAttribute("aria-current", "true");
      if (nav.scrollWidth > nav.clientWidth) nav.scrollLeft = link.offsetLeft - nav.clientWidth / 3;
    }
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();
})();
