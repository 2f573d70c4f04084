"use strict";

// Tables: a click on a header sorts by it, numbers as numbers, empty cells last.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const table = header.closest("table");
    const column = [...header.parentElement.children].indexOf(header);
    const isNumber = header.classList.contains("number");
    const wasDescending = header.getAttribute("aria-sort") === "descending";
    const wasAscending = header.getAttribute("aria-sort") === "ascending";
    const sign = (isNumber ? wasDescending : !wasAscending) ? 1 : -1;
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const keyOf = (row) => row.children[column].dataset.sort ?? row.children[column].textContent;
    const compare = (first, second) => {
      const [a, b] = [keyOf(first), keyOf(second)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNumber ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true }));
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  });
}

// Figures: drawn when they come near the window, so that a page of many scenarios opens at once.
const options = {
  responsive: true,
  displayModeBar: false,
};

function draw(place) {
  const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, figure.data, figure.layout, options).then(() => place.setAttribute("data-drawn", "yes"));
}

const places = document.querySelectorAll(".plot");
if ("IntersectionObserver" in window) {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries.filter((one) => one.isIntersecting)) {
        observer.unobserve(entry.target);
        draw(entry.target);
      }
    },
    { rootMargin: "600px" },
  );
  for (const place of places) observer.observe(place);
  window.addEventListener("beforeprint", () => {
    for (const place of places) if (!place.dataset.drawn) draw(place);
  });
} else {
  for (const place of places) draw(place);
}
