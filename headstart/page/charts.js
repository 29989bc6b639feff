"use strict";
const data = JSON.parse(document.getElementById("data-of-page").textContent);
const find = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const dark = window.matchMedia("(prefers-color-scheme: dark)");

// Charts.
function draw() {
  const style = getComputedStyle(document.body);
  for (const box of document.querySelectorAll("[data-chart]")) {
    const chart = data.charts[box.dataset.chart];
    if (!chart) { box.closest("figure")?.remove(); continue; }
    const axis = { color: style.color, gridcolor: style.getPropertyValue("--line") };
    const layout = { ...chart.layout, height: chart.height, font: { color: style.color },
      xaxis: { ...chart.layout.xaxis, ...axis }, yaxis: { ...chart.layout.yaxis, ...axis } };
    Plotly.react(box, chart.data, layout, { displayModeBar: false, responsive: true });
  }
}
draw();
dark.addEventListener("change", draw);
