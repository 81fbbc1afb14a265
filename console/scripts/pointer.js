// The small table beside the pointer: what the series are at this time, the largest first. It is only for eyes that
// follow a pointer; the same figures stand in the table below each chart.

const ROWS_MAX = 10;

/** A plugin of uPlot. `names` are custom properties of CSS, by series. */
export function pointer({ names, labels, values, write, time, total }) {
  let box;
  return { hooks: { init, setCursor, destroy: () => box?.remove() } };

  function init(plot) {
    box = document.createElement("div");
    box.className = "chart-pointer";
    box.setAttribute("aria-hidden", "true");
    box.hidden = true;
    plot.over.append(box);
    plot.over.addEventListener("mouseleave", () => (box.hidden = true));
  }

  function setCursor(plot) {
    const at = plot.cursor.idx;
    if (at == null || plot.cursor.left < 0) {
      box.hidden = true;
      return;
    }
    const rows = values.map((list, index) => ({ index, value: list[at] })).filter(({ value }) => value != null && (value > 0 || values.length < 4));
    rows.sort((one, other) => other.value - one.value);
    box.replaceChildren(line("chart-pointer-time", time(plot.data[0][at])), ...rows.slice(0, ROWS_MAX).map(({ index, value }) => row(labels[index], write(value), names[index])));
    if (total && rows.length > 1) box.append(row(total, write(rows.reduce((sum, { value }) => sum + value, 0))));
    box.hidden = false;
    const { left } = plot.cursor;
    const room = plot.over.clientWidth - left;
    const beside = room > box.offsetWidth + 16 ? left + 12 : left - box.offsetWidth - 12;
    box.style.setProperty("transform", `translate(${Math.round(Math.max(0, beside))}px, 4px)`);
  }
}

function row(label, value, name) {
  const element = line("chart-pointer-row", "");
  const marker = line("chart-pointer-marker", "");
  if (name) marker.style.setProperty("background", `var(${name})`);
  element.append(marker, line("chart-pointer-label", label), line("chart-pointer-value", value));
  return element;
}

function line(name, text) {
  const element = document.createElement("div");
  element.className = name;
  element.textContent = text;
  return element;
}
